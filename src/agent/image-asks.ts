import { PlimsollError } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import type { Clock } from '#core/ports.ts';
import type { ImageDestination, ImageDigest, ImageOffer, RestoreVerdict } from '#core/transports.ts';
import { pause } from '#core/time.ts';
import type { ImageAnswer, ImageAsk, ImageCall } from '#wire/agent-protocol.ts';

/** Nobody asks how the transfer stands any more: no answer can come. Longer than a restart of the controller takes. */
const silenceMsMax = 60_000;
const lookMs = 1_000;

/**
 * The destination's end of a sealed image as its source reaches it: what is asked stands in the status of the transfer, the controller
 * puts it to the destination's agent and brings the answer. One ask at a time. Rejects with the destination's refusal, `link-lost` when
 * the controller stays away, or the signal's reason.
 */
export class ImageAsks implements ImageDestination {
  readonly #clock: Clock;
  readonly #migrationId: string;
  readonly #offerAt: string | null;
  #count = 0;
  #heardAtMs: number;
  #open: { readonly ask: ImageAsk; readonly settle: (answer: ImageAnswer) => void } | null = null;

  /** `offerAt`: the destination's address in the channel; null: the image goes outside of any. */
  constructor(clock: Clock, migrationId: string, offerAt: string | null) {
    this.#clock = clock;
    this.#offerAt = offerAt;
    this.#migrationId = migrationId;
    this.#heardAtMs = clock.monotonicMs();
  }

  /** For the controller that looks at the transfer now. */
  shown(): ImageAsk | null {
    this.#heardAtMs = this.#clock.monotonicMs();
    return this.#open?.ask ?? null;
  }

  /** One that nobody waits for, or waits for any more, changes nothing. */
  answer(askId: string, answer: ImageAnswer): void {
    if (this.#open?.ask.askId === askId) this.#open.settle(answer);
  }

  async offer(_vmId: VmId, signal: AbortSignal): Promise<ImageOffer> {
    const answer = await this.#ask({ kind: 'offer', at: this.#offerAt }, signal);
    if (answer.kind !== 'offered') throw unfit('offer');
    return answer.offer;
  }

  async open(_vmId: VmId, { sha256, bytes }: ImageDigest, signal: AbortSignal): Promise<void> {
    await this.#ask({ kind: 'open', sent: { sha256, bytes } }, signal);
  }

  async restore(_vmId: VmId, signal: AbortSignal): Promise<RestoreVerdict> {
    const answer = await this.#ask({ kind: 'restore' }, signal);
    if (answer.kind === 'not-restored') return { kind: 'refused', refusal: answer.refusal };
    if (answer.kind !== 'done') throw unfit('restore');
    return { kind: 'running' };
  }

  async discard(_vmId: VmId, signal: AbortSignal): Promise<void> {
    await this.#ask({ kind: 'discard' }, signal);
  }

  async #ask(call: ImageCall, signal: AbortSignal): Promise<ImageAnswer> {
    signal.throwIfAborted();
    this.#count += 1;
    // What is asked now has not been looked at yet, however long ago the last look was.
    this.#heardAtMs = this.#clock.monotonicMs();
    const { promise, resolve: settle } = Promise.withResolvers<ImageAnswer>();
    this.#open = { ask: { askId: `${this.#migrationId}-${this.#count}`, call }, settle };
    const over = new AbortController();
    try {
      const answer = await Promise.race([promise, this.#silence(call, AbortSignal.any([signal, over.signal]), signal)]);
      if (answer.kind === 'refused') throw new PlimsollError(answer.refusal.code, answer.refusal.message);
      return answer;
    } finally {
      this.#open = null;
      over.abort();
    }
  }

  async #silence({ kind }: ImageCall, until: AbortSignal, asked: AbortSignal): Promise<never> {
    while (await pause(this.#clock, lookMs, until)) {
      if (this.#clock.monotonicMs() - this.#heardAtMs > silenceMsMax)
        throw new PlimsollError('link-lost', `nobody brings the answer of the destination to '${kind}': the controller is away`);
    }
    asked.throwIfAborted();
    return new Promise(() => undefined);
  }
}

function unfit(what: string): PlimsollError {
  return new PlimsollError('message-invalid', `the destination's answer to '${what}' is one to something else: update both agents`);
}
