import { stopsVm } from '#core/migration/prediction.ts';
import { outcomeOf } from '#core/migration/step.ts';
import type { MigrationResource } from '#wire/api.ts';

/** CPU time of one part of one end of a migration. */
export interface CpuFigure {
  readonly end: 'source' | 'destination';
  readonly part: 'hypervisor' | 'ipsec' | 'agent';
  readonly seconds: number;
}

/**
 * What one ended migration adds to counters and histograms, in base units: seconds and bytes, as Prometheus asks for
 * (https://prometheus.io/docs/practices/naming/#base-units). Null where it is not known, which is not 0. Hosts and VMs are no labels of it:
 * their number has no bound.
 */
export interface MigrationFigures {
  readonly outcome: 'moved' | 'stayed' | 'unclear';
  readonly method: string;
  readonly failureCode: string | null;
  readonly totalSeconds: number | null;
  readonly downtimeSeconds: number | null;
  readonly outsideDowntimeSeconds: number | null;
  readonly brownoutSeconds: number | null;
  readonly memorySentBytes: number | null;
  readonly ipsecBytes: number | null;
  readonly ipsecPackets: number | null;
  readonly rounds: number | null;
  readonly cpu: readonly CpuFigure[];
}

export function figuresOf(migration: MigrationResource): MigrationFigures {
  const { plan, measures, outcome, failure } = migration;
  const totalMs = measures?.totalMs ?? outcome?.totalMs ?? null;
  const outsideMs = measures?.outside?.downtimeMs ?? null;
  // Of a VM that is stopped before the hypervisor begins, the hypervisor counts the end of the downtime only.
  const isStopped = plan !== null && stopsVm(plan.options);
  const saidMs = measures?.hypervisorDowntimeMs ?? outcome?.downtimeMs ?? outsideMs;
  return {
    outcome: outcomeOf(migration),
    method: measures?.method ?? plan?.options.method ?? 'unknown',
    failureCode: failure?.code ?? null,
    totalSeconds: secondsOf(totalMs),
    downtimeSeconds: secondsOf(isStopped ? (outsideMs ?? totalMs) : saidMs),
    outsideDowntimeSeconds: secondsOf(outsideMs),
    brownoutSeconds: secondsOf(measures?.outside?.brownoutMs ?? null),
    memorySentBytes: measures?.memorySentBytes ?? outcome?.memorySentBytes ?? null,
    ipsecBytes: measures?.espBytes ?? null,
    ipsecPackets: measures?.espPackets ?? null,
    rounds: measures?.rounds ?? outcome?.iterations ?? null,
    cpu: [...cpuOf('source', measures?.source ?? null), ...cpuOf('destination', measures?.destination ?? null)],
  };
}

function cpuOf(end: CpuFigure['end'], cost: NonNullable<MigrationResource['measures']>['source']): readonly CpuFigure[] {
  const parts = [
    ['hypervisor', cost?.hypervisorCpuSeconds],
    ['ipsec', cost?.ipsecCpuSeconds],
    ['agent', cost?.agentCpuSeconds],
  ] as const;
  return parts.flatMap(([part, seconds]) => (seconds === null || seconds === undefined ? [] : [{ end, part, seconds }]));
}

function secondsOf(ms: number | null): number | null {
  return ms === null ? null : ms / 1000;
}

/**
 * Tells each ended migration once. Give it the newest ended ones at each look; those that ended before `sinceMs` (the start of the process:
 * counters begin at 0 with it) are never told. Remembers no more than it was given last.
 */
export class NewlyEnded {
  readonly #sinceMs: number;
  #seen: ReadonlySet<string> = new Set();

  constructor(sinceMs: number) {
    this.#sinceMs = sinceMs;
  }

  /** Oldest first. */
  take(newestEnded: readonly MigrationResource[]): readonly MigrationResource[] {
    const seenBefore = this.#seen;
    this.#seen = new Set(newestEnded.map(({ request }) => request.migrationId));
    return newestEnded
      .filter(({ request, endedAtMs }) => endedAtMs !== null && endedAtMs >= this.#sinceMs && !seenBefore.has(request.migrationId))
      .toReversed();
  }
}
