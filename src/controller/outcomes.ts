import { carriedBetween } from '#core/channel/watch.ts';
import { costBetween } from '#core/migration/cost.ts';
import { outsideView } from '#core/migration/outside.ts';
import type { ChannelReading } from '#core/model/channel.ts';
import type { VmDefinition } from '#core/model/definition.ts';
import type { HostId } from '#core/model/host.ts';
import type { Arrival, HostCost, Measures, OutsideView } from '#core/model/measures.ts';
import type { Method } from '#core/model/method.ts';
import type { Migration, MigrationRequest } from '#core/model/migration.ts';
import { refusalOf } from '#core/model/result.ts';
import type { EchoReport } from '#core/ports.ts';
import { pause } from '#core/time.ts';
import type { CommandArgs, CommandName, CommandReply } from '#wire/agent-protocol.ts';
import type { AgentLines } from './agent-lines.ts';
import { judgeArrival } from './arrival.ts';
import type { OutsideWatch, Watched } from './outside-watch.ts';
import type { ControllerParts } from './parts.ts';

const quickMs = 5_000;
/** Announcements of the VM's new place are sent for about this long (QEMU: five in half a second); then its clients know. */
const answerMsMax = 3_000;
const answerPollMs = 100;
/** Commands and polls that tell the controller of the times take no longer than this. */
const uncertaintyMs = 1_000;

interface Begun {
  readonly definition: VmDefinition | null;
  readonly destinationCost: HostCost | null;
}

/** What each migration cost, and how the VM arrived: seen from both hosts, and from one outside. Forgotten with the controller. */
export class Outcomes {
  readonly #parts: ControllerParts;
  readonly #lines: AgentLines;
  readonly #outside: OutsideWatch;
  readonly #signal: AbortSignal;
  readonly #definitions = new Map<string, VmDefinition | null>();
  readonly #begun = new Map<string, Begun>();

  constructor(parts: ControllerParts, lines: AgentLines, outside: OutsideWatch, signal: AbortSignal) {
    this.#parts = parts;
    this.#lines = lines;
    this.#outside = outside;
    this.#signal = signal;
  }

  /** The definition that the checks have found. */
  prepare({ migrationId }: MigrationRequest, definition: VmDefinition | null): void {
    this.#definitions.set(migrationId, definition);
  }

  /** Just before the first byte. */
  async begin(request: MigrationRequest): Promise<void> {
    const { migrationId, toHostId, vmId } = request;
    const definition = this.#definitions.get(migrationId) ?? null;
    const [cost] = await Promise.all([this.#try(toHostId, 'vm.cost', { vmId }), this.#outside.begin(request, definition)]);
    this.#begun.set(migrationId, { definition, destinationCost: cost?.cost ?? null });
  }

  /** When the VM runs on its destination. */
  async measure(migration: Migration, reading: ChannelReading | null): Promise<Measures> {
    const { request, outcome, plan, channelBefore } = migration;
    const { migrationId, toHostId, vmId } = request;
    const begun = this.#begun.get(migrationId) ?? null;
    const watched = this.#outside.watched(migrationId);
    const report = await this.#answered(migration, watched);
    const cost = await this.#try(toHostId, 'vm.cost', { vmId });
    const after = migration.channelAfter?.sa ?? reading?.sa ?? null;
    const carried = channelBefore?.sa && after ? carriedBetween(channelBefore.sa, after) : null;
    return {
      method: methodOf(migration),
      attempts: outcome?.attempts ?? 1,
      totalMs: outcome?.totalMs ?? 0,
      hypervisorDowntimeMs: outcome?.downtimeMs ?? null,
      outside: watched && report && this.#view(watched, report, migration),
      memorySentBytes: outcome?.memorySentBytes ?? 0,
      rounds: outcome?.iterations ?? null,
      espBytes: carried?.bytesOut ?? null,
      espPackets: carried?.packetsOut ?? null,
      source: outcome?.sourceCost ?? null,
      destination: cost && begun?.destinationCost ? costBetween(begun.destinationCost, cost.cost) : null,
      arrival: plan === null ? null : await this.#arrival(migration, begun?.definition ?? null, report),
    };
  }

  /** Whatever the end was. */
  async end(migrationId: string): Promise<void> {
    this.#definitions.delete(migrationId);
    this.#begun.delete(migrationId);
    await this.#outside.end(migrationId);
  }

  /** Waits a little for an answer of the VM from its new place. */
  async #answered({ request }: Migration, watched: Watched | null): Promise<EchoReport | null> {
    if (watched === null) return null;
    const { clock } = this.#parts;
    const [sinceMs, fromMs] = [clock.monotonicMs(), clock.nowMs()];
    for (;;) {
      const report = await this.#outside.report(request.migrationId);
      const hasAnswered = report !== null && (report.lastAnswerAtMs ?? 0) >= fromMs - answerPollMs;
      if (report === null || hasAnswered || clock.monotonicMs() - sinceMs > answerMsMax) return report;
      if (!(await pause(clock, answerPollMs, this.#signal))) return report;
    }
  }

  /** The transfer ended when the record began to be resolved: the switch-over is shortly before that. */
  #view({ witnessHostId, address }: Watched, report: EchoReport, migration: Migration): OutsideView | null {
    const { outcome, phaseSinceMs } = migration;
    const untilMs = migration.resolution?.sinceMs ?? phaseSinceMs;
    const fromMs = untilMs - (outcome?.totalMs ?? 0);
    return outsideView({ hostId: witnessHostId, address }, report, { fromMs, untilMs, switchOver: null, uncertaintyMs });
  }

  async #arrival({ request }: Migration, definition: VmDefinition | null, report: EchoReport | null): Promise<Arrival> {
    const { fromHostId, toHostId, vmId } = request;
    const [described, here, there] = await Promise.all([
      this.#try(toHostId, 'vm.describe', { vmId }),
      this.#try(fromHostId, 'vm.find', { vmId }),
      this.#try(toHostId, 'vm.find', { vmId }),
    ]);
    const watched = this.#outside.watched(request.migrationId);
    return judgeArrival({
      before: definition,
      after: described?.definition ?? null,
      source: here,
      destination: there?.vm ?? null,
      placeAtSource: watched === null ? null : await this.#placeAt(fromHostId, watched.mac),
      echo: report,
      nowMs: this.#parts.clock.nowMs(),
    });
  }

  #placeAt(hostId: HostId, mac: string): Promise<'local' | 'elsewhere' | null> {
    return this.#outside.hasHeardOf(hostId, mac);
  }

  async #try<Name extends CommandName>(hostId: HostId, name: Name, args: CommandArgs<Name>): Promise<CommandReply<Name> | null> {
    try {
      return await this.#lines.command(hostId, name, args, quickMs, this.#signal);
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#parts.log.warn('what a migration cost is not known in full', { hostId, command: name, ...refusalOf(error) });
      return null;
    }
  }
}

/** How it ended, when the autopilot had to take another way than was planned. */
function methodOf({ plan, decisions }: Migration): Method {
  const planned = plan?.options.method ?? 'pre-copy';
  const actions = decisions.filter(({ by }) => by === 'autopilot').map(({ action }) => action);
  if (planned === 'pre-copy' && actions.includes('post-copy')) return 'hybrid';
  return planned;
}
