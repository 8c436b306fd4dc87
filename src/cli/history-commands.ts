import { type Command, Option } from 'commander';
import type { MigrationQuery } from './client.ts';
import { CliError } from './errors.ts';
import { historyCsv, printHistory } from './history-printer.ts';
import { callOf, limitArgument, sinceArgument, untilArgument, withController } from './options.ts';
import { show } from './output.ts';

const outcomes = ['moved', 'stayed', 'unclear'] as const;

interface HistoryOptions {
  readonly vm?: string;
  readonly host?: string;
  readonly outcome?: (typeof outcomes)[number];
  readonly since?: number;
  readonly until?: number;
  readonly limit: number;
  readonly output: 'table' | 'json' | 'csv';
}

const examples = `
Times are those at which a migration was asked for: dates in UTC, or how long ago. --until with a date includes that day.

  OFF BY   how far the prediction was off, in percent of what happened; + too much was predicted
  OUTSIDE  the downtime as another host saw it

A narrow terminal shows fewer columns; csv and json have all.

Examples:
  plimsoll history --since 24h
  plimsoll history --vm web1 --outcome stayed
  plimsoll history --host host2 --since 2026-11-01 --until 2026-11-30
  plimsoll history --since 30d --limit 1000 -o csv > migrations.csv`;

/** `history`. */
export function addHistoryCommand(program: Command): void {
  const output = new Option('-o, --output <form>', 'table; json: the REST resources; csv: every figure, RFC 4180')
    .choices(['table', 'json', 'csv'])
    .default('table');
  withController(program.command('history').description('migrations that ended: how, what they cost, what had been predicted'), output)
    .option('--vm <vm>', 'only of this VM (name or UUID)')
    .option('--host <host>', 'only from or to this host')
    .addOption(new Option('--outcome <outcome>', 'only these; unclear: a person had to look').choices(outcomes))
    .option('--since <time>', 'asked for at or after, such as 24h or 2026-11-01', sinceArgument)
    .option('--until <time>', 'asked for before; a date includes its day', untilArgument)
    .option('--limit <count>', 'at most this many, the newest', limitArgument, 100)
    .addHelpText('after', examples)
    .action(async (options: HistoryOptions, command: Command) => {
      const query = queryOf(options);
      const { client } = await callOf(command);
      const migrations = await client.migrations(query);
      if (options.output === 'csv') process.stdout.write(historyCsv(migrations));
      else if (options.output === 'json') show(migrations, 'json', String);
      else {
        const errors = await client.predictionErrors();
        show(migrations, 'table', (found, _nowMs, columns) => printHistory(found, errors, options.limit, columns));
      }
    });
}

function queryOf({ vm, host, outcome, since, until, limit }: HistoryOptions): MigrationQuery {
  if (since !== undefined && until !== undefined && since >= until)
    throw new CliError('usage', 'nothing lies between --since and --until: --since must be the earlier one');
  return {
    state: 'ended',
    ...(vm === undefined ? {} : { vm }),
    ...(host === undefined ? {} : { host }),
    ...(outcome === undefined ? {} : { outcome }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    limit,
  };
}
