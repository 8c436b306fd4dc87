/**
 * Hot clusters: how many hosts plans leave with more than 100 % of their CPU or memory wanted, with a certificate for each end. Either none is
 * left, which a checker of its own finds from the moves and the VMs alone; or there is a proof that no packing exists.
 */
import { createHash } from 'node:crypto';
import { planHbal } from '#core/exchange/hbal-plan.ts';
import { strategies, type Strategy } from '#core/model/policy.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { applied } from '#core/planner/applied-plan.ts';
import { exampleSnapshot } from '#core/planner/examples.ts';
import { makePlan } from '#core/planner/make-plan.ts';
import {
  type Checked,
  checkPlaces,
  easyPlaces,
  impossibility,
  type MadeMove,
  type Packing,
  type Places,
  placesAfter,
} from './certificate.ts';
import { type HotCluster, hotCluster } from './hot-cluster.ts';
import { fewestMoves } from './solver.ts';

const gibibyte = 2 ** 30;
const plansMax = 30;
const betweenPlansMs = 60_000;
/** Placements of a VM on a host; beyond so many the solver is not asked. */
const solverMax = 5000;

/** The same hosts and VMs, for both of what is asked here: what a VM uses of a host is in `uses`, and memory that a host keeps is not there. */
function clusterOf({ cluster, uses }: HotCluster): Packing {
  const cpu = new Map(uses.map((use) => [use.name, use.cpu]));
  const hosts = cluster.nodes.map(({ name, cpus, memoryMib, ownMemoryMib }) => ({
    hostId: name,
    cores: cpus,
    memoryBytes: ((memoryMib - ownMemoryMib) / 1024) * gibibyte,
  }));
  const cores = new Map(hosts.map((host) => [host.hostId, host.cores]));
  const vms = cluster.instances.map(({ name, primary, memoryMib }) => ({
    vmId: name,
    hostId: primary,
    cores: (cpu.get(name) ?? 0) * (cores.get(primary) ?? 0),
    memoryBytes: (memoryMib / 1024) * gibibyte,
  }));
  return { hosts, vms };
}

function snapshotOf({ hosts, vms }: Packing, strategy: Strategy): Snapshot {
  const byHost = Map.groupBy(vms, ({ hostId }) => hostId);
  const examples = hosts.map(({ hostId, cores, memoryBytes }) => ({
    id: hostId,
    cores,
    gib: memoryBytes / gibibyte,
    vms: (byHost.get(hostId) ?? []).map((vm) => ({ id: vm.vmId, cores: vm.cores, gib: vm.memoryBytes / gibibyte })),
  }));
  return exampleSnapshot(examples, { policy: { strategy, movesPerPlanMax: vms.length } });
}

/** Plan after plan by the default policy, each carried out, until there is nothing to plan. */
export function playedMoves(packing: Packing, strategy: Strategy): readonly MadeMove[] {
  let snapshot = snapshotOf(packing, strategy);
  const moves: MadeMove[] = [];
  for (let count = 0; count < plansMax; count += 1) {
    const plan = makePlan(snapshot);
    if (plan.moves.length === 0) break;
    moves.push(...plan.moves);
    snapshot = applied(snapshot, plan, betweenPlansMs);
  }
  return moves;
}

interface End {
  readonly name: string;
  readonly moves: readonly MadeMove[];
  readonly places: Places;
  readonly checked: Checked;
}

function endOf(packing: Packing, name: string, moves: readonly MadeMove[]): End {
  const places = placesAfter(packing, moves);
  if (typeof places === 'string') return { name, moves, places: new Map(), checked: { faults: [places], over: [], fullest: null } };
  return { name, moves, places, checked: checkPlaces(packing, places) };
}

/** The same placement has the same. */
function digestOf(places: Places): string {
  const lines = [...places].map(([vmId, hostId]) => `${vmId} ${hostId}\n`).toSorted();
  return createHash('sha256').update(lines.join('')).digest('hex').slice(0, 16);
}

type Known = { readonly kind: 'packing' | 'none' | 'open'; readonly why: string };

/** What is known of the cluster whatever the planner does: asked only where it leaves something. */
function knownOf(packing: Packing, ends: readonly End[]): Known {
  const proof = impossibility(packing);
  if (proof !== null) return { kind: 'none', why: proof };
  const other = ends.find(({ checked }) => isSound(checked));
  if (other !== undefined) return { kind: 'packing', why: `the end by ${other.name} is one` };
  const easy = easyPlaces(packing);
  if (easy !== null && isSound(checkPlaces(packing, easy))) return { kind: 'packing', why: `largest first finds ${digestOf(easy)}` };
  if (packing.hosts.length * packing.vms.length > solverMax) return { kind: 'open', why: 'too large for the solver' };
  const limits = new Map(packing.hosts.map(({ hostId, cores }) => [hostId, cores]));
  const { kind } = fewestMoves({ snapshot: snapshotOf(packing, 'lines'), limits });
  if (kind === 'open') return { kind, why: 'HiGHS gave no answer in its time' };
  return kind === 'possible' ? { kind: 'packing', why: 'HiGHS has found one' } : { kind: 'none', why: 'HiGHS has proven it' };
}

function isSound({ faults, over }: Checked): boolean {
  return faults.length === 0 && over.length === 0;
}

export interface PackingSize {
  readonly hosts: number;
  readonly vmsPerHost: number;
  readonly seeds: number;
}

/** The rule of the literature as it was published fills no host above its one line: its ends are shown, and not judged. */
const published: Strategy = 'threshold';

/** Prints it; false when a host is left over 100 % although a packing is known, or when an end is no placement. */
export function measurePacking(sizes: readonly PackingSize[]): boolean {
  const kept: boolean[] = [];
  for (const { hosts, vmsPerHost, seeds } of sizes) {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const given = hotCluster(hosts, vmsPerHost, seed);
      const packing = clusterOf(given);
      const before = checkPlaces(packing, new Map(packing.vms.map(({ vmId, hostId }) => [vmId, hostId])));
      const load = (100 * packing.vms.reduce((sum, vm) => sum + vm.cores, 0)) / packing.hosts.reduce((sum, host) => sum + host.cores, 0);
      console.log(
        `${hosts} hosts, ${packing.vms.length} VMs, seed ${seed}: ${load.toFixed(1)} % of all CPU wanted, ${before.over.length} hosts over 100 %`,
      );
      const ends = [
        ...strategies.map((strategy) => endOf(packing, strategy, playedMoves(packing, strategy))),
        endOf(packing, "hbal's score", stepsByHbal(given)),
      ];
      const left = ends.some(({ checked }) => !isSound(checked));
      const known = left ? knownOf(packing, ends) : null;
      kept.push(...ends.map((end) => printEnd(end, known) || end.name === published));
    }
  }
  return kept.every(Boolean);
}

function stepsByHbal({ cluster, uses }: HotCluster): readonly MadeMove[] {
  const { steps } = planHbal(cluster, uses, { movesMax: null, effort: null });
  return steps.map(({ instance, from, to }) => ({ vmId: instance, fromHostId: from, toHostId: to }));
}

function printEnd({ name, moves, places, checked }: End, known: Known | null): boolean {
  const { faults, over, fullest } = checked;
  const of = (percent: number | undefined) => `${(percent ?? Number.NaN).toFixed(1)} %`;
  const cpu = over.filter(({ cpuPercent }) => !(cpuPercent <= 100)).length;
  const memory = over.filter(({ memoryPercent }) => !(memoryPercent <= 100)).length;
  const head = `  by ${name}`.padEnd(18) + `${String(moves.length).padStart(5)} moves; over 100 % left: CPU ${cpu}, memory ${memory}; `;
  if (faults.length > 0) {
    console.log(`${head}no certificate, the end is no placement: ${faults[0]}`);
    return false;
  }
  if (over.length === 0) {
    const most = `${fullest?.hostId} is the fullest at ${of(fullest?.cpuPercent)} CPU, ${of(fullest?.memoryPercent)} memory`;
    console.log(`${head}certificate: placement ${digestOf(places)}, ${most}`);
    return true;
  }
  const words = { packing: 'a packing is known', none: 'certificate: no packing exists', open: 'whether there is a packing is open' };
  console.log(`${head}${known === null ? '' : `${words[known.kind]}: ${known.why}`}`);
  return known?.kind !== 'packing';
}
