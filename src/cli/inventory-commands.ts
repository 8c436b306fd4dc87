import { Argument, type Command } from 'commander';
import { printVmCheck } from './check-printer.ts';
import { callOf, withController, withWatch } from './options.ts';
import { columnsOf, show, showView } from './output.ts';
import { printMode, printStatus } from './status-printer.ts';
import { printVm, printVms } from './vm-printer.ts';

/** `status` and `mode`. */
export function addStatusCommands(program: Command): void {
  withWatch(program.command('status').description('show the controller: mode, hosts, migrations under way')).action(
    async (_options, command: Command) => {
      const call = await callOf(command);
      await showView({ read: () => call.client.status(), print: printStatus }, call);
    },
  );

  withController(
    program
      .command('mode')
      .description('show or change what the controller does with its plans')
      .addArgument(
        new Argument('[mode]', 'observe: plans, moves nothing; approve: a person applies; automatic: moves').choices([
          'observe',
          'approve',
          'automatic',
        ]),
      ),
  )
    .addHelpText('after', '\nExamples:\n  plimsoll mode\n  plimsoll mode automatic')
    .action(async (mode: string | undefined, _options, command: Command) => {
      const { client, form } = await callOf(command);
      show(mode === undefined ? await client.status() : await client.setMode(mode), form, printMode);
    });
}

const checkExamples = `
Marks: ok; warn (it may go, read why); NO (refused); ? (could not be looked at, which alone refuses nothing); - (not asked).
Exit code: 0 it can go to that host (without one: to at least one), 1 it cannot.

Examples:
  plimsoll vm check web1            every other host: where can it go, and why not
  plimsoll vm check web1 host2      one host, every check with what was found
  plimsoll vm check web1 -o json`;

/** `vm list|show|check`. */
export function addVmCommands(program: Command): void {
  const vm = program.command('vm').description('virtual machines and where they run');

  withWatch(vm.command('list').alias('ls').description('list the VMs')).action(async (_options, command: Command) => {
    const call = await callOf(command);
    await showView({ read: () => call.client.vms(), print: printVms }, call);
  });

  withWatch(vm.command('show').description('show one VM').argument('<vm>', 'its name or UUID')).action(
    async (reference: string, _options, command: Command) => {
      const call = await callOf(command);
      await showView({ read: () => call.client.vm(reference), print: printVm }, call);
    },
  );

  withController(
    vm
      .command('check')
      .description('why can this VM not go there: all checks of a migration, nothing moves')
      .argument('<vm>', 'its name or UUID')
      .argument('[host]', 'where to (default: every other host)'),
  )
    .addHelpText('after', checkExamples)
    .action(async (reference: string, host: string | undefined, _options, command: Command) => {
      const { client, form } = await callOf(command);
      const check = await client.checkVm(reference, host ?? null);
      const columns = process.stdout.isTTY ? columnsOf(process.stdout) : Number.POSITIVE_INFINITY;
      show(check, form, () => printVmCheck(check, columns));
      if (!check.rows.some(({ possible }) => possible)) process.exitCode = 1;
    });
}
