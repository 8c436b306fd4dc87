import type { IncomingMessage, ServerResponse } from 'node:http';
import { PlimsollError } from '#core/model/result.ts';
import type { Log } from '#core/ports.ts';
import { replyJson, statusOf } from './http-reply.ts';
import { readBody } from './http-body.ts';
import { parseJoinRequest, type JoinRequest } from './join-messages.ts';
import { joinPath, serverLimits } from './limits.ts';

/** Answers POST /v1/join: the one thing a stranger may ask, so it is bounded in size, time and number. */
export class JoinService {
  readonly #join: (request: JoinRequest, signal: AbortSignal) => Promise<unknown>;
  readonly #log: Log | undefined;
  readonly #closed = new AbortController();
  #inFlight = 0;

  constructor(join: (request: JoinRequest, signal: AbortSignal) => Promise<unknown>, log: Log | undefined) {
    this.#join = join;
    this.#log = log;
  }

  close(): void {
    this.#closed.abort(new PlimsollError('link-lost', 'The controller is stopping; try again.'));
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    if (request.method !== 'POST') {
      replyJson(response, 405, { code: 'input-invalid', message: `${joinPath} takes POST only.` }, { allow: 'POST' });
    } else if (this.#inFlight >= serverLimits.joinsInFlightMax) {
      replyJson(response, 503, { code: 'link-lost', message: 'Too many hosts are joining; try again.' }, { 'retry-after': '1' });
    } else {
      this.#inFlight += 1;
      void this.#answer(request, response).finally(() => {
        this.#inFlight -= 1;
      });
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort(new PlimsollError('link-lost', 'The joining host hung up.')));
    const signal = AbortSignal.any([gone.signal, this.#closed.signal, AbortSignal.timeout(serverLimits.joinMsMax)]);
    try {
      const body = await readBody(request, serverLimits.joinBodyBytesMax, signal);
      replyJson(response, 200, await this.#join(parseJoinRequest(body), signal));
    } catch (error) {
      this.#refuse(response, error);
    }
  }

  #refuse(response: ServerResponse, error: unknown): void {
    if (error instanceof PlimsollError) {
      replyJson(response, statusOf(error.code), { code: error.code, message: error.message });
      return;
    }
    // What went wrong inside is for the controller's log, not for a stranger.
    this.#log?.error('join failed', { error: error instanceof Error ? error.message : String(error) });
    replyJson(response, 500, { code: 'internal', message: "The controller could not answer; see the controller's log." });
  }
}
