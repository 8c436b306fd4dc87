import type { Clock } from '#core/ports.ts';
import type { IncomingImages } from '#core/transports.ts';
import { pause } from '#core/time.ts';
import type { CommandArgs, CommandReply, ImageAnswer, ImageCall } from '#wire/agent-protocol.ts';
import { shortened, shortRefusalOf } from './short-refusal.ts';

/** An answer that takes longer is fetched by asking again: opening and restoring take as long as the VM is large. */
const patienceMs = 2_000;
const askedKeptMax = 64;

interface Asked {
  readonly answer: Promise<ImageAnswer>;
  isAnswered: boolean;
}

/** Does what sources ask of this host as the destination of sealed images, each ask once however often it is put. */
export class ImageDesk {
  readonly #clock: Clock;
  readonly #incoming: IncomingImages;
  readonly #asked = new Map<string, Asked>();

  constructor(clock: Clock, incoming: IncomingImages) {
    this.#clock = clock;
    this.#incoming = incoming;
  }

  async call({ askId, vmId, call }: CommandArgs<'image.call'>, signal: AbortSignal): Promise<CommandReply<'image.call'>> {
    const asked = this.#asked.get(askId) ?? this.#begin(askId, vmId, call);
    const waited = new AbortController();
    const late = pause(this.#clock, patienceMs, AbortSignal.any([signal, waited.signal])).then(() => null);
    try {
      return { answer: await Promise.race([asked.answer, late]) };
    } finally {
      waited.abort();
    }
  }

  #begin(askId: string, vmId: string, call: ImageCall): Asked {
    this.#forgetOldest();
    const asked: Asked = { answer: this.#answer(vmId, call), isAnswered: false };
    this.#asked.set(askId, asked);
    void asked.answer.then(() => (asked.isAnswered = true));
    return asked;
  }

  /** Goes on when whoever asked is gone: half of a restore helps nobody. */
  async #answer(vmId: string, call: ImageCall): Promise<ImageAnswer> {
    const going = new AbortController().signal;
    try {
      switch (call.kind) {
        case 'offer':
          return { kind: 'offered', offer: await this.#incoming.offer(vmId, going, call.at) };
        case 'open':
          await this.#incoming.open(vmId, call.sent, going);
          return { kind: 'done' };
        case 'restore': {
          const verdict = await this.#incoming.restore(vmId, going);
          return verdict.kind === 'running' ? { kind: 'done' } : { kind: 'not-restored', refusal: shortened(verdict.refusal) };
        }
        case 'discard':
          await this.#incoming.discard(vmId, going);
          return { kind: 'done' };
        default:
          return call satisfies never;
      }
    } catch (error) {
      return { kind: 'refused', refusal: shortRefusalOf(error) };
    }
  }

  #forgetOldest(): void {
    if (this.#asked.size < askedKeptMax) return;
    for (const [askId, { isAnswered }] of this.#asked) {
      if (!isAnswered) continue;
      this.#asked.delete(askId);
      return;
    }
  }
}
