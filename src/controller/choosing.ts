import { candidateOptions, choosePlan, faultsFrom, type StreamLimit } from '#core/migration/choice.ts';
import { type PastTransfer, pastTransferOf } from '#core/migration/calibration.ts';
import type { ChannelProfile } from '#core/model/channel.ts';
import type { MeasuredBandwidth, MemoryActivity, TransferPlan } from '#core/model/forecast.ts';
import type { Decision } from '#core/model/method.ts';
import type { MigrationRequest } from '#core/model/migration.ts';
import type { Policy } from '#core/model/policy.ts';
import { PlimsollError, type Refusal, refusalOf } from '#core/model/result.ts';
import type { CommandArgs, CommandName, CommandReply } from '#wire/agent-protocol.ts';
import type { AgentLines } from './agent-lines.ts';
import type { ControllerParts } from './parts.ts';
import type { Ends } from './securing.ts';
import type { StreamMeter } from './stream-meter.ts';

const quickMs = 10_000;
/** Long enough for two looks of different length, short against any migration. */
const memoryMs = 3_000;
const streamMs = 500;
/** A bandwidth that is older says little about a shared link. */
const bandwidthAgeMsMax = 600_000;
const pairsKeptMax = 10_000;
const historyRead = 500;
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
}

export interface Chosen {
  readonly plan: TransferPlan;
  readonly decisions: readonly Decision[];
}

/** Finds out what a transfer will cost, and how it is made best. */
export class Choosing {
  readonly #rooms: ChoosingRooms;
  readonly #signal: AbortSignal;
  /** Measured while the channel is made; each is taken once. */
  readonly #activities = new Map<string, Promise<MemoryActivity | null>>();
  readonly #bandwidths = new Map<string, MeasuredBandwidth>();

  constructor(rooms: ChoosingRooms, signal: AbortSignal) {
    this.#rooms = rooms;
    this.#signal = signal;
  }

  /** Begins to watch the VM's memory, which takes seconds that the channel takes too. */
  begin({ migrationId, fromHostId, vmId }: MigrationRequest): void {
    this.#activities.set(migrationId, this.#measureMemory(fromHostId, vmId));
  }

  /** What the channel carries now. That it cannot be measured is no reason not to migrate. */
  async measureChannel(ends: Ends, profile: ChannelProfile): Promise<void> {
    const stream = await this.#rooms.streams.measure(ends, profile, streamMs);
    if (stream === null) return;
    if (this.#bandwidths.size >= pairsKeptMax) this.#bandwidths.clear();
    const { clock } = this.#rooms.parts;
    this.#bandwidths.set(keyOf(ends), { bytesPerSecond: stream.bytesPerSecond, measuredAtMs: clock.nowMs(), by: 'stream' });
  }

  /** Throws the refusal of a transfer that would not come to an end as the policy wants it. */
  async choose(request: MigrationRequest): Promise<Chosen> {
    const activity = this.#activities.get(request.migrationId) ?? this.#measureMemory(request.fromHostId, request.vmId);
    this.#activities.delete(request.migrationId);
    const { parts, policy } = this.#rooms;
    const { fromHostId, toHostId, vmId, wish } = request;
    const streams = await this.#streamLimit(request);
    const asked = { wish, policy, streams };
    const candidates = candidateOptions(asked);
    const [memory, { vm }, { faults }, history] = await Promise.all([
      activity,
      this.#command(fromHostId, 'vm.find', { vmId }),
      this.#command(fromHostId, 'vm.method-faults', { options: candidates.map((options) => ({ ...options })) }),
      this.#history(),
    ]);
    const bandwidth = this.#bandwidthOf(request);
    const facts = memory && bandwidth && vm && { memoryBytes: vm.memoryBytes, activity: memory, bandwidth };
    const choice = choosePlan({
      ...asked,
      methodFault: faultsFrom(candidates.map((options, index) => ({ options, fault: index < faults.length ? (faults[index] ?? null) : notAsked }))),
      facts,
      pair: { fromHostId, toHostId },
      history,
      nowMs: parts.clock.nowMs(),
    });
    if (!choice.ok) throw new PlimsollError(choice.refusal.code, choice.refusal.message);
    return { plan: choice.plan, decisions: choice.decisions };
  }

  async #measureMemory(fromHostId: string, vmId: string): Promise<MemoryActivity | null> {
    try {
      const measured = await this.#command(fromHostId, 'vm.measure', { vmId, durationMs: memoryMs }, memoryMs + quickMs);
      return measured.activity;
    } catch (error) {
      // When the controller stops, nobody waits for it any more.
      if (!this.#signal.aborted) this.#rooms.parts.log.info('memory use not measured', { hostId: fromHostId, vmId, ...refusalOf(error) });
      return null;
    }
  }

  #bandwidthOf(ends: Ends): MeasuredBandwidth | null {
    const known = this.#bandwidths.get(keyOf(ends)) ?? null;
    return known !== null && this.#rooms.parts.clock.nowMs() - known.measuredAtMs <= bandwidthAgeMsMax ? known : null;
  }

  async #streamLimit({ channelKind, fromHostId, toHostId }: MigrationRequest): Promise<StreamLimit> {
    if (channelKind !== 'ipsec') return kernelStreams;
    const lists = await Promise.all([fromHostId, toHostId].map((hostId) => this.#command(hostId, 'channel.list', {})));
    return lists.some(({ backend }) => backend === 'libipsec') ? userspaceStreams : kernelStreams;
  }

  async #history(): Promise<readonly PastTransfer[]> {
    const ended = await this.#rooms.parts.store.migrations({ open: false, outcome: 'moved', limit: historyRead });
    return ended.flatMap((migration) => pastTransferOf(migration) ?? []);
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
  message: "the hypervisor did not say whether it can do this: update the source's agent",
};

/** A channel carries the two directions alike. */
function keyOf({ fromHostId, toHostId }: Ends): string {
  return [fromHostId, toHostId].toSorted().join(' ');
}
