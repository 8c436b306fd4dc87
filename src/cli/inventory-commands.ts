import { Argument, type Command } from 'commander';
import { formatDuration } from './format.ts';
import { printHost, printHosts, printToken } from './host-printer.ts';
import { callOf, durationArgument, withController, withWatch } from './options.ts';
import { show, showView } from './output.ts';
import { printMode, printStatus } from './status-printer.ts';
import { printVm, printVms } from './vm-printer.ts';

const tokenLifetimeMs = 3_600_000;

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

/** `host list|show|token`. */
export function addHostCommands(program: Command): void {
  const host = program.command('host').description('hosts: their load, and letting new ones join');

  withWatch(host.command('list').alias('ls').description('list the hosts with their load')).action(async (_options, command: Command) => {
    const call = await callOf(command);
    await showView({ read: () => call.client.hosts(), print: printHosts }, call);
  });

  withWatch(host.command('show').description('show one host').argument('<host>', 'its name')).action(
    async (hostId: string, _options, command: Command) => {
      const call = await callOf(command);
      await showView({ read: () => call.client.host(hostId), print: printHost }, call);
    },
  );

  withController(
    host.command('token').description('make a one-time token with which a host may join').argument('<host>', 'the name it will have'),
  )
    .option(
      '--lifetime <time>',
      `how long the token can be used (default: ${formatDuration(tokenLifetimeMs)})`,
      durationArgument,
      tokenLifetimeMs,
    )
    .addHelpText('after', '\nExamples:\n  plimsoll host token host3\n  plimsoll host token host3 --lifetime 15m -o json')
    .action(async (hostId: string, options: { readonly lifetime: number }, command: Command) => {
      const { client, form } = await callOf(command);
      show(await client.createToken(hostId, options.lifetime), form, printToken);
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
