import type { ChannelProfile } from '#core/model/channel.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { StreamResource } from '#wire/channel-api.ts';
import type { AgentLines } from './agent-lines.ts';
import type { ControllerParts } from './parts.ts';
import type { Ends, Securing } from './securing.ts';

const quickMs = 10_000;

/** Sends a bulk stream of our own through the channel between two hosts, to see what it carries. */
export class StreamMeter {
  readonly #parts: ControllerParts;
  readonly #lines: AgentLines;
  readonly #securing: Securing;
  readonly #signal: AbortSignal;

  constructor(parts: ControllerParts, lines: AgentLines, securing: Securing, signal: AbortSignal) {
    this.#parts = parts;
    this.#lines = lines;
    this.#securing = securing;
    this.#signal = signal;
  }

  /** Null when nothing came through, or it could not be measured: that is in the log. */
  async measure(ends: Ends, profile: ChannelProfile, durationMs: number): Promise<StreamResource | null> {
    const { fromHostId, toHostId } = ends;
    const nonce = this.#parts.random.id();
    try {
      const answer = { peer: this.#securing.peer(fromHostId, profile), nonce, stream: true };
      const { streamPort } = await this.#lines.command(toHostId, 'path.answer', answer, quickMs, this.#signal);
      if (streamPort === null) throw new PlimsollError('channel-failed', `${toHostId} takes in no stream: update its agent`);
      const args = { peer: this.#securing.peer(toHostId, profile), nonce, port: streamPort, durationMs };
      const sent = await this.#lines.command(fromHostId, 'path.stream', args, durationMs + 2 * quickMs, this.#signal);
      return sent.bytes === 0 || sent.durationMs === 0 ? null : { ...sent, bytesPerSecond: (sent.bytes / sent.durationMs) * 1000 };
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#parts.log.warn('a measuring stream failed', { fromHostId, toHostId, ...refusalOf(error) });
      return null;
    } finally {
      await this.#lines.command(toHostId, 'path.stop', { nonce }, quickMs, this.#signal).catch(() => null);
    }
  }
}
