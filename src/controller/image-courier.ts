import type { HostId } from '#core/model/host.ts';
import type { MigrationRequest } from '#core/model/migration.ts';
import { type Refusal, refusalOf } from '#core/model/result.ts';
import type { ImageAnswer, ImageAsk } from '#wire/agent-protocol.ts';
import type { AgentLines } from './agent-lines.ts';
import type { ControllerParts } from './parts.ts';

const quickMs = 10_000;
/** A destination that does not answer for this long: the source is told so, and takes the VM back if it still can. */
const silentMsMax = 30_000;

/**
 * Brings what the source of a sealed image asks to the destination's agent, and the answer back: both agents' lines end here, so they
 * need none to each other. Holds nothing that another controller would miss: an ask stands in the source's status until it is answered,
 * and is the same call for the destination however often it is brought. What an answer says goes through here and is not kept.
 */
export class ImageCourier {
  readonly #parts: ControllerParts;
  readonly #lines: AgentLines;
  readonly #isRevoked: (hostId: HostId) => boolean;
  readonly #signal: AbortSignal;
  /** Of migrations whose destination is silent: to which ask, and since when. */
  readonly #silences = new Map<string, { readonly askId: string; readonly sinceMs: number }>();

  constructor(parts: ControllerParts, lines: AgentLines, isRevoked: (hostId: HostId) => boolean, signal: AbortSignal) {
    this.#parts = parts;
    this.#lines = lines;
    this.#isRevoked = isRevoked;
    this.#signal = signal;
  }

  /** Resolves when the answer was brought, or is not there yet: call again as long as the source asks. */
  async carry(request: MigrationRequest, ask: ImageAsk): Promise<void> {
    const answer = await this.#answerTo(request, ask);
    if (answer === null) return;
    const { migrationId, fromHostId } = request;
    this.forget(migrationId);
    await this.#lines.command(fromHostId, 'transfer.answer', { migrationId, askId: ask.askId, answer }, quickMs, this.#signal);
  }

  /** The destination has answered, or the migration has ended. */
  forget(migrationId: string): void {
    this.#silences.delete(migrationId);
  }

  async #answerTo(request: MigrationRequest, { askId, call }: ImageAsk): Promise<ImageAnswer | null> {
    const { migrationId, vmId, vmEpoch, fromHostId: peerHostId, toHostId } = request;
    if (this.#isRevoked(toHostId)) return refused({ code: 'host-revoked', message: `the destination ${toHostId} was revoked` });
    const args = { migrationId, vmId, vmEpoch, peerHostId, askId, call };
    try {
      const { answer } = await this.#lines.command(toHostId, 'image.call', args, quickMs, this.#signal);
      this.forget(migrationId);
      return answer;
    } catch (error) {
      this.#signal.throwIfAborted();
      const refusal = refusalOf(error);
      return isSilence(refusal) && this.#mayStillCome(migrationId, askId) ? null : refused(refusal);
    }
  }

  #mayStillCome(migrationId: string, askId: string): boolean {
    const nowMs = this.#parts.clock.monotonicMs();
    const known = this.#silences.get(migrationId);
    const silence = known?.askId === askId ? known : { askId, sinceMs: nowMs };
    this.#silences.set(migrationId, silence);
    return nowMs - silence.sinceMs < silentMsMax;
  }
}

/** The destination itself has said nothing. */
function isSilence({ code }: Refusal): boolean {
  return code === 'host-down' || code === 'link-lost' || code === 'command-timeout';
}

function refused(refusal: Refusal): ImageAnswer {
  return { kind: 'refused', refusal };
}
