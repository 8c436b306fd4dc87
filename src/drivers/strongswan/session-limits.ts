/** Bounds of one session; every one can be set by its owner. */
export interface SessionLimits {
  /** Deadline of a call that names none. */
  readonly callDeadlineMs: number;
  /** Calls that may wait behind the one under way; the next is refused with `strongswan-queue-full`. */
  readonly waitingCallsMax: number;
  /** Records that one streamed command may send. */
  readonly streamRecordsMax: number;
  /** Pause before a lost connection with subscribers is dialled again; doubles up to the maximum. */
  readonly redialPauseMsMin: number;
  readonly redialPauseMsMax: number;
}

export const sessionLimits: SessionLimits = {
  callDeadlineMs: 5_000,
  waitingCallsMax: 64,
  streamRecordsMax: 10_000,
  redialPauseMsMin: 100,
  redialPauseMsMax: 5_000,
};
