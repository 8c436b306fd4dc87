import { candidateOptions, type Choice, choosePlan, faultsFrom, type StreamLimit } from '#core/migration/choice.ts';
import { type PastTransfer, pastTransferOf } from '#core/migration/calibration.ts';
import type { ChannelProfile } from '#core/model/channel.ts';
import type { MeasuredBandwidth, MemoryActivity } from '#core/model/forecast.ts';
import type { Migration, MigrationRequest } from '#core/model/migration.ts';
import type { Policy } from '#core/model/policy.ts';
import { PlimsollError, type Refusal, refusalOf, type Result } from '#core/model/result.ts';
import type { CommandArgs, CommandName, CommandReply } from '#wire/agent-protocol.ts';
import type { AgentLines } from './agent-lines.ts';
import { pairKey } from './busy-pairs.ts';
import type { ControllerParts } from './parts.ts';
import type { Ends } from './securing.ts';
import type { StreamMeter } from './stream-meter.ts';
import type { TransferKnowledge } from './transfer-knowledge.ts';

const quickMs = 10_000;
/** Where the agent has not looked at the VM already: long enough for two looks of different length, short against any migration. */
const memoryMs = 3_000;
const streamMs = 500;
/** A stream that carries less than this share of what the pair carried before may have met a moment's stall, and is sent again. */
const doubtfulShare = 0.5;
const streamsMax = 3;
/** A bandwidth that is older says little about a shared link. */
const bandwidthAgeMsMax = 600_000;
const pairsKeptMax = 10_000;
const historyRead = 500;
/** In one command; a ladder has to be odd to want more. */
const methodsAskedMax = 32;
const kernelStreams: StreamLimit = { max: 16, reason: 'more streams than that help no link' };
/** Measured: a multifd migration over one userspace ESP process did not converge. */
const userspaceStreams: StreamLimit = {
  max: 1,
  reason: 'userspace ESP carries all of them in one thread, and a migration over several does not end',
};

export interface ChoosingRooms {
  readonly parts: ControllerParts;
  readonly lines: AgentLines;
  readonly policy: Policy;
  readonly streams: StreamMeter;
  /** Is told what was found out. */
  readonly knowledge: TransferKnowledge;
}

/** What takes long, and is found out while the channel is made. */
interface Groundwork {
  readonly activity: Promise<MemoryActivity | null>;
  readonly streams: Promise<Found<StreamLimit>>;
}

type Found<Value> = Result<{ readonly value: Value }, { readonly refusal: Refusal }>;

/** Finds out what a transfer will cost, and how it is made best. */
export class Choosing {
  readonly #rooms: ChoosingRooms;
  readonly #signal: AbortSignal;
  /** Of migrations whose channel is being made. */
  readonly #groundworks = new Map<string, Groundwork>();
  readonly #bandwidths = new Map<string, MeasuredBandwidth>();

  constructor(rooms: ChoosingRooms, signal: AbortSignal) {
    this.#rooms = rooms;
    this.#signal = signal;
  }

  /** Begins to watch the VM's memory, which takes seconds that the channel takes too. `choose` or `forget` follows. */
  begin(request: MigrationRequest): void {
    this.#groundworks.set(request.migrationId, this.#layGround(request));
  }

  /** Of a migration that did not come so far. */
  forget(migrationId: string): void {
    this.#groundworks.delete(migrationId);
  }

  /** What the channel carries now. That it cannot be measured is no reason not to migrate. */
  async measureChannel(ends: Ends, profile: ChannelProfile): Promise<void> {
    const bytesPerSecond = await this.#streamed(ends, profile);
    if (bytesPerSecond === null) return;
    const measuredAtMs = this.#rooms.parts.clock.nowMs();
    for (const [pair, known] of this.#bandwidths)
      if (!this.#isFresh(known) || this.#bandwidths.size >= pairsKeptMax) this.#bandwidths.delete(pair);
    const measured = { bytesPerSecond, measuredAtMs, by: 'stream' } as const;
    this.#bandwidths.set(pairKey(ends.fromHostId, ends.toHostId), measured);
    this.#rooms.knowledge.noteBandwidth(ends, measured);
  }

  /** The best of as many streams as it takes until one is as fast as the pair is known to be, within half; of a pair that is not known, of one. */
  async #streamed(ends: Ends, profile: ChannelProfile): Promise<number | null> {
    const known = this.#bandwidths.get(pairKey(ends.fromHostId, ends.toHostId))?.bytesPerSecond ?? 0;
    let best: number | null = null;
    for (let sent = 0; sent < streamsMax; sent += 1) {
      const stream = await this.#rooms.streams.measure(ends, profile, streamMs);
      if (stream !== null) best = Math.max(best ?? 0, stream.bytesPerSecond);
      if ((best ?? 0) >= known * doubtfulShare) return best;
    }
    return best;
  }

  /** Refuses a transfer that would not come to an end as the policy wants it. Throws where a host does not tell what must be known. */
  async choose(request: MigrationRequest): Promise<Choice> {
    const { activity, streams: limit } = this.#groundworks.get(request.migrationId) ?? this.#layGround(request);
    this.#groundworks.delete(request.migrationId);
    const { parts, policy } = this.#rooms;
    const { fromHostId, toHostId, vmId, wish } = request;
    const streams = valueOf(await limit);
    const asked = { wish, policy, streams };
    const candidates = candidateOptions(asked);
    const [memory, { vm }, { faults }, history] = await Promise.all([
      activity,
      this.#command(fromHostId, 'vm.find', { vmId }),
      this.#command(fromHostId, 'vm.method-faults', { options: candidates.slice(0, methodsAskedMax).map((options) => ({ ...options })) }),
      this.#history(),
    ]);
    const bandwidth = this.#bandwidthOf(request) ?? lastMeasured(request, history);
    const facts = memory && bandwidth && vm && { memoryBytes: vm.memoryBytes, activity: memory, bandwidth };
    return choosePlan({
      ...asked,
      methodFault: faultsFrom(
        candidates.map((options, index) => ({ options, fault: index < faults.length ? (faults[index] ?? null) : notAsked })),
      ),
      facts,
      pair: { fromHostId, toHostId },
      history,
      nowMs: parts.clock.nowMs(),
    });
  }

  #layGround(request: MigrationRequest): Groundwork {
    return { activity: this.#measureMemory(request.fromHostId, request.vmId), streams: foundBy(this.#streamLimit(request)) };
  }

  async #measureMemory(fromHostId: string, vmId: string): Promise<MemoryActivity | null> {
    try {
      const measured = await this.#command(fromHostId, 'vm.measure', { vmId, durationMs: memoryMs }, memoryMs + quickMs);
      this.#rooms.knowledge.noteActivity(vmId, measured.activity);
      return measured.activity;
    } catch (error) {
      // When the controller stops, nobody waits for it any more.
      if (!this.#signal.aborted) this.#rooms.parts.log.info('memory use not measured', { hostId: fromHostId, vmId, ...refusalOf(error) });
      return null;
    }
  }

  /** Only of IPsec: what other channels carry was not measured. */
  #bandwidthOf({ channelKind, fromHostId, toHostId }: MigrationRequest): MeasuredBandwidth | null {
    const known = channelKind === 'ipsec' ? this.#bandwidths.get(pairKey(fromHostId, toHostId)) : undefined;
    return known !== undefined && this.#isFresh(known) ? known : null;
  }

  #isFresh({ measuredAtMs }: MeasuredBandwidth): boolean {
    return this.#rooms.parts.clock.nowMs() - measuredAtMs <= bandwidthAgeMsMax;
  }

  async #streamLimit({ channelKind, fromHostId, toHostId }: MigrationRequest): Promise<StreamLimit> {
    if (channelKind !== 'ipsec') return kernelStreams;
    const lists = await Promise.all([fromHostId, toHostId].map((hostId) => this.#command(hostId, 'channel.list', {})));
    return lists.some(({ backend }) => backend === 'libipsec') ? userspaceStreams : kernelStreams;
  }

  async #history(): Promise<readonly PastTransfer[]> {
    return pastTransfersOf(await this.#rooms.parts.store.migrations({ open: false, outcome: 'moved', limit: historyRead }));
  }

  #command<Name extends CommandName>(
    hostId: string,
    name: Name,
    args: CommandArgs<Name>,
    timeoutMs = quickMs,
  ): Promise<CommandReply<Name>> {
    return this.#rooms.lines.command(hostId, name, args, timeoutMs, this.#signal);
  }
}

const notAsked: Refusal = {
  code: 'method-unsupported',
  message: "the hypervisor did not say whether it can do this: update the source's agent, or take rungs out of the ladder",
};

/** What migrations teach that have ended; one whose end nobody saw teaches nothing. */
export function pastTransfersOf(migrations: readonly Migration[]): readonly PastTransfer[] {
  return migrations.flatMap((migration) => (migration.outcome === null ? [] : (pastTransferOf(migration) ?? [])));
}

/** A failure waits with the value until somebody asks for it. */
function foundBy<Value>(work: Promise<Value>): Promise<Found<Value>> {
  return work.then(
    (value) => ({ ok: true, value }),
    (error: unknown) => ({ ok: false, refusal: refusalOf(error) }),
  );
}

function valueOf<Value>(found: Found<Value>): Value {
  if (found.ok) return found.value;
  throw new PlimsollError(found.refusal.code, found.refusal.message);
}

/** What the newest migration of the pair had been told of its channel: older, and better than nothing. Only of IPsec, as the history. */
function lastMeasured({ channelKind, fromHostId, toHostId }: MigrationRequest, history: readonly PastTransfer[]): MeasuredBandwidth | null {
  if (channelKind !== 'ipsec') return null;
  const ofPair = history.filter(({ pair }) => pairKey(pair.fromHostId, pair.toHostId) === pairKey(fromHostId, toHostId));
  const [newest] = ofPair.toSorted((a, b) => b.endedAtMs - a.endedAtMs);
  return newest?.prediction.bandwidth ?? null;
}
