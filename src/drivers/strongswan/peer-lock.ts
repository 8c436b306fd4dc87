import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';

/** More than one agent ever has for one peer; beyond it somebody asks in a loop. */
const waitingMax = 16;

interface Line {
  tail: Promise<void>;
  waiting: number;
}

/** One piece of work at a time for each peer, in the order of asking; different peers do not wait for each other. */
export class PeerLock {
  readonly #lines = new Map<HostId, Line>();

  /** Rejects with `aborted` when the signal fires before its turn, with `ipsec-unavailable` when the line is too long. */
  async run<Result>(peerHostId: HostId, signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    const line = this.#lines.get(peerHostId) ?? { tail: Promise.resolve(), waiting: 0 };
    if (line.waiting >= waitingMax) {
      throw new PlimsollError('ipsec-unavailable', `${waitingMax} calls for ${peerHostId} wait already: try again when they are done.`);
    }
    this.#lines.set(peerHostId, line);
    const before = line.tail;
    const { promise: done, resolve: finish } = Promise.withResolvers<void>();
    // One that gave up waiting must not let the next one in before its predecessor is done.
    line.tail = before.then(() => done);
    line.waiting += 1;
    try {
      await beforeAbort(before, signal);
      return await work();
    } finally {
      line.waiting -= 1;
      finish();
      if (line.waiting === 0) void line.tail.then(() => this.#forget(peerHostId, line));
    }
  }

  #forget(peerHostId: HostId, line: Line): void {
    if (line.waiting === 0 && this.#lines.get(peerHostId) === line) this.#lines.delete(peerHostId);
  }
}

async function beforeAbort(turn: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void =>
    reject(new PlimsollError('aborted', 'Waiting for another call for the same peer was given up.', { cause: signal.reason }));
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([turn, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
