import { Argument, type Command } from 'commander';
import { callOf, withController, withWatch } from './options.ts';
import { show, showView } from './output.ts';
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

/** `vm list|show`. */
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
}
