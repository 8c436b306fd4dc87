import type { MigrateBody, MigrationResource } from '#wire/api.ts';
import { type Command, Option } from 'commander';
import { outcomeLine, printCheck, printMigration, printMigrations } from './migration-printer.ts';
import { abortHint, followMigration } from './migration-watch.ts';
import { type Call, callOf, countArgument, withController, withWatch } from './options.ts';
import { show, showView, writeLine, writeNote } from './output.ts';

interface MigrateOptions {
  readonly dryRun: boolean;
  readonly watch: boolean;
  readonly channel: ChannelKind;
  readonly grant?: string;
}

const channelKinds = ['ipsec', 'qemu-tls', 'ssh', 'sealed-image', 'none'] as const;
type ChannelKind = (typeof channelKinds)[number];

const migrateExamples = `
Exit code: 0 started (with --watch: done), 1 refused or failed, 130 no longer watched (Ctrl-C).

Examples:
  plimsoll migrate web1 host2 --dry-run    all checks, nothing moves
  plimsoll migrate web1 host2 --watch      move it and follow it
  plimsoll migrate web1                    to the least loaded host that fits`;

/** `migrate VM [HOST]`. */
export function addMigrateCommand(program: Command): void {
  withController(
    program
      .command('migrate')
      .description('move a running VM through a proven IPsec channel')
      .argument('<vm>', 'its name or UUID')
      .argument('[host]', 'where to (default: the least loaded host that fits)'),
  )
    .option('-n, --dry-run', 'make all checks, move nothing', false)
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

/** `migration list|show|abort`. */
export function addMigrationCommands(program: Command): void {
  const migration = program.command('migration').description('migrations under way and past');

  withWatch(migration.command('list').alias('ls').description('list migrations, newest first'))
    .option('--open', 'only those under way', false)
    .option('--limit <count>', 'at most this many', countArgument, 50)
    .action(async (options: { readonly open: boolean; readonly limit: number }, command: Command) => {
      const call = await callOf(command);
      await showView({ read: () => call.client.migrations({ open: options.open, limit: options.limit }), print: printMigrations }, call);
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

function bodyOf(vm: string, host: string | undefined, { channel, grant }: MigrateOptions): MigrateBody {
  return {
    vm,
    ...(host === undefined ? {} : { toHostId: host }),
    ...(channel === 'ipsec' ? {} : { channelKind: channel }),
    ...(grant === undefined ? {} : { grantId: grant }),
  };
}

async function checkOnly(call: Call, body: MigrateBody): Promise<void> {
  const check = await call.client.checkMigrate(body);
  show(check, call.form, printCheck);
  if (check.refusal !== null) process.exitCode = 1;
}

async function migrate(call: Call, body: MigrateBody): Promise<void> {
  show(await call.client.migrate(body), call.form, startedText);
}

async function migrateAndFollow(call: Call, body: MigrateBody): Promise<void> {
  const started = await call.client.migrate(body);
  writeNote(startedText(started));
  const ended = await followMigration(call.client, started, call.signal);
  if (call.form === 'json') show(ended, 'json', printMigration);
  else writeLine(outcomeLine(ended, Date.now()));
  if (ended.phase === 'failed') process.exitCode = 1;
}

function startedText(migration: MigrationResource): string {
  const { migrationId } = migration.request;
  return `Migration ${migrationId} has started; ${abortHint(migrationId)}\nFollow it with: plimsoll migration show ${migrationId} --watch`;
}
