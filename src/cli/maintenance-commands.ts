import { type MaintenanceEnd, maintenanceEnds, maintenanceLimits } from '#wire/maintenance-words.ts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { confirmByTyping } from './confirm.ts';
import { CliError } from './errors.ts';
import { printMaintenance, printMaintenancePreview } from './maintenance-printer.ts';
import { callOf, withController, withWatch } from './options.ts';
import { show, showView } from './output.ts';

const help = `
Each host is cordoned and emptied, waited for, opened again and given its VMs back; then comes the next. Before each one a dry run shows that
every VM of it has a place; where one has none the maintenance waits and says why, and goes on by itself as soon as there is one. It goes on
without this command, also over a restart of the controller.

Examples:
  plimsoll maintenance start host1 host2 host3 --dry-run        what would go where, and what cannot leave
  plimsoll maintenance start --all --reason "new kernel" --yes  all hosts, one after another, by name
  plimsoll maintenance start --all --until reboot --yes         a host that has rebooted is taken back by itself
  plimsoll maintenance show --watch                             how far it is, and what it waits for
  plimsoll maintenance ready host1                              host1 is done: fill it again, and go on
  plimsoll maintenance cancel                                   stop here; what is still away is told`;

interface StartOptions {
  readonly all: boolean;
  readonly parallel: number;
  readonly until: MaintenanceEnd;
  readonly reason: string;
  readonly dryRun: boolean;
  readonly yes: boolean;
}

/** `maintenance start|show|ready|cancel`. */
export function addMaintenanceCommands(program: Command): void {
  const maintenance = program
    .command('maintenance')
    .description('take hosts out of service and back, one after another')
    .addHelpText('after', help);

  withWatch(maintenance.command('start').description('begin: empty the first host').argument('[hosts...]', 'their names, in this order'))
    .option('--all', 'every host, by name', false)
    .option('--parallel <n>', 'so many hosts at a time, as far as room, rules and headroom allow', parallelArgument, 1)
    .addOption(
      new Option('--until <end>', 'what takes a host back: your word alone, or a reboot of it too')
        .choices(Object.keys(maintenanceEnds))
        .default(maintenanceEnds.ready),
    )
    .option('--reason <text>', 'why, for the others and the audit', '')
    .option('-n, --dry-run', 'show for each host what would go where, and what cannot leave; move nothing', false)
    .option('-y, --yes', 'do not ask', false)
    .addHelpText(
      'after',
      `${help}\n\nCtrl-C ends --watch, not the maintenance. Exit code with --dry-run: 1 when it could not be begun, or a host not be emptied.`,
    )
    .action(start);

  withWatch(maintenance.command('show').description('show how far it is, and what it waits for')).action(
    async (_options, command: Command) => {
      const call = await callOf(command);
      await showView({ read: () => call.client.placement.maintenance(), print: printMaintenance }, call);
    },
  );

  withController(
    maintenance
      .command('ready')
      .description('say that a host is back: it gets its VMs, and the next host begins')
      .argument('<host>', 'its name'),
  )
    .addHelpText('after', '\nRefused while the host is not empty, or its agent is not heard of.')
    .action(async (hostId: string, _options, command: Command) => {
      const { client, form } = await callOf(command);
      show(await client.placement.readyHost(hostId), form, printMaintenance);
    });

  withController(maintenance.command('cancel').description('begin no host any more, and stop the drain that is under way'))
    .addHelpText(
      'after',
      '\nVMs under way end their move. Hosts stay cordoned as they are; what is away is listed, with how to bring it back.',
    )
    .action(async (_options, command: Command) => {
      const { client, form } = await callOf(command);
      show(await client.placement.cancelMaintenance(), form, printMaintenance);
    });
}

async function start(hosts: readonly string[], options: StartOptions, command: Command): Promise<void> {
  const { all, parallel, until, reason } = options;
  if (hosts.length > 0 === all) throw new CliError('usage', 'name the hosts in their order, or say --all');
  const call = await callOf(command);
  const { placement } = call.client;
  const wish = { hostIds: all ? null : [...hosts], parallel, until, reason };
  if (options.dryRun) {
    const preview = await placement.previewMaintenance(wish);
    show(preview, call.form, (seen, _nowMs, width) => printMaintenancePreview(seen, width));
    if (preview.refusal !== null || preview.hosts.some(({ fault }) => fault !== null)) process.exitCode = 1;
    return;
  }
  if (!options.yes) {
    const preview = await placement.previewMaintenance(wish);
    if (preview.refusal !== null) throw new CliError('refused', preview.refusal);
    const names = preview.hosts.map(({ drain }) => drain.hostId);
    const held = preview.hosts.filter(({ fault }) => fault !== null).length;
    const left = held === 0 ? '' : ` ${held} of them could not be emptied now ('--dry-run' says why).`;
    const word = names.length === 1 ? (names[0] ?? '') : String(names.length);
    await confirmByTyping(word, `${names.join(', ')} will be cordoned and emptied, ${parallel} at a time.${left}`, call.signal);
  }
  const begun = await placement.startMaintenance(wish);
  if (call.watch) await showView({ read: () => placement.maintenance(), print: printMaintenance }, call);
  else show(begun, call.form, printMaintenance);
}

function parallelArgument(text: string): number {
  const { parallelMax } = maintenanceLimits;
  if (!/^[1-9]\d?$/.test(text) || Number(text) > parallelMax)
    throw new InvalidArgumentError(`Write a whole number from 1 to ${parallelMax}.`);
  return Number(text);
}
