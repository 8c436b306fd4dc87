/** Makes a schedule that breaks something smaller, as long as it still breaks the same. */
import type { InvariantCode } from './breach.ts';
import type { Surroundings } from './cluster.ts';
import type { Scenario } from './scenario.ts';
import { type Schedule, scenarioFrom, type Unit } from './schedule.ts';
import { playScenario } from './soak.ts';

export interface Shrunk {
  readonly scenario: Scenario;
  readonly units: readonly Unit[];
  readonly runs: number;
}

const runsMax = 400;

/**
 * First without groups of units, half of them at a time and then ever fewer (delta debugging: Zeller and Hildebrandt, "Simplifying and
 * isolating failure-inducing input", 2002), then without VMs that are not named any more, as far as `code` is still broken.
 */
export async function shrink(
  schedule: Schedule,
  code: InvariantCode,
  surroundings: Surroundings,
  onProgress: (words: string) => void = () => undefined,
): Promise<Shrunk> {
  let runs = 0;
  const breaks = async (scenario: Scenario): Promise<boolean> => {
    if (runs >= runsMax) return false;
    runs += 1;
    const { breaches } = await playScenario(scenario, surroundings);
    return breaches[0]?.code === code;
  };
  const { cluster } = schedule.scenario;
  const units = await fewest(
    schedule.units,
    (kept) => breaks(scenarioFrom(cluster, kept)),
    (left) => onProgress(`${left} events left`),
  );
  const vms = Object.entries(cluster.vms);
  const kept = await fewest(
    vms,
    (some) => breaksWith(some),
    (left) => onProgress(`${left} VMs left`),
  );
  const smaller = { ...cluster, vms: Object.fromEntries(kept) };
  return { scenario: scenarioFrom(smaller, units), units, runs };

  async function breaksWith(some: readonly (typeof vms)[number][]): Promise<boolean> {
    const names = new Set(some.map(([name]) => name));
    const missing = units.some(({ events }) => events.some((event) => vmsNamed(event).some((vm) => !names.has(vm))));
    return !missing && breaks(scenarioFrom({ ...cluster, vms: Object.fromEntries(some) }, units));
  }
}

function vmsNamed(event: Unit['events'][number]): readonly string[] {
  const awaited = typeof event.at === 'number' ? [] : [event.at.vm];
  return 'vm' in event ? [event.vm, ...awaited] : awaited;
}

async function fewest<Value>(
  values: readonly Value[],
  holds: (kept: readonly Value[]) => Promise<boolean>,
  onProgress: (left: number) => void,
): Promise<readonly Value[]> {
  let kept = values;
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < kept.length;) {
      const fewer = [...kept.slice(0, from), ...kept.slice(from + size)];
      if (await holds(fewer)) {
        kept = fewer;
        onProgress(kept.length);
      } else from += size;
    }
  }
  return kept;
}
