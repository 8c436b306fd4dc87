/** Channels as an operator asks for them: looks, proves, tunes and resets, between migrations and never beside one of the same pair. */
import { packetsPerGibibyte, tuningRecord } from '#core/channel/tuning.ts';
import type { ChannelProfile, ProfileName } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import type { Policy } from '#core/model/policy.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type {
  ChannelResource,
  ProveBody,
  ProveResource,
  ResetResource,
  StreamResource,
  TuneBody,
  TuneResource,
} from '#wire/channel-api.ts';
import type { AgentLines } from './agent-lines.ts';
import type { Audit } from './audit.ts';
import type { BusyPairs } from './busy-pairs.ts';
import type { Executor } from './executor.ts';
import { inParallel } from './in-parallel.ts';
import type { KeptChannels } from './kept-channels.ts';
import { endOf, type HostReport, pairsOf, stateOf } from './pairs.ts';
import type { ControllerParts } from './parts.ts';
import type { Preflight } from './preflight.ts';
import type { Ends, Securing } from './securing.ts';
import type { StreamMeter } from './stream-meter.ts';
import { type Measured, type Tuner, waysOf } from './tuner.ts';

const quickMs = 10_000;
const listsAtOnce = 32;
const streamMsDefault = 2000;

export interface ChannelRooms {
  readonly parts: ControllerParts;
  readonly lines: AgentLines;
  readonly policy: Policy;
  readonly preflight: Preflight;
  readonly securing: Securing;
  readonly tuner: Tuner;
  readonly streams: StreamMeter;
  readonly executor: Executor;
  readonly busyPairs: BusyPairs;
  readonly kept: KeptChannels;
  readonly audit: Audit;
}

export class Channels {
  readonly #rooms: ChannelRooms;
  readonly #signal: AbortSignal;

  constructor(rooms: ChannelRooms, signal: AbortSignal) {
    this.#rooms = rooms;
    this.#signal = signal;
  }

  /** Every pair of hosts with a channel, settings for one, or a measurement. */
  async list(): Promise<readonly ChannelResource[]> {
    const reports = await this.#reports(this.#rooms.lines.hostIds);
    const tunings = await this.#rooms.parts.store.tunings();
    return pairsOf(reports, tunings).map((pair) => this.#resource(pair, reports, tunings));
  }

  /** One pair, also when there is nothing between the two. */
  async show(one: HostId, other: HostId): Promise<ChannelResource> {
    const pair = one < other ? ([one, other] as const) : ([other, one] as const);
    return this.#resource(pair, await this.#reports(pair), await this.#rooms.parts.store.tunings());
  }

  /** Makes a channel and proves it; takes it down again unless it is to be kept: now, or since an earlier wish. */
  async prove(ends: Ends, body: ProveBody, who: string): Promise<ProveResource> {
    const { parts, audit, securing, kept } = this.#rooms;
    return this.#alone(ends, async () => {
      const startedMs = parts.clock.monotonicMs();
      // One of another profile than the policy's is of no use to a migration.
      const keep = body.keep ?? (kept.has(ends.fromHostId, ends.toHostId) && body.profile === undefined);
      const profile = this.#profile(body.profile);
      const outcome = await securing
        .secure(ends, profile, () => Promise.resolve(null))
        .then(
          ({ proof }) => ({ proof, refusal: null }),
          (error: unknown) => ({ proof: null, refusal: refusalOf(error) }),
        );
      this.#signal.throwIfAborted();
      const isKept = keep && outcome.proof !== null;
      if (isKept) await kept.keep(ends);
      else await this.#close(ends);
      const verdict = outcome.proof === null ? `not proven: ${outcome.refusal.code}` : `proven, ${outcome.proof.profile}`;
      await audit.note(who, 'channel.prove', `${ends.fromHostId} ${ends.toHostId}`, verdict);
      return { ...names(ends), ...outcome, kept: isKept, tookMs: Math.round(parts.clock.monotonicMs() - startedMs) };
    });
  }

  /** Measures the path and, by a short stream before and after, what larger packets gain. */
  async tune(ends: Ends, body: TuneBody, who: string): Promise<TuneResource> {
    const { securing, tuner, audit, kept } = this.#rooms;
    return this.#alone(ends, async () => {
      const profile = this.#profile(body.profile);
      let applied = false;
      try {
        await securing.open(ends, profile);
        const result = await this.#compare(ends, profile, body.streamMs ?? streamMsDefault);
        applied = body.apply === true && result.record.kept === 'after';
        if (applied) await kept.keep(ends);
        await audit.note(who, 'channel.tune', `${ends.fromHostId} ${ends.toHostId}`, applied ? 'applied' : 'measured');
        return { ...result, applied };
      } finally {
        if (!applied) await tuner.restore(ends);
        if (!applied && !kept.has(ends.fromHostId, ends.toHostId)) await securing.close(ends);
      }
    });
  }

  /** Ends the channel on both hosts, puts their network settings back, and forgets what was measured. */
  async reset(ends: Ends, who: string): Promise<ResetResource> {
    const { tuner, audit, lines, kept } = this.#rooms;
    return this.#alone(
      ends,
      async () => {
        tuner.forget(ends);
        const [hostA, hostB] = ends.fromHostId < ends.toHostId ? [ends.fromHostId, ends.toHostId] : [ends.toHostId, ends.fromHostId];
        const closing = [
          [hostA, hostB],
          [hostB, hostA],
        ] as const;
        const results = await inParallel(closing, closing.length, async ([hostId, peerHostId]) => {
          try {
            // Closing puts the settings back, too.
            await lines.command(hostId, 'channel.close', { peerHostId }, quickMs, this.#signal);
            return { hostId, refusal: null };
          } catch (error) {
            this.#signal.throwIfAborted();
            return { hostId, refusal: refusalOf(error) };
          }
        });
        await kept.release(ends);
        await audit.note(who, 'channel.reset', `${hostA} ${hostB}`);
        return { hostA, hostB, ends: [...results] };
      },
      { fit: false },
    );
  }

  async #compare(ends: Ends, profile: ChannelProfile, streamMs: number): Promise<Omit<TuneResource, 'applied'>> {
    const { tuner, streams, parts, policy } = this.#rooms;
    const mode = policy.channel.tuning.mode === 'off' ? 'clamp' : policy.channel.tuning.mode;
    // What earlier settings are there is put back first, so that `before` means without any.
    await tuner.restore(ends);
    const before = await streams.measure(ends, profile, streamMs);
    const measured = await tuner.measure(ends, profile, { ...policy.channel.tuning, mode });
    await tuner.apply(ends, measured.plan.settings);
    const after = await streams.measure(ends, profile, streamMs);
    const record = tuningRecord(measured.plan, { before, after }, parts.clock.nowMs());
    const settings = record.kept === 'after' ? measured.plan.settings : { source: null, destination: null };
    await tuner.remember(ends, profile, settings, record);
    return { ...names(ends), profile: profile.name, record, before, after, ...comparison(measured, before, after) };
  }

  /** Runs the work while no migration and nobody else has this pair. `fit`: both hosts must be sound members. */
  #alone<Value>(ends: Ends, work: () => Promise<Value>, checks: { readonly fit: boolean } = { fit: true }): Promise<Value> {
    const { executor, busyPairs, preflight } = this.#rooms;
    const { fromHostId, toHostId } = ends;
    if (fromHostId === toHostId) throw new PlimsollError('destination-same-as-source', 'a channel is between two different hosts');
    if (checks.fit) for (const hostId of [fromHostId, toHostId]) preflight.mustBeFit(hostId);
    const migrationId = executor.migrationBetween(fromHostId, toHostId);
    if (migrationId !== null) {
      throw new PlimsollError(
        'migration-limit',
        `migration ${migrationId} uses the channel between ${fromHostId} and ${toHostId}: wait for it to end`,
      );
    }
    return busyPairs.during(fromHostId, toHostId, work);
  }

  async #close(ends: Ends): Promise<void> {
    const { securing, kept } = this.#rooms;
    await securing.close(ends);
    await kept.release(ends);
  }

  #profile(name: ProfileName | undefined): ChannelProfile {
    const { profile } = this.#rooms.policy.channel;
    return name === undefined ? profile : { ...profile, name };
  }

  async #reports(hostIds: readonly HostId[]): Promise<ReadonlyMap<HostId, HostReport>> {
    const reports = await inParallel(hostIds, listsAtOnce, async (hostId): Promise<readonly [HostId, HostReport]> => {
      try {
        return [hostId, { list: await this.#rooms.lines.command(hostId, 'channel.list', {}, quickMs, this.#signal) }];
      } catch (error) {
        this.#signal.throwIfAborted();
        return [hostId, { refusal: refusalOf(error) }];
      }
    });
    return new Map(reports);
  }

  #resource(
    [hostA, hostB]: readonly [HostId, HostId],
    reports: ReadonlyMap<HostId, HostReport>,
    tunings: Awaited<ReturnType<ControllerParts['store']['tunings']>>,
  ): ChannelResource {
    const end = (hostId: HostId, peerHostId: HostId) => endOf(hostId, peerHostId, reports.get(hostId) ?? notConnected(hostId));
    const ends = [end(hostA, hostB), end(hostB, hostA)] as const;
    const tuning = tunings.find((stored) => stored.hostA === hostA && stored.hostB === hostB)?.record ?? null;
    const migrationId = this.#rooms.executor.migrationBetween(hostA, hostB);
    return { hostA, hostB, state: stateOf(ends), profile: this.#rooms.policy.channel.profile.name, ends: [...ends], tuning, migrationId };
  }
}

function names({ fromHostId, toHostId }: Ends): Ends {
  return { fromHostId, toHostId };
}

function comparison({ facts, plan }: Measured, before: StreamResource | null, after: StreamResource | null) {
  const packetRatioMeasured = before === null || after === null ? null : packetsPerByte(after) / packetsPerByte(before);
  return {
    ways: [...waysOf(facts)],
    packetRatioPredicted: packetsPerGibibyte(plan.prediction.after) / packetsPerGibibyte(plan.prediction.before),
    packetRatioMeasured: packetRatioMeasured !== null && Number.isFinite(packetRatioMeasured) ? packetRatioMeasured : null,
    reason: plan.limit,
  };
}

function packetsPerByte({ packetsOut, bytes }: StreamResource): number {
  return packetsOut / bytes;
}

function notConnected(hostId: HostId): HostReport {
  return { refusal: { code: 'host-down', message: `host ${hostId} is not connected: start its agent (or wait, it dials by itself)` } };
}
