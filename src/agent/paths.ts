import { beginSearch, nextProbe, pathMtuOf, probed } from '#core/channel/path-search.ts';
import { channelAddresses } from '#core/channel/profiles.ts';
import { carriedBetween } from '#core/channel/watch.ts';
import type { WayFacts } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Listening } from '#core/ports.ts';
import { pause, withDeadline } from '#core/time.ts';
import type { CommandArgs, CommandReply, Peer } from '#wire/agent-protocol.ts';
import type { Channels } from './channels.ts';
import type { AgentParts } from './parts.ts';

interface Answering {
  readonly peerHostId: HostId;
  readonly listening: readonly Listening[];
  readonly over: AbortController;
}

const answeringsMax = 16;
/** Longer than any measurement: what nobody stops (its controller died) ends by itself. */
const answeringMsMax = 60_000;
const measureMsMax = 60_000;
const probeTimeoutMs = 500;

/** What packets reach a peer and how fast: measures, and answers a peer that measures. */
export class Paths {
  readonly #parts: AgentParts;
  readonly #channels: Channels;
  readonly #answering = new Map<string, Answering>();

  constructor(parts: AgentParts, channels: Channels) {
    this.#parts = parts;
    this.#channels = channels;
  }

  way(peer: Peer, signal: AbortSignal): Promise<WayFacts> {
    return this.#parts.network.way(peer.addresses.underlay, signal);
  }

  /** Answers path probes with this nonce, and takes in one stream on the port that it resolves with, for a minute at most. */
  async answer(peer: Peer, nonce: string, stream: boolean, signal: AbortSignal): Promise<number | null> {
    await this.stop(nonce);
    if (this.#answering.size >= answeringsMax)
      throw new PlimsollError('migration-limit', 'too many paths to this host are being measured: try again in a minute');
    const { prober } = this.#parts;
    const own = this.#channels.ownAddresses(peer);
    const path = await prober.answerPath(own, nonce, signal);
    const listening: Listening[] = [path];
    const answering: Answering = { peerHostId: peer.hostId, listening, over: new AbortController() };
    this.#answering.set(nonce, answering);
    void this.#stopInTime(nonce, answering);
    if (!stream) return null;
    try {
      const receiving = await prober.receiveStream(own, nonce, signal);
      listening.push(receiving);
      // Stopped while the port was opened.
      if (answering.over.signal.aborted) await receiving.close();
      return receiving.port;
    } catch (error) {
      await this.stop(nonce);
      throw error;
    }
  }

  async stop(nonce: string): Promise<void> {
    const answering = this.#answering.get(nonce);
    if (!answering) return;
    this.#answering.delete(nonce);
    answering.over.abort();
    await Promise.all(answering.listening.map((one) => one.close()));
  }

  /** Stops answering a peer whose channel is taken down. */
  async stopAll(peerHostId: HostId): Promise<void> {
    const nonces = [...this.#answering].filter(([, answering]) => answering.peerHostId === peerHostId).map(([nonce]) => nonce);
    await Promise.all(nonces.map((nonce) => this.stop(nonce)));
  }

  /**
   * The largest IP packet that reaches the peer, 0 when not even the smallest does. What is above the MTU that the host's route has
   * by now is not sent in one piece (IP_PMTUDISC_WANT), so an answer to it says nothing: it counts as too large.
   */
  async measure({ peer, nonce, packetBytesMax }: CommandArgs<'path.measure'>, signal: AbortSignal): Promise<number> {
    const { clock } = this.#parts;
    return withDeadline(clock, measureMsMax, signal, async (limited) => {
      const first = await this.way(peer, limited);
      let { routeMtuBytes } = first;
      let search = beginSearch({
        ipVersion: peer.addresses.underlay.includes(':') ? 6 : 4,
        maxBytes: Math.min(packetBytesMax, first.interfaceMtuBytes),
        hintsBytes: [routeMtuBytes, first.tunnelMtuBytes].filter((size) => size !== null),
      });
      for (let size = nextProbe(search); size !== null; size = nextProbe(search)) {
        const answered = isWhole(size, routeMtuBytes) && (await this.#probe(peer, nonce, size, limited));
        ({ routeMtuBytes } = await this.way(peer, limited));
        search = probed(search, size, answered && isWhole(size, routeMtuBytes), routeMtuBytes);
      }
      return pathMtuOf(search);
    });
  }

  #probe(peer: Peer, nonce: string, packetBytes: number, signal: AbortSignal): Promise<boolean> {
    const ends = { from: this.#channels.ownAddresses(peer), to: channelAddresses(peer.profile, peer.addresses) };
    return this.#parts.prober.probePath({ ...ends, nonce, packetBytes, timeoutMs: probeTimeoutMs }, signal);
  }

  /** A bulk stream through the channel, counted by its SA. Throws `channel-failed` without one that lasts. */
  async stream({ peer, nonce, port, durationMs }: CommandArgs<'path.stream'>, signal: AbortSignal): Promise<CommandReply<'path.stream'>> {
    const before = await this.#channels.reading(peer.hostId, signal);
    if (before.sa === null || !before.guard.installed)
      throw new PlimsollError('channel-failed', `there is no channel to ${peer.hostId} to measure: prove it first`);
    const ends = { from: this.#channels.ownAddresses(peer), to: channelAddresses(peer.profile, peer.addresses) };
    const sent = await this.#parts.prober.sendStream({ ...ends, port, nonce, durationMs }, signal);
    const after = await this.#channels.reading(peer.hostId, signal);
    const through = after.sa === null ? null : carriedBetween(before.sa, after.sa);
    if (through === null)
      throw new PlimsollError('channel-failed', `the channel to ${peer.hostId} did not last for the measurement: try again`);
    return { bytes: sent.bytes, durationMs: sent.durationMs, packetsOut: through.packetsOut, packetBytesOut: through.bytesOut };
  }

  async #stopInTime(nonce: string, answering: Answering): Promise<void> {
    const late = await pause(this.#parts.clock, answeringMsMax, answering.over.signal);
    if (late && this.#answering.get(nonce) === answering) await this.stop(nonce);
  }
}

function isWhole(packetBytes: number, routeMtuBytes: number | null): boolean {
  return routeMtuBytes === null || packetBytes <= routeMtuBytes;
}
