import type { DrainResource } from '#wire/placement-api.ts';
import type { Command } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import { confirmByTyping } from './confirm.ts';
import { printCordon, printDrain, printDrainPreview } from './drain-printer.ts';
import { CliError } from './errors.ts';
import { type Call, callOf, withController, withWatch } from './options.ts';
import { show, showView, writeLine } from './output.ts';
import { printable } from './format.ts';

const watchMs = 2000;
/** What has just arrived is not counted before the next samples: so often in a row nothing may be left to do. */
const settledLooks = 4;
const cancelMsMax = 10_000;

const drainHelp = `
Cordons the host, then moves its VMs one after another as the caps allow, each to the least loaded host that its rules and its room let
it go to. Cool-downs do not hold this up. It goes on without this command, also over a restart of the controller; --watch shows it, and
Ctrl-C there cancels it. VMs under way end their move. Exit code with --watch: 1 when VMs are left that cannot leave.

Examples:
  plimsoll host drain host3 --dry-run             what would go where, and what cannot leave
  plimsoll host drain host3 --reason "new disk"   begin
  plimsoll host drain host3 --yes --watch         begin, and stay until it is empty
  plimsoll host drain host3 --status              how it stands
  plimsoll host drain host3 --cancel              move nothing more
  plimsoll host restore host3                     uncordon it, and bring back what the drain moved away`;

interface DrainOptions {
  readonly reason: string;
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly cancel: boolean;
  readonly status: boolean;
}

/** `host cordon|uncordon|drain|restore`. */
export function addDrainCommands(host: Command): void {
  withController(
    host.command('cordon').description('let no new VMs come to a host; those that run there stay').argument('<host>', 'its name'),
  )
    .option('--reason <text>', 'why, for the others and the audit', '')
    .action(async (hostId: string, options: { readonly reason: string }, command: Command) => {
      const { client, form } = await callOf(command);
      show(await client.placement.cordon(hostId, options.reason), form, printCordon);
    });

  withController(host.command('uncordon').description('let VMs come to a host again').argument('<host>', 'its name')).action(
    async (hostId: string, _options, command: Command) => {
      const { client, form } = await callOf(command);
      show(await client.placement.uncordon(hostId), form, () => printable(`${hostId} takes VMs again.`));
    },
  );

  withWatch(host.command('drain').description('move every VM off a host, for maintenance').argument('<host>', 'its name'))
    .option('--reason <text>', 'why, for the others and the audit', '')
    .option('-n, --dry-run', 'show what would go where, and what cannot leave; move nothing', false)
    .option('-y, --yes', 'do not ask for the name to be typed', false)
    .option('--cancel', 'move nothing more', false)
    .option('--status', 'show how it stands', false)
    .addHelpText('after', drainHelp)
    .action(drain);

  withWatch(
    host.command('restore').description('uncordon a host and bring back the VMs that its drain moved away').argument('<host>', 'its name'),
  )
    .addHelpText(
      'after',
      '\nWhat no longer fits below its lines stays where it is, and the reason is told. Exit code with --watch: 1 when any did.',
    )
    .action(async (hostId: string, _options, command: Command) => {
      const call = await callOf(command);
      const begun = await call.client.placement.changeDrain(hostId, 'restore');
      if (call.watch) await follow(call, hostId);
      else show(begun, call.form, printDrain);
    });
}

async function drain(hostId: string, options: DrainOptions, command: Command): Promise<void> {
  if ([options.dryRun, options.cancel, options.status].filter(Boolean).length > 1)
    throw new CliError('usage', 'give one of --dry-run, --cancel and --status');
  const call = await callOf(command);
  const { placement } = call.client;
  if (options.dryRun)
    return show(await placement.previewDrain(hostId), call.form, (preview, _nowMs, width) => printDrainPreview(preview, width));
  if (options.status) return showView({ read: () => placement.drain(hostId), print: printDrain }, call);
  if (options.cancel) return show(await placement.changeDrain(hostId, 'cancel'), call.form, printDrain);
  if (!options.yes) await confirmDrain(call, hostId);
  const begun = await placement.startDrain(hostId, options.reason);
  if (call.watch) await follow(call, hostId);
  else show(begun, call.form, printDrain);
}

async function confirmDrain(call: Call, hostId: string): Promise<void> {
  const { steps, stays } = await call.client.placement.previewDrain(hostId);
  const left = stays.length === 0 ? '' : `, ${stays.length} cannot leave now ('--dry-run' says why)`;
  await confirmByTyping(hostId, `${hostId} will be cordoned and emptied: ${steps.length} VMs will be moved${left}.`, call.signal);
}

/** Shows it until it is over or can do no more; Ctrl-C cancels it. */
async function follow(call: Call, hostId: string): Promise<void> {
  let drained: DrainResource | null = null;
  let settled = 0;
  try {
    for (;;) {
      const seen = await call.client.placement.drain(hostId);
      if (drained !== null && isNews(drained, seen) && call.form === 'table') writeLine('');
      if (drained === null || isNews(drained, seen)) show(seen, call.form, printDrain);
      drained = seen;
      settled = seen.settled ? settled + 1 : 0;
      const isOver = seen.phase !== 'draining' && seen.phase !== 'restoring';
      if (isOver || settled >= settledLooks) break;
      await sleep(watchMs, undefined, { signal: call.signal });
    }
  } catch (cause) {
    if (!call.signal.aborted) throw cause;
    const cancelled = await call.client.withSignal(AbortSignal.timeout(cancelMsMax)).placement.changeDrain(hostId, 'cancel');
    show(cancelled, call.form, printDrain);
    throw new CliError('interrupted', `the drain of ${hostId} is cancelled`, { cause });
  }
  if (drained.stays.length > 0 || drained.phase === 'cancelled') process.exitCode = 1;
}

/** Other VMs move, or wait, or stay, than when it was last shown. */
function isNews(before: DrainResource, now: DrainResource): boolean {
  const gist = ({ phase, moving, away, stays }: DrainResource) =>
    JSON.stringify([phase, moving.map(({ vmId }) => vmId), away.map(({ vmId }) => vmId), stays.map(({ vmId, code }) => [vmId, code])]);
  return gist(before) !== gist(now);
}
