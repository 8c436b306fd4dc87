/** Writes samples to the store in batches; a batch that cannot be written waits, bounded, for the next try. */
import { refusalOf } from '#core/model/result.ts';
import type { Sample } from '#core/model/sample.ts';
import { isReplaced } from '#core/store-rules.ts';
import { pause } from '#core/time.ts';
import type { ControllerParts } from './parts.ts';

const writeIntervalMs = 2000;
const waitingMax = 50_000;
const trimIntervalMs = 3_600_000;

export class History {
  readonly #parts: ControllerParts;
  readonly #keepMs: number;
  #waiting: Sample[] = [];
  #dropped = 0;

  constructor(parts: ControllerParts, keepMs: number) {
    this.#parts = parts;
    this.#keepMs = keepMs;
  }

  add(sample: Sample): void {
    if (this.#waiting.length < waitingMax) this.#waiting.push(sample);
    else this.#dropped += 1;
  }

  async run(signal: AbortSignal): Promise<void> {
    let trimmedAtMs = Number.NEGATIVE_INFINITY;
    let going = true;
    while (going) {
      going = await pause(this.#parts.clock, writeIntervalMs, signal);
      await this.#write();
      const nowMs = this.#parts.clock.monotonicMs();
      if (nowMs - trimmedAtMs < trimIntervalMs) continue;
      trimmedAtMs = nowMs;
      await this.#trim();
    }
  }

  async #write(): Promise<void> {
    if (this.#waiting.length === 0) return;
    const batch = this.#waiting;
    this.#waiting = [];
    try {
      await this.#parts.store.appendSamples(batch);
      if (this.#dropped > 0) this.#parts.log.error('history has a gap: samples were dropped', { dropped: this.#dropped });
      this.#dropped = 0;
    } catch (error) {
      if (isReplaced(error)) return;
      this.#parts.log.error('samples could not be written, trying again', { ...refusalOf(error) });
      const room = waitingMax - this.#waiting.length;
      this.#waiting = [...(room > 0 ? batch.slice(-room) : []), ...this.#waiting];
      this.#dropped += Math.max(0, batch.length - room);
    }
  }

  async #trim(): Promise<void> {
    try {
      await this.#parts.store.trimHistory(this.#parts.clock.nowMs() - this.#keepMs);
    } catch (error) {
      this.#parts.log.error('old history could not be removed', { ...refusalOf(error) });
    }
  }
}
