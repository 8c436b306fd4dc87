import type { Method, TransferOptions, PilotPolicy } from './method.ts';

/** How a VM uses its memory, as its hypervisor measured it. */
export interface MemoryActivity {
  readonly measuredAtMs: number;
  readonly measuredForMs: number;
  /** All memory that would have to be sent, pages of zeroes not counted; null where it is not known. */
  readonly usedBytes: number | null;
  /** Distinct memory written per second when looked at for one second. */
  readonly dirtyBytesPerSecond: number;
  /** Memory that is written again and again; never more than `usedBytes`. */
  readonly workingSetBytes: number;
}

/** What one look of `forMs` at a VM's memory found: the distinct bytes that were written meanwhile. */
export interface MemoryLook {
  readonly forMs: number;
  readonly bytes: number;
}

/** What looks at a VM's memory are judged by. */
export interface MemoryInUse {
  /** As in `MemoryActivity`. */
  readonly usedBytes: number | null;
  /** No look can have found more; null where even that is not known. */
  readonly boundBytes: number | null;
  /** What one hit of a look that samples stands for; 0 for one that finds every page. */
  readonly grainBytes: number;
}

/** How fast the channel between two hosts carries a stream. */
export interface MeasuredBandwidth {
  readonly bytesPerSecond: number;
  readonly measuredAtMs: number;
  /** `stream`: a short stream of our own through the channel. `migration`: what the last migration of the pair achieved. */
  readonly by: 'stream' | 'migration';
}

/** Between `low` and `high` with about 90 % confidence. */
export interface Range {
  readonly low: number;
  readonly expected: number;
  readonly high: number;
}

/** What a transfer will cost, said before its first byte. */
export interface Prediction {
  readonly method: Method;
  readonly totalMs: Range;
  readonly downtimeMs: Range;
  readonly bytes: Range;
  readonly rounds: number;
  /** False: pre-copy would not come to an end within the downtime limit. */
  readonly converges: boolean;
  /** All memory of the VM, pages of zeroes included. With activity and bandwidth, what the figures can be computed from again. */
  readonly memoryBytes: number;
  readonly activity: MemoryActivity;
  readonly bandwidth: MeasuredBandwidth;
  /** Earlier migrations whose errors have corrected this one. */
  readonly correctedBy: number;
}

/** How a transfer is to be made, and why so. */
export interface TransferPlan {
  readonly options: TransferOptions;
  readonly pilot: PilotPolicy;
  readonly reason: string;
  /** Null where the memory's use or the bandwidth could not be measured. */
  readonly prediction: Prediction | null;
}
