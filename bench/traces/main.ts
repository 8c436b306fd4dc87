/**
 * Plays days of CPU traces on a model of a cluster, under the product and under the published rules of its peers, all with the same
 * physics and the same workloads, and prints one table for each set of traces. Seeded; node bench/traces/main.ts --help
 */
import { optionsOf } from '#bench/options.ts';
import type { Entrant } from './balancer.ts';
import { defaultPhysics } from './physics.ts';
import { play } from './play.ts';
import { entrantsNamed, peers } from './roster.ts';
import { searched } from './search.ts';
import { synthetic } from './synthetic.ts';
import { tableLines } from './table.ts';
import { folderFormat, tracesOfFolder } from './trace-folder.ts';
import type { TraceSet } from './trace.ts';
import { verdictOf } from './verdict.ts';
import { meanShare, workloadOf } from './workload.ts';
import type { WorkloadSize } from './workload.ts';

interface Setup extends WorkloadSize {
  readonly seeds: number;
  readonly hours: number;
}

function measure(set: TraceSet, entrants: readonly Entrant[], setup: Setup): void {
  const seeds = Array.from({ length: setup.seeds }, (_, index) => index + 1);
  const workloads = seeds.map((seed) => workloadOf(set, setup, seed));
  const vms = workloads.map((workload) => workload.vms.length);
  console.log(`traces      ${set.name}: ${setup.hours} h, ${setup.seeds} seeds, medians over the seeds`);
  console.log(`cluster     ${setup.hosts} hosts of 16 cores and 256 GiB, ${Math.min(...vms)} to ${Math.max(...vms)} VMs`);
  const rows = entrants.map((entrant) => ({
    name: entrant.name,
    outcomes: workloads.map((workload) => play(workload, entrant.create(), defaultPhysics, setup.hours)),
  }));
  console.log(['', ...tableLines(rows), ''].join('\n'));
  const verdict = verdictOf(rows);
  if (verdict === null) return;
  console.log([...verdict.lines, ''].join('\n'));
  if (!verdict.isKept) process.exitCode = 1;
}

function sayPhysics(): void {
  const { bandwidthBytesPerSecond, copyFactor, sourceCores, destinationCores } = defaultPhysics;
  console.log(
    `migration   ${copyFactor} x memory at ${bandwidthBytesPerSecond / 1e6} MB/s; ${sourceCores} core of the source and ` +
      `${destinationCores} of the destination while it runs`,
  );
}

async function run(given: Readonly<Record<string, string>>): Promise<void> {
  const { traces, seeds = '5', hosts = '16', vms, hours = '24', only, search } = given;
  const vmsPerHost = vms === undefined ? null : Number(vms);
  const setup: Setup = { seeds: Number(seeds), hosts: Number(hosts), vmsPerHost, hours: Number(hours) };
  if (search !== undefined) {
    const peer = peers.find(({ name }) => name === search);
    if (peer === undefined) throw new RangeError(`no peer is called ${search}: there are ${peers.map(({ name }) => name).join(', ')}`);
    for (const line of searched(peer, setup)) console.log(line);
    return;
  }
  const entrants = entrantsNamed(only === undefined ? null : only.split(','));
  sayPhysics();
  for (const set of [synthetic, ...(traces === undefined ? [] : await tracesOfFolder(traces))]) measure(set, entrants, setup);
}

const options = optionsOf({
  name: 'traces',
  does:
    'Plays CPU traces on a model of a cluster under the product and under the published rules of its peers, and prints overloaded time,\n' +
    `migrations and returns of each.\n\n${folderFormat}`,
  options: {
    traces: { value: 'DIR', does: 'a folder of days of traces, played beside the synthetic ones (default: none)' },
    seeds: { value: 'N', does: 'runs of each balancer (default: 5)', max: 1000 },
    hosts: { value: 'N', does: 'hosts of the cluster (default: 16)', max: 2000 },
    vms: { value: 'N', does: `VMs of each host (default: as many as ask for ${meanShare * 100} % of the cores)`, max: 60 },
    hours: { value: 'N', does: 'hours (default: 24)', max: 1000 },
    only: { value: 'NAMES', does: 'balancers whose names begin so, separated by commas (default: all)' },
    search: { value: 'NAME', does: 'instead: the settings of this peer on synthetic traces, best first' },
  },
  needsLab: false,
});
if (options !== null) {
  try {
    await run(options);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(error.message);
    process.exitCode = 2;
  }
}
