import { carriedBetween } from '#core/channel/watch.ts';
import { costBetween } from '#core/migration/cost.ts';
import { outsideView } from '#core/migration/outside.ts';
import type { ChannelReading } from '#core/model/channel.ts';
import type { VmDefinition } from '#core/model/definition.ts';
import type { HostId } from '#core/model/host.ts';
import type { HostCost, Measures, OutsideView } from '#core/model/measures.ts';
import type { Method } from '#core/model/method.ts';
import type { Migration, MigrationRequest } from '#core/model/migration.ts';
import { refusalOf } from '#core/model/result.ts';
import type { EchoReport } from '#core/ports.ts';
import { pause, withDeadline } from '#core/time.ts';
import type { CommandArgs, CommandName, CommandReply } from '#wire/agent-protocol.ts';
import type { AgentLines } from './agent-lines.ts';
import { judgeArrival } from './arrival.ts';
import type { OutsideWatch } from './outside-watch.ts';
import type { ControllerParts } from './parts.ts';

const quickMs = 5_000;
/** The proof of the channel is fresh for a short time only, so figures get no more of it than this. */
const beginMsMax = 1_000;
/** Announcements of the VM's new place are sent for about this long (QEMU: five in half a second); then its clients know. */
const answerMsMax = 3_000;
const answerPollMs = 100;
/** Commands and polls that tell the controller of the times take no longer than this, the difference of the clocks left aside. */
const uncertaintyMs = 1_000;

/** What is kept of one migration from the checks to its end. */
interface Kept {
  readonly definition: VmDefinition | null;
  /** Resolves when it is settled whether anybody looks from outside. */
  readonly watching: Promise<void>;
  begunAtMs: number | null;
  destinationCost: HostCost | null;
}

interface Heard {
  readonly report: EchoReport | null;
  readonly answers: boolean | null;
}

export interface OutcomeRooms {
  readonly parts: ControllerParts;
  readonly lines: AgentLines;
  readonly outside: OutsideWatch;
  /** Milliseconds that a host's clock is ahead; null where it has not told its time. */
  readonly skewOf: (hostId: HostId) => number | null;
}

/**
 * What each migration cost, and how the VM arrived: seen from both hosts, and from one outside. What was noted before the transfer is
 * lost with the controller: the next one says null of it.
 */
export class Outcomes {
  readonly #rooms: OutcomeRooms;
  readonly #signal: AbortSignal;
  readonly #kept = new Map<string, Kept>();

  constructor(rooms: OutcomeRooms, signal: AbortSignal) {
    this.#rooms = rooms;
    this.#signal = signal;
  }

  /** Begins to look from outside while the channel is made, so that the transfer need not wait for it. */
  prepare(request: MigrationRequest, definition: VmDefinition | null): void {
    const watching = this.#rooms.outside.begin(request, definition);
    this.#kept.set(request.migrationId, { definition, watching, begunAtMs: null, destinationCost: null });
  }

  /** Just before the first byte: what has not come after a second is done without. */
  async begin({ migrationId, toHostId, vmId }: MigrationRequest): Promise<void> {
    const kept = this.#kept.get(migrationId);
    if (!kept) return;
    const [cost] = await Promise.all([this.#try(toHostId, 'vm.cost', { vmId }, beginMsMax), this.#inTime(kept.watching)]);
    kept.destinationCost = cost?.cost ?? null;
    kept.begunAtMs = this.#rooms.parts.clock.nowMs();
  }

  /** When the VM runs on its destination. `ownReading`: the source's end of the channel, for a transfer whose end did not tell it. */
  async measure(migration: Migration, ownReading: Promise<ChannelReading | null>): Promise<Measures> {
    const { request, outcome, progress, channelBefore } = migration;
    const { fromHostId, toHostId, vmId } = request;
    const kept = this.#kept.get(request.migrationId) ?? null;
    const leases = kept?.definition?.leases.map((lease) => ({ ...lease })) ?? [];
    const [reading, cost, described, source, destination, { report, answers, placeAtSource }] = await Promise.all([
      ownReading,
      this.#try(toHostId, 'vm.cost', { vmId }),
      this.#try(toHostId, 'vm.describe', { vmId }),
      this.#try(fromHostId, 'vm.find', { vmId, leases }),
      this.#try(toHostId, 'vm.find', { vmId, leases }),
      this.#fromOutside(request, kept?.definition ?? null),
    ]);
    const after = migration.channelAfter?.sa ?? reading?.sa ?? null;
    const carried = channelBefore?.sa && after ? carriedBetween(channelBefore.sa, after) : null;
    const locks = { heldBySource: source?.held ?? null, heldByDestination: destination?.held ?? null };
    const definitions = { before: kept?.definition ?? null, after: described?.definition ?? null };
    return {
      method: methodOf(migration),
      attempts: outcome?.attempts ?? 1,
      // Of a transfer whose end nobody saw, what was seen last.
      totalMs: outcome?.totalMs ?? progress?.elapsedMs ?? 0,
      hypervisorDowntimeMs: outcome?.downtimeMs ?? null,
      outside: report && this.#view(report, migration, kept),
      memorySentBytes: outcome?.memorySentBytes ?? progress?.memorySentBytes ?? 0,
      rounds: outcome?.iterations ?? progress?.iteration ?? null,
      espBytes: carried?.bytesOut ?? null,
      espPackets: carried?.packetsOut ?? null,
      source: outcome?.sourceCost ?? null,
      destination: cost && kept?.destinationCost ? costBetween(kept.destinationCost, cost.cost) : null,
      arrival: judgeArrival({ ...definitions, ...locks, source, destination: destination?.vm ?? null, placeAtSource, answers }),
    };
  }

  /** What a controller before this one began is not known any more, and is stopped all the same. */
  inherit(request: MigrationRequest): void {
    this.#rooms.outside.inherit(request);
  }

  /** Whatever the end was. */
  async end(migrationId: string): Promise<void> {
    this.#kept.delete(migrationId);
    await this.#rooms.outside.end(migrationId);
  }

  /** The announcements have been sent when the VM has answered, or the wait for it is over. */
  async #fromOutside(
    request: MigrationRequest,
    definition: VmDefinition | null,
  ): Promise<Heard & { readonly placeAtSource: 'local' | 'elsewhere' | null }> {
    const heard = await this.#answered(request);
    const mac = definition?.interfaces[0]?.mac ?? null;
    return { ...heard, placeAtSource: mac === null ? null : await this.#rooms.outside.placeSeenBy(request.fromHostId, mac) };
  }

  /** Waits a little for one more answer of the VM than there was; by count, because the witness has a clock of its own. */
  async #answered({ migrationId }: MigrationRequest): Promise<Heard> {
    const { parts, outside } = this.#rooms;
    const first = await outside.report(migrationId);
    if (first === null) return { report: null, answers: null };
    const sinceMs = parts.clock.monotonicMs();
    let newest = first;
    while (parts.clock.monotonicMs() - sinceMs <= answerMsMax) {
      if (!(await pause(parts.clock, answerPollMs, this.#signal))) break;
      const report = await outside.report(migrationId);
      if (report === null) return { report: newest, answers: null };
      newest = report;
      if (report.answered > first.answered) return { report, answers: true };
    }
    return { report: newest, answers: newest.answered === 0 ? null : false };
  }

  /** The transfer ended when the record began to be resolved: the switch-over is shortly before that. */
  #view(report: EchoReport, migration: Migration, kept: Kept | null): OutsideView | null {
    const { request, outcome, phaseSinceMs, resolution } = migration;
    const watched = this.#rooms.outside.watched(request.migrationId);
    if (watched === null) return null;
    const endedAtMs = resolution?.sinceMs ?? phaseSinceMs;
    const begunAtMs = kept?.begunAtMs ?? endedAtMs - (outcome?.totalMs ?? 0);
    const skewMs = this.#rooms.skewOf(watched.witnessHostId) ?? 0;
    const [fromMs, untilMs] = [begunAtMs + skewMs, endedAtMs + skewMs];
    const lastMs = lastRoundMs(migration);
    const switchOver = lastMs === null ? null : { fromMs: Math.max(fromMs, untilMs - lastMs), untilMs };
    const window = { fromMs, untilMs, switchOver, uncertaintyMs };
    return outsideView({ hostId: watched.witnessHostId, address: watched.address }, report, window);
  }

  async #inTime(work: Promise<void>): Promise<void> {
    try {
      await withDeadline(this.#rooms.parts.clock, beginMsMax, this.#signal, () => work);
    } catch {
      this.#signal.throwIfAborted();
    }
  }

  async #try<Name extends CommandName>(
    hostId: HostId,
    name: Name,
    args: CommandArgs<Name>,
    timeoutMs = quickMs,
  ): Promise<CommandReply<Name> | null> {
    try {
      return await this.#rooms.lines.command(hostId, name, args, timeoutMs, this.#signal);
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#rooms.parts.log.warn('what a migration cost is not known in full', { hostId, command: name, ...refusalOf(error) });
      return null;
    }
  }
}

/** How it ended, when the autopilot had to take another way than was planned. */
function methodOf({ plan, decisions }: Migration): Method {
  const planned = plan?.options.method ?? 'pre-copy';
  const actions = decisions.filter(({ by }) => by === 'autopilot').map(({ action }) => action);
  if (planned !== 'pre-copy') return planned;
  if (actions.includes('post-copy')) return 'hybrid';
  return actions.includes('stop and copy') ? 'stop-and-copy' : planned;
}

/** How long before its end a pre-copy stopped its VM, at most; null for a method that stops it, or starts it, at another time. */
function lastRoundMs(migration: Migration): number | null {
  const downtimeMs = migration.outcome?.downtimeMs ?? null;
  return methodOf(migration) === 'pre-copy' && downtimeMs !== null ? 2 * downtimeMs : null;
}
