/** Between the lab's client process and who asks it: one JSON object per line over a Unix socket. */

export const CONTROL_PORT = 7000;
export const COLLECTOR_PORT = 7001;

/** What the client saw of one guest since it started, or since `reset`. */
export interface GuestBeats {
  readonly guest: string;
  /** Differs for each start of the VM. */
  readonly bootId: string;
  /** How many starts were seen. */
  readonly boots: number;
  readonly received: number;
  /** Numbers that never came. */
  readonly lost: number;
  /** Numbers that came twice: two running copies of the VM. */
  readonly duplicates: number;
  readonly largestGapMs: number;
  /** Unix time of the gap's end; 0 without one. */
  readonly largestGapAtMs: number;
  readonly lastBeatAtMs: number;
  readonly uptimeMs: number;
  readonly pagesDirtied: number;
  readonly pagesChecked: number;
  readonly memoryErrors: number;
  readonly diskRecords: number;
  readonly diskErrors: number;
  readonly kernelTroubles: number;
  readonly steering: Steering;
}

export interface Steering {
  readonly cpuPercent: number;
  readonly dirtyMbPerSecond: number;
  readonly diskWritesPerSecond: number;
}

export interface ProbeGap {
  /** Unix time when answers came again. */
  readonly atMs: number;
  readonly lengthMs: number;
}

export interface ProbeReport {
  readonly guest: string;
  readonly sent: number;
  readonly received: number;
  /** Time between two answers; the downtime as a client of the VM sees it, from below one interval. */
  readonly largestGapMs: number;
  readonly largestGapAtMs: number;
  /** Gaps of at least 50 ms, in order; the first 1000. */
  readonly gaps: readonly ProbeGap[];
}

export interface ClientCalls {
  readonly beats: { readonly params: Record<string, never>; readonly result: readonly GuestBeats[] };
  readonly reset: { readonly params: { readonly guest?: string }; readonly result: null };
  readonly steer: { readonly params: { readonly address: string } & Partial<Steering>; readonly result: Steering };
  readonly startProbe: {
    readonly params: { readonly guest: string; readonly address: string; readonly intervalMs?: number };
    readonly result: null;
  };
  readonly probe: { readonly params: { readonly guest: string }; readonly result: ProbeReport };
  readonly stopProbe: { readonly params: { readonly guest: string }; readonly result: ProbeReport };
}

export type ClientOperation = keyof ClientCalls;
export interface ClientRequest {
  readonly id: number;
  readonly op: ClientOperation;
  readonly params: unknown;
}
export type ClientReply = { readonly id: number; readonly result: unknown } | { readonly id: number; readonly error: string };
