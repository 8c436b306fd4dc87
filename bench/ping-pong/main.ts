/**
 * Loads that are square waves, from half the planning interval to five times as long: what a balancer that only compares the load of the
 * moment with a line moves back and forth for ever. The real controller and agents in virtual time; beside the product the
 * same planner without anything that keeps it calm. Prints moves, the most of one VM, and returns within an hour.
 * Seeded; node bench/ping-pong/main.ts --help
 */
import { optionsOf } from '#bench/options.ts';
import { strategies } from '#core/model/policy.ts';
import { SimCluster } from '#sim/cluster.ts';
import { type Scenario, scenarioOf } from '#sim/scenario.ts';
import { surroundings } from '#sim/surroundings.ts';

const planIntervalSeconds = 60;
const periods = [0.5, 1, 2, 5];
const hourMs = 3_600_000;

/** The most that a cool-down allows one VM which doubles from half an hour to six hours. */
function movesOfVmMax(hours: number): number {
  let moves = 0;
  for (let [atHours, coolHours] = [0, 0.5]; atHours < hours; atHours += coolHours, coolHours = Math.min(6, coolHours * 2)) moves += 1;
  return moves;
}

/** Nothing waits: no rounds, no smoothing to speak of, no cool-down, no way that is closed. */
const naive = {
  sustainedRounds: 1,
  smoothingHalfLifeMs: 1,
  minimumGainPercent: 0,
  coolDownMs: 0,
  coolDownMsMax: 0,
  returnMsMin: 0,
  cpuLine: { startPercent: 80, stopPercent: 80 },
};
/** By name: a strategy, a direction, or both. */
const policies: Readonly<Record<string, object>> = {
  ...Object.fromEntries(strategies.map((strategy) => [strategy, { strategy }])),
  pull: { direction: 'pull' },
  both: { direction: 'both' },
  naive,
};
const usual = 'lines,balance,naive';

const hosts = ['host1', 'host2', 'host3'];
const vmsPerHost = 3;
/** The VMs' periods differ by so much, so that all of them meet sooner or later: no placement is right for long. */
const periodSpread = 0.13;
const busyCores = 1.3;
const idleCores = 0.1;
const quietSeconds = 60;

/** Three hosts of four cores and nine VMs, each a square wave of its own; three busy ones on one host are above its line. */
function waveScenario(policy: object, periodSeconds: number, hours: number): Scenario {
  const vms = hosts.flatMap((host) => Array.from({ length: vmsPerHost }, (_, number) => ({ name: `${host}-vm${number + 1}`, host })));
  const seconds = hours * 3600;
  const events = vms.flatMap(({ name }, index) => {
    const half = (periodSeconds * (1 + periodSpread * index)) / 2;
    const count = Math.floor((seconds - quietSeconds) / half);
    return Array.from({ length: count }, (_, turn) => ({
      at: Math.round((quietSeconds + turn * half) * 1000) / 1000,
      do: 'demand',
      vm: name,
      cores: turn % 2 === 0 ? busyCores : idleCores,
    }));
  });
  const cluster = {
    seed: 1,
    runForSeconds: seconds,
    mode: 'automatic',
    planIntervalSeconds,
    policy,
    hosts: Object.fromEntries(hosts.map((host) => [host, { cpuCores: 4, memoryGiB: 16 }])),
    vms: Object.fromEntries(vms.map(({ name, host }) => [name, { host, vcpus: 2, memoryGiB: 1, demandCores: idleCores }])),
  };
  return scenarioOf(cluster, events);
}

interface Moves {
  readonly total: number;
  readonly mostOfVm: number;
  readonly returns: number;
}

async function movesUnder(policy: object, periodSeconds: number, hours: number): Promise<Moves> {
  const cluster = new SimCluster(waveScenario(policy, periodSeconds, hours), surroundings);
  await cluster.run();
  const moved = cluster.store.allLedger().filter(({ outcome }) => outcome === 'moved');
  const ofVm = Map.groupBy(moved, ({ vmId }) => vmId);
  const returns = moved.filter((entry) =>
    moved.some(
      ({ vmId, fromHostId, endedAtMs }) =>
        vmId === entry.vmId && fromHostId === entry.toHostId && endedAtMs <= entry.startedAtMs && entry.endedAtMs - endedAtMs < hourMs,
    ),
  ).length;
  cluster.actors.end();
  return { total: moved.length, mostOfVm: Math.max(0, ...[...ofVm.values()].map((entries) => entries.length)), returns };
}

const options = optionsOf({
  name: 'ping-pong',
  does: 'Plays VMs whose loads are square waves, under several strategies and without anything that keeps them calm.',
  options: {
    strategies: { value: 'NAMES', does: `of ${Object.keys(policies).join(', ')}, separated by commas, or all (default: ${usual})` },
    hours: { value: 'N', does: 'virtual hours of each (default: 24)', max: 1000 },
  },
  needsLab: false,
});
if (options !== null) {
  const hours = Number(options['hours'] ?? '24');
  const asked = options['strategies'] ?? usual;
  const names = asked === 'all' ? Object.keys(policies) : asked.split(',');
  const unknown = names.find((name) => !Object.hasOwn(policies, name));
  if (unknown !== undefined) {
    console.error(`no strategy is called ${unknown}: there are ${Object.keys(policies).join(', ')}`);
    process.exit(2);
  }
  const limit = movesOfVmMax(hours);
  console.log(
    `square wave, ${hours} virtual hours, plans each ${planIntervalSeconds} s; a VM may move ${limit} times and return within an hour never`,
  );
  for (const period of periods) {
    for (const name of names) {
      const { total, mostOfVm, returns } = await movesUnder(policies[name] ?? {}, period * planIntervalSeconds, hours);
      const isKept = name === 'naive' || (mostOfVm <= limit && returns === 0);
      if (!isKept) process.exitCode = 1;
      console.log(
        `period ${String(period).padStart(3)} x  ${name.padEnd(9)} ${String(total).padStart(5)} moves, ${String(mostOfVm).padStart(4)} of one VM, ` +
          `${String(returns).padStart(5)} returns${isKept ? '' : '  too many'}`,
      );
    }
  }
}
