/** Fits packet sizes of a channel to its path: measured by the agents, planned by the core, set on both ends. */
import {
  type EndSettings,
  planMeasurement,
  planTuning,
  type TuningEnd,
  type TuningFacts,
  type TuningPlan,
  tuningRecord,
} from '#core/channel/tuning.ts';
import type { ChannelProfile, PeerTuning, TuningRecord, WayFacts } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import type { ChannelPolicy, Policy } from '#core/model/policy.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { CommandArgs, CommandName, CommandReply } from '#wire/agent-protocol.ts';
import type { AgentLines } from './agent-lines.ts';
import { pairKey } from './busy-pairs.ts';
import type { ControllerParts } from './parts.ts';
import type { Ends, Securing } from './securing.ts';

/** Settings of the network go through `ip` and `nft`, each a process of its own: seconds on a host that is short of CPU. */
const stepMsMax = 30_000;
/** The agent gives up a search after a minute. */
const measureMs = 70_000;
/** For so long a measurement is good for further migrations of the pair. */
const knownMsMax = 600_000;
const knownPairsMax = 10_000;

/** What is known of the path between two hosts in one profile. */
export interface Measured {
  readonly facts: TuningFacts;
  readonly plan: TuningPlan;
}

interface Known {
  readonly profile: string;
  /** Per host: what it sets towards the other; null: nothing. */
  readonly settings: ReadonlyMap<HostId, PeerTuning | null>;
  readonly record: TuningRecord;
  readonly atMs: number;
}

export class Tuner {
  readonly #parts: ControllerParts;
  readonly #lines: AgentLines;
  readonly #securing: Securing;
  readonly #policy: ChannelPolicy['tuning'];
  readonly #signal: AbortSignal;
  readonly #known = new Map<string, Known>();

  constructor(parts: ControllerParts, lines: AgentLines, securing: Securing, policy: Policy, signal: AbortSignal) {
    this.#parts = parts;
    this.#lines = lines;
    this.#securing = securing;
    this.#policy = policy.channel.tuning;
    this.#signal = signal;
  }

  /**
   * For a migration: measures, or takes what was measured lately, and sets both ends. What cannot be measured or set is no
   * reason not to migrate, and leaves things as they were. Throws `channel-failed` where not even the smallest packet comes through.
   */
  async fit(ends: Ends, profile: ChannelProfile): Promise<TuningRecord | null> {
    if (this.#policy.mode === 'off') return null;
    try {
      const known = this.#recall(ends, profile);
      if (known !== null) {
        await this.#setBoth(ends, (hostId) => known.settings.get(hostId) ?? null);
        return known.record;
      }
      const { plan } = await this.measure(ends, profile, this.#policy);
      await this.apply(ends, plan.settings);
      const record = tuningRecord(plan, { before: null, after: null }, this.#parts.clock.nowMs());
      await this.remember(ends, profile, plan.settings, record);
      return record;
    } catch (error) {
      this.#signal.throwIfAborted();
      await this.restore(ends);
      if (error instanceof NothingComesThrough) throw new PlimsollError('channel-failed', error.message);
      this.#parts.log.warn('packet sizes were not fitted, the migration goes on with those there are', { ...ends, ...refusalOf(error) });
      return null;
    }
  }

  /** The path both ways, from settings as they are without us. Interface MTUs may be raised when it resolves: `apply` or `restore` follows. */
  async measure(ends: Ends, profile: ChannelProfile, policy: ChannelPolicy['tuning']): Promise<Measured> {
    const { fromHostId, toHostId } = ends;
    await Promise.all([
      this.#command(fromHostId, 'path.restore', { peerHostId: toHostId }, stepMsMax),
      this.#command(toHostId, 'path.restore', { peerHostId: fromHostId }, stepMsMax),
    ]);
    const [{ reading }, source, destination] = await Promise.all([
      this.#command(fromHostId, 'channel.state', { peerHostId: toHostId }, stepMsMax),
      this.#end(fromHostId, toHostId, profile),
      this.#end(toHostId, fromHostId, profile),
    ]);
    const facts: TuningFacts = { profile, sa: reading.sa, source, destination, policy };
    const { settings, packetBytesMax } = planMeasurement(facts);
    await this.#setBoth(ends, (hostId) => (hostId === fromHostId ? settings.source : settings.destination), false);
    const [out, back] = await Promise.all([
      this.#measureOneWay(fromHostId, toHostId, profile, packetBytesMax),
      this.#measureOneWay(toHostId, fromHostId, profile, packetBytesMax),
    ]);
    const pathMtuBytes = Math.min(out, back);
    if (pathMtuBytes === 0) throw new NothingComesThrough(out === 0 ? fromHostId : toHostId, out === 0 ? toHostId : fromHostId);
    const planned = planTuning(facts, pathMtuBytes);
    if (!planned.ok) throw new PlimsollError('channel-failed', planned.why);
    return { facts, plan: planned.plan };
  }

  /** Makes these settings, which take the place of older ones. */
  apply(ends: Ends, settings: EndSettings): Promise<void> {
    return this.#setBoth(ends, (hostId) => (hostId === ends.fromHostId ? settings.source : settings.destination));
  }

  /** Puts back what was there before, as far as the hosts can be reached. */
  async restore({ fromHostId, toHostId }: Ends): Promise<void> {
    for (const [hostId, peerHostId] of [
      [fromHostId, toHostId],
      [toHostId, fromHostId],
    ] as const) {
      try {
        await this.#command(hostId, 'path.restore', { peerHostId }, stepMsMax);
      } catch (error) {
        this.#signal.throwIfAborted();
        this.#parts.log.warn('network settings were not put back, the agent does it when the channel is closed', {
          hostId,
          ...refusalOf(error),
        });
      }
    }
  }

  /** Keeps what was found out: durably for people, and for migrations in the next minutes. Settings of null: they were no better. */
  async remember(ends: Ends, profile: ChannelProfile, settings: EndSettings, record: TuningRecord): Promise<void> {
    const { fromHostId, toHostId } = ends;
    const perHost = new Map([
      [fromHostId, settings.source],
      [toHostId, settings.destination],
    ]);
    const nowMs = this.#parts.clock.monotonicMs();
    for (const [key, { atMs }] of this.#known) if (nowMs - atMs > knownMsMax || this.#known.size >= knownPairsMax) this.#known.delete(key);
    this.#known.set(pairKey(fromHostId, toHostId), { profile: JSON.stringify(profile), settings: perHost, record, atMs: nowMs });
    const [hostA, hostB] = fromHostId < toHostId ? [fromHostId, toHostId] : [toHostId, fromHostId];
    await this.#parts.store.saveTuning({ hostA, hostB, record });
  }

  /** The network may have changed: the next migration measures again. */
  forget({ fromHostId, toHostId }: Ends): void {
    this.#known.delete(pairKey(fromHostId, toHostId));
  }

  #recall({ fromHostId, toHostId }: Ends, profile: ChannelProfile): Known | null {
    const known = this.#known.get(pairKey(fromHostId, toHostId));
    if (!known || this.#parts.clock.monotonicMs() - known.atMs > knownMsMax) return null;
    return known.profile === JSON.stringify(profile) ? known : null;
  }

  async #end(hostId: HostId, peerHostId: HostId, profile: ChannelProfile): Promise<TuningEnd> {
    const { way } = await this.#command(hostId, 'path.way', { peer: this.#securing.peer(peerHostId, profile) }, stepMsMax);
    return { hostId, addresses: this.#securing.peer(hostId, profile).addresses, way };
  }

  /** The largest packet that crosses from one host to the other; 0 when none does. */
  async #measureOneWay(fromHostId: HostId, toHostId: HostId, profile: ChannelProfile, packetBytesMax: number): Promise<number> {
    const nonce = this.#parts.random.id();
    await this.#command(toHostId, 'path.answer', { peer: this.#securing.peer(fromHostId, profile), nonce, stream: false }, stepMsMax);
    try {
      const peer = this.#securing.peer(toHostId, profile);
      const { pathMtuBytes } = await this.#command(fromHostId, 'path.measure', { peer, nonce, packetBytesMax }, measureMs);
      return pathMtuBytes;
    } finally {
      // It ends by itself after a minute, should this not arrive.
      await this.#command(toHostId, 'path.stop', { nonce }, stepMsMax).catch(() => null);
    }
  }

  /** `clear`: a host without settings of its own loses older ones. */
  async #setBoth({ fromHostId, toHostId }: Ends, settingsOf: (hostId: HostId) => PeerTuning | null, clear = true): Promise<void> {
    const set = async (hostId: HostId, peerHostId: HostId) => {
      const tuning = settingsOf(hostId);
      if (tuning !== null) await this.#command(hostId, 'path.tune', { tuning }, stepMsMax);
      else if (clear) await this.#command(hostId, 'path.restore', { peerHostId }, stepMsMax);
    };
    await Promise.all([set(fromHostId, toHostId), set(toHostId, fromHostId)]);
  }

  #command<Name extends CommandName>(hostId: HostId, name: Name, args: CommandArgs<Name>, timeoutMs: number): Promise<CommandReply<Name>> {
    return this.#lines.command(hostId, name, args, timeoutMs, this.#signal);
  }
}

/** The ways of both ends, as they were before anything was set. */
export function waysOf({ source, destination }: TuningFacts): readonly { readonly hostId: HostId; readonly way: WayFacts }[] {
  return [source, destination].map(({ hostId, way }) => ({ hostId, way }));
}

class NothingComesThrough extends Error {
  constructor(fromHostId: HostId, toHostId: HostId) {
    super(
      `not even the smallest packet came from ${fromHostId} to ${toHostId} and was answered (UDP port 49148): open the way between their underlay addresses, or set channel.tuning.mode to off`,
    );
    this.name = 'NothingComesThrough';
  }
}
