import type { VmSettingsBody } from '#wire/vm-settings-api.ts';
import type { Command } from 'commander';
import { printVmCheck } from './check-printer.ts';
import type { ControllerClient } from './client.ts';
import { CliError } from './errors.ts';
import { labelArgument } from './label-arguments.ts';
import { addressArgument, callOf, classArgument, tenantArgument, withController, withWatch, yesNoArgument } from './options.ts';
import { show, showView } from './output.ts';
import { printVm, printVms, printVmSettings, type VmWithSettings } from './vm-printer.ts';

const checkExamples = `
Marks: ok; warn (it may go, read why); NO (refused); ? (could not be looked at, which alone refuses nothing); - (not asked).
Exit code: 0 it can go to that host (without one: to at least one), 1 it cannot.

Examples:
  plimsoll vm check web1            every other host: where can it go, and why not
  plimsoll vm check web1 host2      one host, every check with what was found
  plimsoll vm check web1 -o json`;

const setExamples = `
What is not given stays as it is.

Examples:
  plimsoll vm set web1 --address 192.0.2.7
  plimsoll vm set web1 --address none --restartable yes
  plimsoll vm set web1 --class critical --tenant acme
  plimsoll vm set web1 --class none
  plimsoll vm set web1 --label tier=web --label rack=a7      rules mean it by label:tier=web, or label:rack
  plimsoll vm set web1 --label rack-                         takes the label back
  plimsoll vm show web1`;

interface SetOptions {
  /** An IP address, or `none`. */
  readonly address?: string;
  readonly restartable?: boolean;
  /** A word, or `none`. */
  readonly class?: string;
  readonly tenant?: string;
  /** By key; null takes one back. */
  readonly label?: Readonly<Record<string, string | null>>;
}

/** `vm list|show|set|check`. */
export function addVmCommands(program: Command): void {
  const vm = program.command('vm').description('virtual machines and where they run');

  withWatch(vm.command('list').alias('ls').description('list the VMs')).action(async (_options, command: Command) => {
    const call = await callOf(command);
    await showView({ read: () => call.client.vms(), print: printVms }, call);
  });

  withWatch(vm.command('show').description('show one VM, and what operators want for it').argument('<vm>', 'its name or UUID')).action(
    async (reference: string, _options, command: Command) => {
      const call = await callOf(command);
      await showView({ read: () => vmWithSettings(call.client, reference), print: printVm }, call);
    },
  );

  withController(
    vm
      .command('set')
      .description('say where a VM is reached, whether it may be started elsewhere when its host has died, and what moves it bears')
      .argument('<vm>', 'its name or UUID'),
  )
    .option('--address <ip>', 'its clients reach it there: it is asked for answers while it moves; none: look it up', addressArgument)
    .option('--restartable <yes|no>', 'it may be started on another host after the death of its own', yesNoArgument)
    .option('--class <name>', 'one of policy.classes: what a move by the balancer may cost it; none: standard', classArgument)
    .option('--tenant <name>', 'whose it is: counted against policy.budgets.tenantMovesPerHour; none: nobody said', tenantArgument)
    .option('--label <key=value>', 'rules mean VMs by their labels; key- takes one back; may be given again', labelArgument)
    .addHelpText('after', setExamples)
    .action(async (reference: string, options: SetOptions, command: Command) => {
      const change = changeOf(options);
      const { client, form } = await callOf(command);
      show(await client.setVm(reference, change), form, (settings) => printVmSettings(reference, settings));
    });

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
      show(check, form, (found, _nowMs, columns) => printVmCheck(found, columns));
      if (!check.rows.some(({ possible }) => possible)) process.exitCode = 1;
    });
}

function changeOf({ address, restartable, class: slaClass, tenant, label }: SetOptions): VmSettingsBody {
  if ([address, restartable, slaClass, tenant, label].every((value) => value === undefined))
    throw new CliError(
      'usage',
      "nothing to set: give --address, --restartable, --class, --tenant or --label; 'plimsoll vm show' shows what holds now",
    );
  return {
    ...(address === undefined ? {} : { address: address === 'none' ? null : address }),
    ...(restartable === undefined ? {} : { restartable }),
    ...(slaClass === undefined ? {} : { slaClass: slaClass === 'none' ? null : slaClass }),
    ...(tenant === undefined ? {} : { tenant: tenant === 'none' ? null : tenant }),
    ...(label === undefined ? {} : { labels: label }),
  };
}

async function vmWithSettings(client: ControllerClient, reference: string): Promise<VmWithSettings> {
  const vm = await client.vm(reference);
  return { ...vm, settings: await client.vmSettings(vm.vmId) };
}
