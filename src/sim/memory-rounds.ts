import type { AutoConverge } from '#core/model/method.ts';
import type { Progress, TransferStage } from '#core/model/migration.ts';
import { dirtyAfter, type Guest } from './guest.ts';

/** QEMU looks at how much was written at the end of a round, but not more often than this (migration_bitmap_sync). */
const periodMsMin = 1000;
/** Its parameters throttle-trigger-threshold and max-cpu-throttle. */
const triggerShare = 0.5;
const throttlePercentMax = 99;
const pageBytes = 4096;

/** What the job knows beside its memory. */
interface JobFigures {
  readonly elapsedMs: number;
  readonly sentBytes: number;
  readonly bytesPerSecond: number;
  readonly downtimeMsMax: number;
  readonly stage: TransferStage;
}

/**
 * The memory of one VM in rounds, as QEMU counts it: what is written during a round shows only at its end. Knows nothing of links, nor
 * of when to stop.
 */
export class MemoryRounds {
  readonly #guest: Guest;
  readonly #autoConverge: AutoConverge | null;
  readonly #totalBytes: number;
  #remainingBytes: number;
  #writtenBytes = 0;
  #round = 1;
  #restBytes: number;
  #dirtyBytesPerSecond = 0;
  #throttlePercent = 0;
  #highPeriods = 0;
  #period: { readonly sinceMs: number; sentBytes: number; writtenBytes: number };

  constructor(guest: Guest, totalBytes: number, autoConverge: AutoConverge | null, nowMs: number) {
    this.#guest = guest;
    this.#autoConverge = autoConverge;
    this.#totalBytes = totalBytes;
    this.#remainingBytes = totalBytes;
    this.#restBytes = totalBytes;
    this.#period = { sinceMs: nowMs, sentBytes: 0, writtenBytes: 0 };
  }

  /** What was left as this round began, less what was sent since. */
  get remainingBytes(): number {
    return this.#remainingBytes;
  }

  /** What was left when this round began. */
  get restBytes(): number {
    return this.#restBytes;
  }

  get round(): number {
    return this.#round;
  }

  get throttlePercent(): number {
    return this.#throttlePercent;
  }

  /** As libvirt tells it: what is left and the dirty rate are as the last look at the memory found them. */
  progress({ elapsedMs, sentBytes, bytesPerSecond, downtimeMsMax, stage }: JobFigures): Progress {
    const isKnown = this.#dirtyBytesPerSecond > 0 && bytesPerSecond > 0;
    return {
      elapsedMs,
      memoryTotalBytes: this.#guest.memoryBytes,
      memoryRemainingBytes: Math.round(this.#remainingBytes),
      memorySentBytes: Math.round(sentBytes),
      bandwidthBytesPerSecond: Math.round(bytesPerSecond),
      dirtyPagesPerSecond: Math.round(this.#dirtyBytesPerSecond / pageBytes),
      pageSizeBytes: pageBytes,
      iteration: this.#round,
      // QEMU says its limit until it has seen anything written.
      expectedDowntimeMs: isKnown ? Math.round((this.#restBytes / bytesPerSecond) * 1000) : downtimeMsMax,
      stage,
      throttlePercent: this.#throttlePercent,
    };
  }

  /** Memory has crossed as `wireBytes` in this time, while the VM ran or stood still. */
  pass(memoryBytes: number, wireBytes: number, seconds: number, isRunning: boolean): void {
    this.#remainingBytes -= memoryBytes;
    this.#period.sentBytes += wireBytes;
    if (!isRunning) return;
    const rate = this.#guest.dirtyBytesPerSecond * (1 - this.#throttlePercent / 100);
    this.#writtenBytes = dirtyAfter(this.#guest, this.#writtenBytes, rate, seconds);
  }

  /** What was written meanwhile is left for the next round. */
  endRound(nowMs: number): void {
    this.#period.writtenBytes += this.#writtenBytes;
    this.#remainingBytes = this.#writtenBytes;
    this.#restBytes = this.#writtenBytes;
    this.#writtenBytes = 0;
    this.#lookBack(nowMs);
  }

  beginRound(): void {
    this.#round += 1;
  }

  /** From now on nothing is sent twice: all that the destination does not have as it is. */
  freeze(): void {
    this.#remainingBytes = Math.min(this.#totalBytes, this.#remainingBytes + this.#writtenBytes);
    this.#writtenBytes = 0;
  }

  /** More written than half of what was sent, for the second time: the VM is slowed down (migration_trigger_throttle). */
  #lookBack(nowMs: number): void {
    const { sinceMs, sentBytes, writtenBytes } = this.#period;
    if (nowMs - sinceMs < periodMsMin) return;
    this.#dirtyBytesPerSecond = writtenBytes / ((nowMs - sinceMs) / 1000);
    this.#period = { sinceMs: nowMs, sentBytes: 0, writtenBytes: 0 };
    if (this.#autoConverge === null || writtenBytes <= sentBytes * triggerShare) return;
    this.#highPeriods += 1;
    if (this.#highPeriods < 2) return;
    this.#highPeriods = 0;
    const { initialPercent, incrementPercent } = this.#autoConverge;
    const next = this.#throttlePercent === 0 ? initialPercent : this.#throttlePercent + incrementPercent;
    this.#throttlePercent = Math.min(throttlePercentMax, next);
  }
}
