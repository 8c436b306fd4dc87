/**
 * Plays generated clusters of 3, 100 and 1,000 hosts in virtual time, with the real controller and agents and every invariant, and prints
 * how many virtual seconds one second of CPU time plays. CPU time counts all threads of the process, so that a busy machine changes little.
 * Seeded; node bench/sim/main.ts --help
 */
import { spawnSync } from 'node:child_process';
import { optionsOf } from '#bench/options.ts';
import { SimCluster } from '#sim/cluster.ts';
import { surroundings } from '#sim/surroundings.ts';
import { type ClusterSize, generatedScenario } from './generated-cluster.ts';

/** At least this many virtual seconds in a second of CPU. */
const targets = [
  { hosts: 3, ratioMin: 1000 },
  { hosts: 100, ratioMin: 100 },
  { hosts: 1000, ratioMin: 10 },
];
const memoryMiBMax = 4096;

function cpuSeconds(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
}

async function measure(size: ClusterSize): Promise<void> {
  const scenario = generatedScenario(size);
  const before = process.cpuUsage();
  const cluster = new SimCluster(scenario, surroundings);
  await cluster.run();
  const seconds = cpuSeconds(before);
  const ratio = size.seconds / seconds;
  const events = cluster.time.eventsTotal;
  const memoryMiB = process.resourceUsage().maxRSS / 1024;
  const migrations = cluster.store.allMigrations();
  const moved = cluster.store.allLedger().filter(({ outcome }) => outcome === 'moved').length;
  const ratioMin = targets.find(({ hosts }) => hosts === size.hosts)?.ratioMin;
  const isEnough = ratio >= (ratioMin ?? 0) && memoryMiB <= memoryMiBMax;

  console.log(`cluster       ${size.hosts} hosts, ${size.hosts * size.vmsPerHost} VMs, seed ${size.seed}`);
  console.log(`played        ${size.seconds} virtual seconds, ${events} events, ${scenario.events.length} of them from outside`);
  console.log(`migrations    ${migrations.length} asked for, ${moved} moved; no invariant was broken`);
  console.log(`CPU time      ${seconds.toFixed(1)} s, ${((seconds / events) * 1e6).toFixed(1)} us for an event`);
  console.log(`memory        ${memoryMiB.toFixed(0)} MiB at most (limit ${memoryMiBMax})`);
  console.log(`ratio         ${ratio.toFixed(1)} virtual seconds in one of CPU${ratioMin === undefined ? '' : ` (at least ${ratioMin})`}`);
  if (!isEnough) process.exitCode = 1;
}

/** Each in a process of its own: the largest memory of one would else count for the next. */
function measureAll(given: readonly string[]): void {
  for (const { hosts } of targets) {
    const { status } = spawnSync(process.execPath, [import.meta.filename, '--hosts', String(hosts), ...given], { stdio: 'inherit' });
    console.log('');
    if (status !== 0) process.exitCode = 1;
  }
}

const options = optionsOf({
  name: 'sim',
  does: 'Plays generated clusters in virtual time and prints virtual seconds for a second of CPU, events and memory.',
  options: {
    hosts: { value: 'N', does: 'hosts of the cluster (default: 3, then 100, then 1000)', max: 2000 },
    vms: { value: 'N', does: 'VMs of each host (default: 10)', max: 100 },
    seconds: { value: 'N', does: 'virtual seconds (default: 3600)', max: 1_000_000 },
    seed: { value: 'N', does: 'of the load, the operators and the cluster (default: 1)', max: 2 ** 31 },
  },
  needsLab: false,
});
if (options !== null) {
  const { hosts, vms = '10', seconds = '3600', seed = '1' } = options;
  if (hosts === undefined) measureAll(['--vms', vms, '--seconds', seconds, '--seed', seed]);
  else await measure({ hosts: Number(hosts), vmsPerHost: Number(vms), seconds: Number(seconds), seed: Number(seed) });
}
