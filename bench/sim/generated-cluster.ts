/** Clusters for the bench: ten VMs or so on each host, load that changes, hosts that get hot, and a few operators. */
import type { Random } from '#core/ports.ts';
import { Streams } from '#sim/random.ts';
import { type Scenario, scenarioOf } from '#sim/scenario.ts';

export interface ClusterSize {
  readonly hosts: number;
  readonly vmsPerHost: number;
  readonly seconds: number;
  readonly seed: number;
}

const hostCores = 16;
/** VMs of a host ask for this share of its cores together, on average. */
const meanShare = 0.45;
/** Those of a hot host, as long as it is hot. */
const hotShare = 0.95;
const changeEverySeconds = 600;
const hotEverySeconds = 4 * 3600;
const hotForSeconds = 900;
const operatorEverySeconds = 600;
/** A large cluster may move more at once than the few of the default policy. */
const hostsPerMigration = 50;
const migrationsMin = 4;

/** The same size gives the same cluster and the same events, byte for byte. */
export function generatedScenario({ hosts, vmsPerHost, seconds, seed }: ClusterSize): Scenario {
  const random = new Streams(seed).stream('bench');
  const hostIds = Array.from({ length: hosts }, (_, index) => `host-${String(index + 1).padStart(4, '0')}`);
  const homes = hostIds.map((hostId) => ({ hostId, vms: Array.from({ length: vmsPerHost }, (_, index) => `${hostId}-vm-${index}`) }));
  const vcpus = Math.max(1, Math.ceil((hostCores * 2) / vmsPerHost));
  const demandOf = (share: number) => (share * hostCores * (0.5 + random.fraction())) / vmsPerHost;
  const migrationsMax = Math.max(migrationsMin, Math.ceil(hosts / hostsPerMigration));
  const vms = homes.flatMap(({ hostId, vms: names }) =>
    names.map((name) => [
      name,
      { host: hostId, vcpus, memoryGiB: 1 + Math.floor(random.fraction() * 4), demandCores: demandOf(meanShare) },
    ]),
  );
  const cluster = {
    seed,
    runForSeconds: seconds,
    mode: 'automatic',
    policy: { migrationsPerClusterMax: migrationsMax, movesPerPlanMax: migrationsMax },
    hosts: Object.fromEntries(hostIds.map((hostId) => [hostId, { cpuCores: hostCores, memoryGiB: Math.max(64, vmsPerHost * 8) }])),
    vms: Object.fromEntries(vms) as Record<string, unknown>,
  };
  const events = homes.flatMap((home) => [
    ...home.vms.flatMap((vm) => changes(random, vm, seconds, () => demandOf(meanShare))),
    ...times(random, hotEverySeconds, seconds).flatMap((at) => hotSpell(home.vms, at, seconds, demandOf)),
  ]);
  const operators = times(random, operatorEverySeconds, seconds).map((at) => operatorsMove(random, homes, at));
  return scenarioOf(cluster, [...events, ...operators]);
}

/** Random moments, this far apart on average (a Poisson process), in whole milliseconds. */
function times(random: Random, everySeconds: number, seconds: number): readonly number[] {
  const found: number[] = [];
  const next = (from: number) => from - Math.log(1 - random.fraction()) * everySeconds;
  for (let at = next(0); at < seconds; at = next(at)) found.push(Math.round(at * 1000) / 1000);
  return found;
}

function changes(random: Random, vm: string, seconds: number, cores: () => number): readonly object[] {
  return times(random, changeEverySeconds, seconds).map((at) => ({ at, do: 'demand', vm, cores: cores() }));
}

function hotSpell(vms: readonly string[], at: number, seconds: number, demandOf: (share: number) => number): readonly object[] {
  const spell = (from: number, share: number) => vms.map((vm) => ({ at: from, do: 'demand', vm, cores: demandOf(share) }));
  const until = at + hotForSeconds;
  return [...spell(at, hotShare), ...(until < seconds ? spell(until, meanShare) : [])];
}

/** To any other host, or to one that the planner chooses; the controller may refuse it. */
function operatorsMove(random: Random, homes: readonly { readonly hostId: string; readonly vms: readonly string[] }[], at: number): object {
  const any = <Value>(values: readonly Value[]) => values[Math.floor(random.fraction() * values.length)];
  const home = any(homes);
  const vm = any(home?.vms ?? []);
  const to = any(homes.filter((other) => other !== home))?.hostId;
  return random.fraction() < 0.5 && to !== undefined ? { at, do: 'migrate', vm, to } : { at, do: 'migrate', vm };
}
