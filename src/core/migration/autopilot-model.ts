/** For tests: a pre-copy as QEMU makes it. */
import type { TransferOptions } from '#core/model/method.ts';
import type { Progress, TransferStage } from '#core/model/migration.ts';
import type { Refusal } from '#core/model/result.ts';
import type { PilotAction } from './autopilot.ts';

/** How the VM writes and the channel carries, at each time. */
export interface World {
  readonly memoryBytes: number;
  readonly workingSetBytes: number;
  readonly writesBytesPerSecond: (timeMs: number) => number;
  readonly carriesBytesPerSecond: (timeMs: number) => number;
  /** Compression makes this much less of the same memory. */
  readonly compressionFactor?: number;
  /** How the hypervisor's words reach the autopilot. */
  readonly told?: (progress: Progress) => Progress;
  readonly refuses?: (action: PilotAction, sinceMs: number) => Refusal | null;
}

export const stepMs = 10;
const pageBytes = 4096;

/**
 * QEMU 7.2: the dirty pages are looked for when what is left fits the limit, and the last round begins when it then still fits.
 * Auto-converge slows the VM down further when twice a round of a second or more has written more than half of what was sent.
 */
export class PreCopy {
  readonly #world: World;
  readonly options: TransferOptions;
  #downtimeMsMax: number;
  #elapsedMs = 0;
  #remaining: number;
  #dirty = 0;
  #sent = 0;
  #iteration = 1;
  #expectedMs: number;
  #stage: TransferStage = 'copying';
  #stopAsked = false;
  #throttle = 0;
  #dirtyPerSecond = 0;
  #bandwidth = 0;
  #period = { fromMs: 0, dirtied: 0, sent: 0, high: 0 };
  stoppedMs = 0;
  isOver = false;

  constructor(world: World, options: TransferOptions) {
    this.#world = world;
    this.options = options;
    this.#downtimeMsMax = options.downtimeMsMax;
    this.#expectedMs = options.downtimeMsMax;
    this.#remaining = world.memoryBytes;
  }

  get progress(): Progress {
    return {
      elapsedMs: this.#elapsedMs,
      memoryTotalBytes: this.#world.memoryBytes,
      memoryRemainingBytes: Math.round(this.#remaining),
      memorySentBytes: Math.round(this.#sent),
      bandwidthBytesPerSecond: Math.round(this.#bandwidth),
      dirtyPagesPerSecond: Math.round(this.#dirtyPerSecond / pageBytes),
      pageSizeBytes: pageBytes,
      iteration: this.#iteration,
      expectedDowntimeMs: Math.round(this.#expectedMs),
      stage: this.#stage,
      throttlePercent: this.options.autoConverge === null ? null : this.#throttle,
    };
  }

  change(action: PilotAction): void {
    if (action.kind === 'set-downtime') this.#downtimeMsMax = action.downtimeMsMax;
    if (action.kind === 'post-copy') this.#stage = 'post-copy';
    if (action.kind === 'stop') {
      this.#stopAsked = true;
      this.#stage = 'stopped';
    }
  }

  advance(timeMs: number): void {
    const factor = this.options.compression === 'none' ? 1 : (this.#world.compressionFactor ?? 1);
    this.#bandwidth = this.#world.carriesBytesPerSecond(timeMs);
    const sends = Math.min(this.#remaining / factor, (this.#bandwidth * stepMs) / 1000);
    this.#elapsedMs += stepMs;
    this.#sent += sends;
    this.#remaining -= sends * factor;
    if (this.#stage === 'stopped') this.stoppedMs += stepMs;
    if (this.#stage === 'copying') this.#write(timeMs);
    const isDone = this.#remaining < 1 && this.#bandwidth > 0;
    if (this.#stage !== 'copying' && !this.#stopAsked) this.isOver = isDone;
    else if (this.#remaining < Math.max(1, this.#threshold())) this.#sync();
  }

  #threshold(): number {
    return (this.#bandwidth * this.#downtimeMsMax) / 1000;
  }

  #write(timeMs: number): void {
    const writes = (this.#world.writesBytesPerSecond(timeMs) * (1 - this.#throttle / 100) * stepMs) / 1000;
    this.#dirty += writes * Math.max(0, 1 - this.#dirty / this.#world.workingSetBytes);
  }

  #sync(): void {
    if (this.#bandwidth <= 0) return;
    // What is left and what was written are partly the same pages.
    const among = this.#iteration === 1 ? this.#world.memoryBytes : this.#world.workingSetBytes;
    this.#iteration += 1;
    this.#remaining += this.#dirty * Math.max(0, 1 - this.#remaining / among);
    this.#period.dirtied += this.#dirty;
    this.#dirty = 0;
    this.#slowDown();
    this.#expectedMs = (this.#remaining / this.#bandwidth) * 1000;
    if (this.#remaining >= this.#threshold() && !this.#stopAsked) return;
    this.#stage = 'stopped';
    this.#stopAsked = false;
  }

  #slowDown(): void {
    const { fromMs, dirtied, sent, high } = this.#period;
    const periodMs = this.#elapsedMs - fromMs;
    if (periodMs < 1000) return;
    this.#dirtyPerSecond = (dirtied / periodMs) * 1000;
    const highs = dirtied > (this.#sent - sent) / 2 ? high + 1 : high;
    const { autoConverge } = this.options;
    if (highs >= 2 && autoConverge !== null) {
      const more = this.#throttle === 0 ? autoConverge.initialPercent : autoConverge.incrementPercent;
      this.#throttle = Math.min(99, this.#throttle + more);
    }
    this.#period = { fromMs: this.#elapsedMs, dirtied: 0, sent: this.#sent, high: highs >= 2 ? 0 : highs };
  }
}
