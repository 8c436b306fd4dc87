import type { Socket } from 'node:dgram';
import { PlimsollError } from '#core/model/result.ts';
import { closeSocket, openSocket } from './udp-socket.ts';

/** Users of one socket at one time; far above any limit of migrations per host. */
const usersMax = 64;

const openMsMax = 5000;

interface Shared {
  users: number;
  readonly opened: Promise<Socket>;
}

export interface Borrowed {
  readonly socket: Socket;
  /** Twice is once. */
  readonly giveBack: () => Promise<void>;
}

/** UDP sockets on fixed ports that several runs use at a time, told apart by their nonces; closed with the last user. */
export class SharedSockets {
  readonly #shared = new Map<string, Shared>();

  /** Rejects with `channel-failed` when the socket cannot be had, with the signal's reason when aborted. */
  async borrow(address: string, port: number, signal: AbortSignal): Promise<Borrowed> {
    signal.throwIfAborted();
    const key = `${address} ${port}`;
    // One caller's abort must not take the socket from the others that wait for it.
    const shared = this.#shared.get(key) ?? { users: 0, opened: openSocket(address, port, AbortSignal.timeout(openMsMax)) };
    if (shared.users >= usersMax) {
      throw new PlimsollError(
        'channel-failed',
        `Too many probes at once on ${address} port ${port}; try again when a migration has ended.`,
      );
    }
    this.#shared.set(key, shared);
    shared.users += 1;
    let given = false;
    const giveBack = async (): Promise<void> => {
      if (given) return;
      given = true;
      shared.users -= 1;
      const socket = await shared.opened.catch(() => null);
      // Meanwhile somebody may have come, or may have closed it already.
      if (shared.users > 0 || this.#shared.get(key) !== shared) return;
      this.#shared.delete(key);
      if (socket !== null) await closeSocket(socket);
    };
    try {
      const socket = await shared.opened;
      // Each user listens for itself.
      socket.setMaxListeners(usersMax + 1);
      signal.throwIfAborted();
      return { socket, giveBack };
    } catch (error) {
      await giveBack();
      throw error;
    }
  }
}
