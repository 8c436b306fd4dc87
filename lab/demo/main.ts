/**
 * `npm run demo`: three real hosts, six real guests. One host is driven over its line, the planner says what it
 * would move and why, moves it through proven IPsec channels, and the wire is searched for the guests' memory.
 * `npm run demo -- --keep` leaves the lab up.
 */
import { ControllerClient } from '#cli/client.ts';
import { printHosts } from '#cli/host-printer.ts';
import { printPlan } from '#cli/plan-printer.ts';
import type { HostResource } from '#wire/api.ts';
import { type Lab, LabError, type LabOptions, labUp, waitFor } from '#lab/api.ts';
import { runControlArm } from './control-arm.ts';
import { Screen } from './screen.ts';
import { story } from './story.ts';
import { checksOf, type Findings, loadTable, migrationTable } from './summary.ts';
import { mustHaveMoved, watchUntilLevel } from './watch.ts';

async function tell(lab: Lab, screen: Screen, signal: AbortSignal): Promise<boolean> {
  const client = new ControllerClient(lab.controllerSocket ?? '', signal);
  screen.heading('The cluster, quiet. Mode is observe: Plimsoll plans, and moves nothing');
  await untilQuiet(lab, client, screen, signal);
  screen.block(printHosts(await client.hosts(), Date.now()));

  screen.heading(`Load: the guests of ${story.hotHost} now burn CPU, write memory and write to their iSCSI disks`);
  const drivenAtMs = Date.now();
  await drive(lab);
  const before = await untilPlanned(client, drivenAtMs, screen, signal);
  screen.block(printHosts(before, Date.now()));

  screen.heading('The plan, with its reasons. Nothing has moved');
  screen.block(printPlan(await client.latestPlan(), Date.now()));

  screen.heading('Mode automatic: each move gets its own IPsec channel, proven before the first byte');
  await lab.client.reset();
  const capture = await lab.startCapture('demo', signal);
  await client.setMode('automatic');
  const watched = await watchUntilLevel(lab, client, screen, signal);
  await client.setMode('observe');
  mustHaveMoved(watched);
  const after = await client.hosts();
  const beats = await lab.client.beats();
  const wire = await lab.scan(await capture.stop(), signal);
  const receipts = await Promise.all(watched.map(({ migration }) => client.receipt(migration.request.migrationId)));

  screen.heading('Control arm: agents stopped, guards removed, one migration as libvirt does it by default');
  const control = await runControlArm(lab, 'vm6', signal);
  screen.line(
    `   ${control.guest} moved from ${control.from} to ${control.to} in plain text: its marker was readable ${control.markers} times`,
  );
  const disks = await Promise.all(lab.guests.map(async (guest) => ({ guest: guest.name, log: await guest.diskLog() })));
  return summarise(lab, { before, after, watched, receipts, beats, disks, wire, control }, screen);
}

/** The smoothed load still shows the guests' boot for a while. */
async function untilQuiet(lab: Lab, client: ControllerClient, screen: Screen, signal: AbortSignal): Promise<void> {
  const up = async () => {
    const hosts = await client.hosts();
    screen.live(loadsOf(hosts));
    const isCalm = (percent: number | null) => percent !== null && percent < story.quietCpuPercentMax;
    return hosts.length === lab.hosts.length && hosts.every((host) => host.status === 'up' && isCalm(host.cpuPercent));
  };
  await waitFor(up, { what: 'every host up and quiet', timeoutMs: 90_000, intervalMs: 250, signal });
}

async function drive(lab: Lab): Promise<void> {
  const hot: readonly string[] = story.hotGuests;
  await Promise.all(
    lab.guests.map((guest) =>
      guest.steer({
        cpuPercent: hot.includes(guest.name) ? story.hotCpuPercent : story.calmCpuPercent,
        dirtyMbPerSecond: story.dirtyMbPerSecond,
        diskWritesPerSecond: story.diskWritesPerSecond,
      }),
    ),
  );
}

/** Resolves with the hosts as they were when the planner first wanted to move something. */
async function untilPlanned(client: ControllerClient, sinceMs: number, screen: Screen, signal: AbortSignal) {
  const planned = async () => {
    const hosts = await client.hosts();
    screen.live(loadsOf(hosts));
    const plan = await client.latestPlan();
    return plan.verdict === 'moves' && plan.createdAtMs > sinceMs;
  };
  await waitFor(planned, { what: `${story.hotHost} over its line`, timeoutMs: story.overLineMsMax, intervalMs: 500, signal });
  return client.hosts();
}

function loadsOf(hosts: readonly HostResource[]): string {
  return hosts.map(({ hostId, cpuPercent }) => `${hostId} ${cpuPercent === null ? '?' : Math.round(cpuPercent)} % CPU`).join('   ');
}

function summarise(lab: Lab, found: Findings, screen: Screen): boolean {
  screen.heading('Summary');
  screen.block(loadTable(found.before, found.after));
  screen.line('');
  screen.block(migrationTable(found));
  screen.line('');
  const checks = checksOf(lab, found);
  for (const { what, holds, seen } of checks) screen.line(`   ${holds ? 'ok    ' : 'FAILED'} ${what}: ${seen}`);
  return checks.every(({ holds }) => holds);
}

function howToLookAround(lab: Lab): string {
  return [
    `lab '${lab.name}' stays up. Look around:`,
    '  npx plimsoll host list --watch         load of every host, live',
    '  npx plimsoll migrate vm1 --watch       move a VM yourself',
    '  npx plimsoll migration list            then: migration show ID, receipt show ID',
    `  npx plimsoll lab status --name ${lab.name}     what runs where`,
    `  npx plimsoll lab shell host1 --name ${lab.name}   a shell in a host`,
    `  npx plimsoll lab down --name ${lab.name}       take it down`,
  ].join('\n');
}

async function main(args: readonly string[]): Promise<number> {
  const unknown = args.filter((arg) => arg !== '--keep');
  if (unknown.length > 0) throw new LabError('lab-option-invalid', `unknown option ${unknown.join(' ')}: the demo knows --keep only`);
  const missing = process.env['PLIMSOLL_LAB_MISSING'];
  if (missing !== undefined) throw new LabError('lab-prerequisite-missing', `the demo needs a lab: ${missing}`);
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(new Error('interrupted')));
  const screen = new Screen();
  screen.heading('A lab: 3 hosts, each with its own namespaces, CPU share, libvirtd, charon and agent; 6 guests on iSCSI disks');
  const { labName: name, placement, planIntervalMs, sampleIntervalMs, smoothingHalfLifeMs } = story;
  const controllerConfig = { planIntervalMs, policy: { smoothingHalfLifeMs } };
  const options: Partial<LabOptions> = { name, placement, mode: 'observe', controllerConfig, agentConfig: { sampleIntervalMs } };
  const keep = args.includes('--keep');
  const lab = await labUp(options, { signal: stop.signal, stays: keep, log: (line) => screen.line(`   ${line}`) });
  try {
    const good = await tell(lab, screen, stop.signal);
    screen.line(`\n${good ? 'All of it holds.' : 'NOT all of it holds: see FAILED above.'} The demo took ${screen.elapsedSeconds()} s.`);
    return good ? 0 : 1;
  } finally {
    if (keep && !stop.signal.aborted) screen.line(`\n${howToLookAround(lab)}`);
    else await lab.down();
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
