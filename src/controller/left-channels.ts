/**
 * Takes down channels that nothing uses: the hosts of a migration could not be reached as it ended, or the controller died before it
 * could tell them.
 */
import type { HostId } from '#core/model/host.ts';
import { refusalOf } from '#core/model/result.ts';
import type { CommandReply } from '#wire/agent-protocol.ts';
import type { AgentLines } from './agent-lines.ts';
import { type BusyPairs, pairKey } from './busy-pairs.ts';
import type { Executor } from './executor.ts';
import { inParallel } from './in-parallel.ts';
import type { KeptChannels } from './kept-channels.ts';
import type { ControllerParts } from './parts.ts';

const closeMsMax = 10_000;
const closingsAtOnce = 32;

export interface LeftRooms {
  readonly parts: ControllerParts;
  readonly lines: AgentLines;
  readonly executor: Executor;
  readonly busyPairs: BusyPairs;
  readonly kept: KeptChannels;
}

/** What one host has of its channels to others. */
export type ChannelsSeen = Pick<CommandReply<'channel.list'>, 'sas' | 'tuned'>;

/** One host's end of its channel with a peer. */
interface End {
  readonly hostId: HostId;
  readonly peerHostId: HostId;
}

export class LeftChannels {
  readonly #rooms: LeftRooms;

  constructor(rooms: LeftRooms) {
    this.#rooms = rooms;
  }

  /** Looks through what hosts have said a moment ago. What cannot be taken down now is seen again. */
  async end(seen: ReadonlyMap<HostId, ChannelsSeen>, signal: AbortSignal): Promise<void> {
    const found = [...seen].flatMap(([hostId, { sas, tuned }]) => {
      const peers = new Set([...sas, ...tuned].map(({ peerHostId }) => peerHostId));
      return [...peers].map((peerHostId) => ({ hostId, peerHostId }));
    });
    const channels = Map.groupBy(found, ({ hostId, peerHostId }) => pairKey(hostId, peerHostId));
    await inParallel([...channels.values()], closingsAtOnce, (ofPair) => this.#endOne(ofPair, signal));
  }

  /** `ends`: those of one pair. Asked as late as possible: since the hosts were looked at, a migration may have begun. */
  async #endOne(ends: readonly End[], signal: AbortSignal): Promise<void> {
    const [first] = ends;
    if (first === undefined || this.#isWanted(first)) return;
    await this.#rooms.busyPairs.during(first.hostId, first.peerHostId, async () => {
      for (const end of ends) await this.#close(end, signal);
    });
  }

  #isWanted({ hostId, peerHostId }: End): boolean {
    const { executor, busyPairs, kept } = this.#rooms;
    if (kept.has(hostId, peerHostId) || busyPairs.isBusy(hostId, peerHostId)) return true;
    return executor.migrationBetween(hostId, peerHostId) !== null;
  }

  async #close({ hostId, peerHostId }: End, signal: AbortSignal): Promise<void> {
    const { parts, lines } = this.#rooms;
    parts.log.info('a channel that nothing uses is taken down', { hostId, peer: peerHostId });
    try {
      await lines.command(hostId, 'channel.close', { peerHostId }, closeMsMax, signal);
    } catch (error) {
      if (signal.aborted) return;
      parts.log.warn('a channel that nothing uses could not be taken down, it is tried again', { hostId, ...refusalOf(error) });
    }
  }
}
