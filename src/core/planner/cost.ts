/** What each move would send, how long that takes, and what it must save for it. */
import { forecastOfMove, type MoveChannel, type MoveForecast } from '#core/migration/move-forecast.ts';
import type { HostId } from '#core/model/host.ts';
import type { MoveCost } from '#core/model/plan.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Snapshot, SnapshotVm } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import type { RuleFault } from './rules.ts';
import type { Standings } from './sla.ts';
import { duration, milliseconds } from './words.ts';

type Sized = Pick<SnapshotVm, 'vmId' | 'memoryBytes'>;

/** The price of one move. `weight`: moves of one saving are preferred by how small it is, in GiB of a VM of class `standard`. */
export interface Toll extends MoveForecast {
  readonly priceCoreSeconds: number;
  readonly weight: number;
}

export interface Costs {
  /** The same to every host; null where it depends on the pair. */
  readonly everywhere: (vm: Sized) => Toll | null;
  readonly between: (vm: Sized, one: HostId, other: HostId) => Toll;
  /** Why the VM would stand still for too long on its way between these hosts. */
  readonly downtimeFault: (vm: Sized & Pick<SnapshotVm, 'name'>, one: HostId, other: HostId) => RuleFault | null;
  /** Why its copy would end after the shortage that it is made for. */
  readonly durationFault: (vm: Sized & Pick<SnapshotVm, 'name'>, one: HostId, other: HostId) => RuleFault | null;
  /** Whether either may close some hosts to the VM, judged by the slowest channel; and the bytes that would take. */
  readonly worst: (vm: Sized) => Toll & { readonly isClosed: boolean };
  readonly moveCost: (toll: Toll, vmId: VmId, savedCoreSeconds: number | null) => MoveCost;
}

const gibibyte = 2 ** 30;
const noFactors = { total: 1, downtime: 1, bytes: 1 };

export function costsOf({ policy, bandwidths }: Pick<Snapshot, 'policy' | 'bandwidths'>, standings: Standings): Costs {
  const channels = channelsOf(bandwidths);
  const slowest = slowestOf(bandwidths) ?? assumedBy(policy);
  const tolls = new Map<VmId, Map<MoveChannel | null, Toll>>();
  const by = (vm: Sized, channel: MoveChannel | null): Toll => {
    const known = tolls.get(vm.vmId) ?? new Map<MoveChannel | null, Toll>();
    if (known.size === 0) tolls.set(vm.vmId, known);
    const toll = known.get(channel) ?? tollOf(vm, channel, policy, standings);
    known.set(channel, toll);
    return toll;
  };
  const between = (vm: Sized, one: HostId, other: HostId) =>
    by(vm, channels.get(one < other ? one : other)?.get(one < other ? other : one) ?? slowest);
  const durationMax = longestCopyMs(policy);
  const downtimeFault = (vm: Sized & Pick<SnapshotVm, 'name'>, one: HostId, other: HostId): RuleFault | null => {
    const { name, sla, remark } = standings.of(vm.vmId);
    const { downtimeMs } = between(vm, one, other);
    if (!isOver(downtimeMs, sla.downtimeMsMax)) return null;
    const reason = `${vm.name} would stand still for about ${milliseconds(downtimeMs ?? 0)} on its way to ${other}, its class ${name}${remark} bears ${milliseconds(sla.downtimeMsMax)}`;
    return { code: 'downtime-limit', reason };
  };
  return {
    everywhere: (vm) => (channels.size === 0 ? by(vm, slowest) : null),
    between,
    downtimeFault,
    durationFault: (vm, one, other) => {
      const { durationMs } = between(vm, one, other);
      if (durationMs === null || durationMs <= durationMax) return null;
      const reason = `copying ${vm.name} to ${other} would take about ${duration(durationMs)}, longer than the ${duration(durationMax)} that a shortage is seen ahead`;
      return { code: 'copy-too-long', reason };
    },
    worst: (vm) => {
      const toll = by(vm, slowest);
      const isClosed = (toll.durationMs ?? 0) > durationMax || isOver(toll.downtimeMs, standings.of(vm.vmId).sla.downtimeMsMax);
      return { ...toll, isClosed };
    },
    moveCost: ({ bytes, bytesBy, durationMs, downtimeMs, priceCoreSeconds }, vmId, savedCoreSeconds) => ({
      bytes,
      bytesBy,
      durationMs,
      downtimeMs,
      slaClass: standings.of(vmId).name,
      priceCoreSeconds: savedCoreSeconds === null ? null : priceCoreSeconds,
      savedCoreSeconds,
    }),
  };
}

/** A shortage is seen as far ahead as it is taken to last, or is forecast; by the lines it is forecast alone. */
export function longestCopyMs({ strategy, balance, forecast }: Policy): number {
  return strategy === 'lines' ? forecast.horizonMs : Math.max(balance.shortageMs, forecast.horizonMs);
}

function isOver(downtimeMs: number | null, downtimeMsMax: number): boolean {
  return downtimeMs !== null && downtimeMsMax > 0 && downtimeMs > downtimeMsMax;
}

function tollOf(vm: Sized, channel: MoveChannel | null, policy: Policy, standings: Standings): Toll {
  const { sla } = standings.of(vm.vmId);
  const activity = standings.factsOf(vm.vmId)?.activity ?? null;
  const forecast = forecastOfMove({ memoryBytes: vm.memoryBytes, activity, channel, policy, downtimeMsMax: sla.downtimeMsMax });
  const weight = (forecast.bytes / gibibyte) * sla.costFactor;
  return { ...forecast, weight, priceCoreSeconds: ((policy.balance.coreSecondsPerGib * forecast.bytes) / gibibyte) * sla.costFactor };
}

function channelsOf(bandwidths: Snapshot['bandwidths']): ReadonlyMap<HostId, ReadonlyMap<HostId, MoveChannel>> {
  const channels = new Map<HostId, Map<HostId, MoveChannel>>();
  for (const bandwidth of bandwidths) {
    const ofHost = channels.get(bandwidth.hostA) ?? new Map<HostId, MoveChannel>();
    channels.set(bandwidth.hostA, ofHost.set(bandwidth.hostB, bandwidth));
  }
  return channels;
}

/** Stands for pairs that were not measured. What earlier migrations of that pair taught is its own. */
function slowestOf(bandwidths: Snapshot['bandwidths']): MoveChannel | null {
  if (bandwidths.length === 0) return null;
  let least = Number.POSITIVE_INFINITY;
  for (const { bytesPerSecond } of bandwidths) least = Math.min(least, bytesPerSecond);
  return { bytesPerSecond: least, factors: noFactors };
}

function assumedBy({ assumedBandwidthBytesPerSecond: bytesPerSecond }: Policy): MoveChannel | null {
  return bytesPerSecond > 0 ? { bytesPerSecond, factors: noFactors } : null;
}
