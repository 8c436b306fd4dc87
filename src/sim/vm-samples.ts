import { bytes, cores } from '#core/model/units.ts';
import type { VmSample } from '#core/model/vm.ts';
import type { Copy } from './guest.ts';

/** Counters of a copy at one time. */
export interface VmReading {
  readonly copy: Copy;
  readonly atMs: number;
  readonly cpuCoreSeconds: number;
  readonly delayCoreSeconds: number;
  readonly netBytes: number;
  readonly diskBytes: number;
}

export function readingOf(copy: Copy, atMs: number): VmReading {
  const { cpuCoreSeconds, delayCoreSeconds, netBytes, diskBytes } = copy;
  return { copy, atMs, cpuCoreSeconds, delayCoreSeconds, netBytes, diskBytes };
}

/** Rates are since `previous`, and null where that was of another copy. */
export function sampleOf(copy: Copy, previous: VmReading | undefined, atMs: number): VmSample {
  const known = previous?.copy === copy && atMs > previous.atMs ? previous : null;
  const seconds = known === null ? 0 : (atMs - known.atMs) / 1000;
  const { vmId, name, vcpus, memoryBytes } = copy.guest;
  // Half of it each way.
  const net = known && (copy.netBytes - known.netBytes) / seconds / 2;
  const disk = known && (copy.diskBytes - known.diskBytes) / seconds / 2;
  return {
    vmId,
    name,
    state: copy.state,
    vcpus,
    memoryBytes: bytes(memoryBytes),
    memoryResidentBytes: bytes(copy.residentBytes),
    cpuUsedCores: known && cores(Math.max(0, (copy.cpuCoreSeconds - known.cpuCoreSeconds) / seconds)),
    cpuDelayCores: known && cores(Math.max(0, (copy.delayCoreSeconds - known.delayCoreSeconds) / seconds)),
    netReceivedBytesPerSecond: net,
    netSentBytesPerSecond: net,
    diskReadBytesPerSecond: disk,
    diskWrittenBytesPerSecond: disk,
  };
}
