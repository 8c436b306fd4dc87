import type { HostCapacity, HostId } from './host.ts';
import type { Bytes, Cores } from './units.ts';
import type { VmSample } from './vm.ts';

/** Linux pressure-stall information, `some` line, mean of the last 10 s, in percent of wall time. */
export interface Pressure {
  readonly cpuSomePercent: number;
  readonly memorySomePercent: number;
  readonly ioSomePercent: number;
}

/**
 * What a host does beside computing, as means since the previous reading; null where it is not known, and on the first reading. Only what
 * goes through its own cards and disks: traffic between two VMs of the host does not.
 */
export interface HostRates {
  /** CPU that the host wanted and a hypervisor below it gave to others; null for a host that has a part of a machine. */
  readonly cpuStealCores: Cores | null;
  readonly netReceivedBytesPerSecond: number | null;
  readonly netSentBytesPerSecond: number | null;
  readonly diskReadBytesPerSecond: number | null;
  readonly diskWrittenBytesPerSecond: number | null;
}

/** One reading of a host itself; null CPU on the first reading, null pressure where the kernel has none. */
export interface HostReading {
  readonly cpuUsedCores: Cores | null;
  readonly memoryUsedBytes: Bytes;
  readonly capacity: HostCapacity;
  readonly pressure: Pressure | null;
  /** Left out by agents that do not measure them. */
  readonly rates?: HostRates;
}

/** One reading of a host and its VMs at one time. */
export interface Sample {
  readonly hostId: HostId;
  /** Grows by one with each sample of one agent process; with `bootId` it tells late and repeated samples. */
  readonly sequence: number;
  readonly bootId: string;
  readonly takenAtMs: number;
  readonly host: HostReading;
  readonly vms: readonly VmSample[];
}
