import type { Bytes, Cores } from './units.ts';

/** The VM's UUID in lower case with dashes; the same on every host. */
export type VmId = string;

export type VmState = 'running' | 'paused' | 'incoming' | 'shut-off' | 'crashed' | 'unknown';

/** A VM whose memory is on two hosts. `failed`: halted, because the hosts have lost each other; neither half may be destroyed. */
export type PostCopyState = 'active' | 'failed';

/** What one host knows of one VM. */
export interface VmView {
  readonly vmId: VmId;
  readonly name: string;
  readonly state: VmState;
  readonly vcpus: number;
  readonly memoryBytes: Bytes;
  readonly persistent: boolean;
  /** A migration job of the hypervisor is at work on it. */
  readonly jobActive: boolean;
  /** Null outside of post-copy. */
  readonly postCopy: PostCopyState | null;
}

/** One reading of a VM; rates are means since the previous reading, null on the first. */
export interface VmSample {
  readonly vmId: VmId;
  readonly name: string;
  readonly state: VmState;
  readonly vcpus: number;
  readonly memoryBytes: Bytes;
  readonly memoryResidentBytes: Bytes;
  /** CPU received, not demanded. */
  readonly cpuUsedCores: Cores | null;
  /** Time its virtual CPUs waited for a physical one, in cores. */
  readonly cpuDelayCores: Cores | null;
  readonly netReceivedBytesPerSecond: number | null;
  readonly netSentBytesPerSecond: number | null;
  readonly diskReadBytesPerSecond: number | null;
  readonly diskWrittenBytesPerSecond: number | null;
}
