import { forecastOfMove, type MoveForecast } from '#core/migration/move-forecast.ts';
import type { Move, MoveCost } from '#core/model/plan.ts';
import type { SlaClass } from '#core/model/policy.ts';
import type { PairBandwidth, Snapshot, VmFacts } from '#core/model/snapshot.ts';
import type { Violation } from './violation.ts';

export type CostViolationCode = 'class-forbids' | 'downtime-over-class' | 'copy-too-long' | 'cost-wrong' | 'saves-too-little';

/** Costs are calculated from the same figures, so only rounding may tell them apart. */
const tolerance = 1e-6;
const gibibyte = 2 ** 30;

/** What is said of each move's cost, and whether the VM's class and the time that a shortage is seen ahead allow the move. */
export function checkCosts(
  snapshot: Snapshot,
  moves: readonly Move[],
  repairs: ReadonlySet<Move>,
): readonly Violation<CostViolationCode>[] {
  return moves.flatMap((move) => checkMove(snapshot, move, repairs.has(move)));
}

function checkMove(snapshot: Snapshot, move: Move, mendsRule: boolean): readonly Violation<CostViolationCode>[] {
  const { policy, automatic } = snapshot;
  const facts = snapshot.vmFacts.find(({ vmId }) => vmId === move.vmId);
  const [name, sla] = classOf(snapshot, facts);
  const found: Violation<CostViolationCode>[] = [];
  const say = (code: CostViolationCode, message: string) => found.push({ code, message, hostId: move.toHostId, vmId: move.vmId });
  if (sla.moves === 'never' || (sla.moves === 'approve-only' && automatic)) say('class-forbids', `${move.vmName} is of class ${name}`);
  const { cost } = move;
  const forecast = forecastOf(snapshot, move, facts, sla);
  if (cost === undefined || forecast === null) {
    say('cost-wrong', `the move of ${move.vmName} does not say what it costs`);
    return found;
  }
  const { durationMs, downtimeMs } = forecast;
  if (sla.downtimeMsMax > 0 && (downtimeMs ?? 0) > sla.downtimeMsMax)
    say('downtime-over-class', `${move.vmName} would stand still for ${downtimeMs} ms, class ${name} bears ${sla.downtimeMsMax} ms`);
  const seenMs = policy.strategy === 'lines' ? policy.forecast.horizonMs : Math.max(policy.balance.shortageMs, policy.forecast.horizonMs);
  if (!mendsRule && (durationMs ?? 0) > seenMs) say('copy-too-long', `copying ${move.vmName} takes ${durationMs} ms, of ${seenMs} ms`);
  for (const fault of claimFaults(cost, forecast, name)) say('cost-wrong', `${move.vmName}: ${fault}`);
  const price = (policy.balance.coreSecondsPerGib * sla.costFactor * forecast.bytes) / gibibyte;
  const { savedCoreSeconds, priceCoreSeconds } = cost;
  if (savedCoreSeconds !== null && !(savedCoreSeconds > price && isClose(priceCoreSeconds, price)))
    say(
      'saves-too-little',
      `moving ${move.vmName} saves ${savedCoreSeconds} core-seconds, its price is ${price}, and said to be ${priceCoreSeconds}`,
    );
  return found;
}

function classOf({ policy }: Snapshot, facts: VmFacts | undefined): readonly [string, SlaClass] {
  const own = facts?.slaClass ?? 'standard';
  const entries = Object.entries(policy.classes);
  const [name, sla] = entries.find(([known]) => known === own) ?? entries.find(([known]) => known === 'standard') ?? [];
  return name === undefined || sla === undefined ? ['standard', { downtimeMsMax: 0, costFactor: 1, moves: 'automatic' }] : [name, sla];
}

/** Null for a VM that is not there, which is found elsewhere. */
function forecastOf({ vms, policy, bandwidths }: Snapshot, move: Move, facts: VmFacts | undefined, sla: SlaClass): MoveForecast | null {
  const vm = vms.find(({ vmId, hostId }) => vmId === move.vmId && hostId === move.fromHostId);
  if (vm === undefined) return null;
  const { downtimeMsMax } = sla;
  const channel = bandwidths.find((pair) => joins(pair, move)) ?? otherChannel(bandwidths, policy.assumedBandwidthBytesPerSecond);
  return forecastOfMove({ memoryBytes: vm.memoryBytes, activity: facts?.activity ?? null, channel, policy, downtimeMsMax });
}

function joins({ hostA, hostB }: PairBandwidth, { fromHostId, toHostId }: Move): boolean {
  return (hostA === fromHostId && hostB === toHostId) || (hostA === toHostId && hostB === fromHostId);
}

function otherChannel(bandwidths: readonly PairBandwidth[], assumed: number): Pick<PairBandwidth, 'bytesPerSecond' | 'factors'> | null {
  const [slowest = assumed] = bandwidths.map(({ bytesPerSecond }) => bytesPerSecond).toSorted((a, b) => a - b);
  return slowest > 0 ? { bytesPerSecond: slowest, factors: { total: 1, downtime: 1, bytes: 1 } } : null;
}

function claimFaults(cost: MoveCost, forecast: MoveForecast, slaClass: string): readonly string[] {
  const pairs = [
    ['bytes', cost.bytes, forecast.bytes],
    ['duration', cost.durationMs, forecast.durationMs],
    ['downtime', cost.downtimeMs, forecast.downtimeMs],
  ] as const;
  const wrong = pairs
    .filter(([, said, real]) => !isClose(said, real))
    .map(([name, said, real]) => `its ${name} is said to be ${said}, is ${real}`);
  return cost.slaClass === slaClass ? wrong : [...wrong, `its class is said to be ${cost.slaClass}, is ${slaClass}`];
}

function isClose(said: number | null, real: number | null): boolean {
  if (said === null || real === null) return said === real;
  return Math.abs(said - real) <= tolerance * Math.max(1, Math.abs(real));
}
