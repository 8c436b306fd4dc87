import type { MigrateBody, MigrationResource } from '#wire/api.ts';
import { type Compression, compressions, type Method, methods, type PresetName, presetNames } from '#wire/migration-words.ts';
import { type Command, Option } from 'commander';
import { printCheck } from './check-printer.ts';
import { CliError } from './errors.ts';
import { outcomeLine, printMigration, printMigrations } from './migration-printer.ts';
import { abortHint, followMigration } from './migration-watch.ts';
import { type Call, callOf, downtimeArgument, limitArgument, rateArgument, streamsArgument, withController, withWatch } from './options.ts';
import { show, showView, writeLine, writeNote } from './output.ts';

interface WishOptions {
  readonly method?: Method | 'auto';
  readonly preset?: PresetName;
  readonly autoConverge?: boolean;
  readonly streams?: number;
  readonly compression?: Compression;
  readonly bandwidth?: number;
  readonly downtime?: number;
}

interface MigrateOptions extends WishOptions {
  readonly dryRun: boolean;
  readonly watch: boolean;
  readonly channel: ChannelKind;
  readonly grant?: string;
}

const channelKinds = ['ipsec', 'qemu-tls', 'ssh', 'sealed-image', 'none'] as const;
type ChannelKind = (typeof channelKinds)[number];

const migrateExamples = `
What is not given is chosen from the policy and from a prediction; --dry-run says what, and why.

Methods:
  pre-copy       the VM runs on while its memory is sent in rounds
  hybrid         pre-copy that may end as post-copy
  post-copy      runs on the destination first; LOST if either host dies meanwhile, so the policy must allow it
  stop-and-copy  stopped while its memory is sent once
  save-restore   stopped, saved to a file, sent, started from it

Presets, what may be done for a copy that does not come to an end:
  gentle         a longer downtime, else it stays
  balanced       also compression, and slowing the VM down
  must-move      a longer downtime, slowing it down, post-copy where allowed, stopping it

Exit code: 0 started (with --watch: done), 1 refused or failed, 130 no longer watched (Ctrl-C; the migration goes on).

Examples:
  plimsoll migrate web1 host2 --dry-run   checks, method, cost; nothing moves
  plimsoll migrate web1 host2 --watch     move it and follow it
  plimsoll migrate web1                   to the least loaded host that fits
  plimsoll migrate web1 host2 --downtime 400ms --bandwidth 50MiB
  plimsoll migrate db host2 --preset must-move --watch`;

/** `migrate VM [HOST]`. */
export function addMigrateCommand(program: Command): void {
  withWish(
    withController(
      program
        .command('migrate')
        .description('move a running VM through a proven IPsec channel')
        .argument('<vm>', 'its name or UUID')
        .argument('[host]', 'where to (default: the least loaded host that fits)'),
    ),
  )
    .option('-n, --dry-run', 'make all checks and predict what it would cost; move nothing', false)
    .option('-w, --watch', 'follow the migration to its end; Ctrl-C only stops the watching', false)
    .addOption(
      new Option(
        '--channel <kind>',
        'what protects it. Everything but ipsec is WEAKER, there to be compared with, and needs a grant; none is PLAIN TEXT',
      )
        .choices(channelKinds)
        .default('ipsec'),
    )
    .option('--grant <grant>', "break-glass grant for any --channel but ipsec (see 'plimsoll grant')")
    .addHelpText('after', migrateExamples)
    .action(async (vm: string, host: string | undefined, options: MigrateOptions, command: Command) => {
      const call = await callOf(command);
      const body = bodyOf(vm, host, options);
      if (options.dryRun) await checkOnly(call, body);
      else if (options.watch) await migrateAndFollow(call, body);
      else await migrate(call, body);
    });
}

const migrationExamples = `
Examples:
  plimsoll migration list --open --watch
  plimsoll migration show 4256c4771255      plan, decisions, prediction, outcome
  plimsoll migration abort 4256c4771255     the VM stays where it runs
  plimsoll history --since 24h              those that ended`;

/** `migration list|show|abort`. */
export function addMigrationCommands(program: Command): void {
  const migration = program.command('migration').description('migrations under way and past').addHelpText('after', migrationExamples);

  withWatch(migration.command('list').alias('ls').description('list migrations, newest first'))
    .option('--open', 'only those under way', false)
    .option('--limit <count>', 'at most this many', limitArgument, 50)
    .action(async (options: { readonly open: boolean; readonly limit: number }, command: Command) => {
      const call = await callOf(command);
      const query = { ...(options.open ? { state: 'open' as const } : {}), limit: options.limit };
      await showView({ read: () => call.client.migrations(query), print: printMigrations }, call);
    });

  withWatch(migration.command('show').description('show one migration').argument('<migration>', 'its id')).action(
    async (migrationId: string, _options, command: Command) => {
      const call = await callOf(command);
      await showView({ read: () => call.client.migration(migrationId), print: printMigration }, call);
    },
  );

  withController(
    migration.command('abort').description('ask for an abort: the VM goes on running where it is').argument('<migration>', 'its id'),
  ).action(async (migrationId: string, _options, command: Command) => {
    const { client, form } = await callOf(command);
    show(await client.abortMigration(migrationId), form, printMigration);
  });
}

function withWish(command: Command): Command {
  return command
    .addOption(new Option('--method <method>', 'how its memory gets there (default: auto)').choices(['auto', ...methods]))
    .addOption(new Option('--preset <preset>', "what the autopilot may do (default: the policy's)").choices(presetNames))
    .option('--auto-converge', 'slow the VM down from the start while it writes faster than the channel carries')
    .option('--no-auto-converge', 'never slow it down')
    .option('--streams <count>', 'TCP connections that share the memory, 1 to 64', streamsArgument)
    .addOption(new Option('--compression <name>', 'zlib and zstd need several streams').choices(compressions))
    .option('--bandwidth <rate>', 'at most this per second, such as 100MiB or 800Mbit; none for no cap', rateArgument)
    .option('--downtime <time>', 'the VM may stand still for this long, such as 300ms', downtimeArgument);
}

function bodyOf(vm: string, host: string | undefined, options: MigrateOptions): MigrateBody {
  const { channel, grant } = options;
  const wish = wishOf(options);
  return {
    vm,
    ...(host === undefined ? {} : { toHostId: host }),
    ...(channel === 'ipsec' ? {} : { channelKind: channel }),
    ...(grant === undefined ? {} : { grantId: grant }),
    ...(wish === null ? {} : { wish }),
  };
}

/** Null when nothing was asked for: then the policy says all. */
function wishOf({
  method,
  preset,
  autoConverge,
  streams,
  compression,
  bandwidth,
  downtime,
}: WishOptions): NonNullable<MigrateBody['wish']> | null {
  const asked = {
    ...(preset === undefined ? {} : { preset }),
    ...(autoConverge === undefined ? {} : { autoConverge }),
    ...(streams === undefined ? {} : { streams }),
    ...(compression === undefined ? {} : { compression }),
    ...(bandwidth === undefined ? {} : { bandwidthBytesPerSecond: bandwidth }),
    ...(downtime === undefined ? {} : { downtimeMsMax: downtime }),
  };
  return method === undefined && Object.keys(asked).length === 0 ? null : { method: method ?? 'auto', ...asked };
}

async function checkOnly(call: Call, body: MigrateBody): Promise<void> {
  const check = await call.client.checkMigrate(body);
  show(check, call.form, printCheck);
  if (check.refusal !== null) process.exitCode = 1;
}

async function migrate(call: Call, body: MigrateBody): Promise<void> {
  show(await start(call, body), call.form, startedText);
}

/** Throws CliError `interrupted` with a hint, because the controller may have got the request. */
async function start(call: Call, body: MigrateBody): Promise<MigrationResource> {
  try {
    return await call.client.migrate(body);
  } catch (cause) {
    if (!call.signal.aborted) throw cause;
    const hint = 'stopped before the controller answered: the migration may have started, see: plimsoll migration list --open';
    throw new CliError('interrupted', hint, { cause });
  }
}

async function migrateAndFollow(call: Call, body: MigrateBody): Promise<void> {
  const started = await start(call, body);
  writeNote(startedNote(started));
  const ended = await followMigration(call.client, started, call.signal);
  if (call.form === 'json') show(ended, 'json', printMigration);
  else writeLine(outcomeLine(ended, Date.now()));
  if (ended.phase === 'failed') process.exitCode = 1;
}

function startedText(migration: MigrationResource): string {
  return `${startedNote(migration)}\nFollow it with: plimsoll migration show ${migration.request.migrationId} --watch`;
}

function startedNote({ request }: MigrationResource): string {
  return `Migration ${request.migrationId} has started; ${abortHint(request.migrationId)}`;
}
