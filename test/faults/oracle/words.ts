/** What the sampler process tells the campaign. Times are Unix milliseconds of this machine. */

/**
 * One host's copy of a guest, by the word of its own QEMU. `silent`: it has a monitor and did not answer in time, it may run or not.
 * `halted`: it answers and executes nothing: stopped, incoming, finished, about to end.
 */
export type CopyState = 'absent' | 'silent' | 'halted' | 'running';

/** A guest's copies on all hosts, by host. Asked at the same tick, answered within it. */
export interface Sample {
  readonly atMs: number;
  readonly copies: Readonly<Record<string, CopyState>>;
}

/** How far a source's QEMU says it is with its own outgoing migration. */
export interface Transfer {
  readonly atMs: number;
  readonly host: string;
  readonly sentBytes: number;
  readonly remainingBytes: number;
  readonly pass: number;
}

/** Such as STOP, RESUME, SHUTDOWN, or MIGRATION with its status. */
export interface QemuEvent {
  readonly atMs: number;
  readonly host: string;
  readonly name: string;
  readonly status: string | null;
}

export type OracleMessage =
  | { readonly kind: 'sample'; readonly guest: string; readonly sample: Sample }
  | { readonly kind: 'transfer'; readonly guest: string; readonly transfer: Transfer }
  | { readonly kind: 'event'; readonly guest: string; readonly event: QemuEvent };

/** Which monitor is whose; the sampler's only argument, as JSON. */
export interface MonitorPlace {
  readonly guest: string;
  readonly host: string;
  readonly socketPath: string;
}

export const sampleIntervalMs = 50;
