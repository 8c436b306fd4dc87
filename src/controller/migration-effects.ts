/** Performs the effects of one migration's state machine by commands to the two agents. Chooses nothing. */
import { goesPastGuard } from '#core/channel/weaker.ts';
import { firstRefusal } from '#core/checks/preflight.ts';
import type { ChannelReading } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import type { Measures } from '#core/model/measures.ts';
import type { Migration, MigrationRequest, VmTruth } from '#core/model/migration.ts';
import { PlimsollError, type Refusal, refusalOf } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import type { Policy } from '#core/model/policy.ts';
import type { MigrationEffect, MigrationEvent } from '#core/migration/step.ts';
import { pause } from '#core/time.ts';
import type { CommandArgs, CommandName, CommandReply } from '#wire/agent-protocol.ts';
import type { AgentLines } from './agent-lines.ts';
import type { Choosing } from './choosing.ts';
import { ImageCourier } from './image-courier.ts';
import type { KeptChannels } from './kept-channels.ts';
import type { Membership } from './membership.ts';
import type { Outcomes } from './outcomes.ts';
import { type CopyCorrection, corrections, evenOf } from './corrections.ts';
import type { ControllerParts } from './parts.ts';
import type { Inspection, Preflight } from './preflight.ts';
import type { Fit, Securing } from './securing.ts';
import { issueTicket, ticketLifetimeMs } from './tickets.ts';

const quickMs = 10_000;
const watchIntervalMs = 250;
/** A source that does not answer for this long while it copies: its word is no longer waited for. */
const silentSourceMsMax = 10_000;
/** Without a cap, what a slow link carries; a migration sends its VM's memory about this often at most. */
const slowBytesPerSecond = 32 * 2 ** 20;
const memoryPasses = 3;
const exemptionMsMax = 3_600_000;

export type TransientEffect = Exclude<MigrationEffect, { kind: 'finish' }>;

export interface EffectRooms {
  readonly parts: ControllerParts;
  readonly lines: AgentLines;
  readonly policy: Policy;
  readonly preflight: Preflight;
  readonly securing: Securing;
  readonly fit: Fit;
  readonly choosing: Choosing;
  readonly outcomes: Outcomes;
  readonly membership: Membership;
  /** Whether a silent host has ended this VM with its lease. */
  readonly hasFenced: (hostId: HostId, vmId: VmId) => boolean;
  readonly isRestartable: (vmId: VmId) => boolean;
  readonly kept: KeptChannels;
  readonly epoch: number;
}

export class MigrationEffects {
  readonly #parts: ControllerParts;
  readonly #lines: AgentLines;
  readonly #rooms: EffectRooms;
  readonly #courier: ImageCourier;
  readonly #signal: AbortSignal;
  /** Hosts that did not answer when last asked: said once, not once a second. */
  readonly #silent = new Set<HostId>();
  /** What the checks of each migration found, until it has ended. */
  readonly #inspected = new Map<string, Inspection>();

  constructor(rooms: EffectRooms, signal: AbortSignal) {
    this.#rooms = rooms;
    this.#parts = rooms.parts;
    this.#lines = rooms.lines;
    this.#courier = new ImageCourier(rooms.parts, rooms.lines, (hostId) => this.#isExcluded(hostId), signal);
    this.#signal = signal;
  }

  async perform(effect: TransientEffect, migration: Migration): Promise<MigrationEvent> {
    const { request } = migration;
    switch (effect.kind) {
      case 'check':
        return this.#orRefused(() => this.#check(request));
      case 'secure':
        return this.#orRefused(() => this.#secure(request));
      case 'choose':
        return this.#orRefused(() => this.#choose(request));
      case 'start-transfer':
        return this.#startTransfer(migration);
      case 'watch-transfer':
        return this.#watchTransfer(request);
      case 'abort-transfer':
        await this.#tryCommand(request.fromHostId, 'transfer.abort', { migrationId: request.migrationId, vmId: request.vmId });
        await pause(this.#parts.clock, watchIntervalMs, this.#signal);
        return { kind: 'abort-sent' };
      case 'ask-truth':
        return this.#askTruth(request, effect.delayMs);
      case 'recover-post-copy':
        return this.#recoverPostCopy(migration);
      case 'relock-source':
        return this.#relock(request);
      case 'resume-source':
      case 'destroy-source-copy':
      case 'destroy-older-copy':
      case 'destroy-destination-copy':
      case 'destroy-abandoned-copy':
      case 'discard-destination-image':
      case 'take-image-back':
      case 'forget-source-image':
        return this.#correct(request, effect.kind);
      case 'verify':
        return this.#verify(migration);
      default:
        return effect satisfies never;
    }
  }

  /** What is done to a copy is in the log before it is done. Whether it worked, the next question to both hosts tells. */
  async #correct(request: MigrationRequest, correction: CopyCorrection): Promise<MigrationEvent> {
    const { migrationId, vmId, vmName, vmEpoch, fromHostId, toHostId } = request;
    const { on, name, why } = corrections[correction];
    const hostId = on === 'source' ? fromHostId : toHostId;
    this.#parts.log.warn(why, { migrationId, vm: vmName, hostId });
    if (name === 'vm.destroy-copy') await this.#tryCommand(hostId, name, { vmId, vmEpoch, even: evenOf(correction) });
    else await this.#tryCommand(hostId, name, { vmId, vmEpoch });
    return { kind: 'corrected' };
  }

  /** libvirt lets go of them as the VM is halted for its last round, and QEMU brings it back by itself without them (libvirt 9.0). */
  async #relock({ fromHostId, vmId, vmEpoch }: MigrationRequest): Promise<MigrationEvent> {
    try {
      await this.#command(fromHostId, 'vm.relock', { vmId, vmEpoch }, quickMs);
      return { kind: 'relocked', refusal: null };
    } catch (error) {
      this.#signal.throwIfAborted();
      const refusal = refusalOf(error);
      this.#parts.log.warn('the storage locks of a VM were not taken again', { hostId: fromHostId, vmId, ...refusal });
      return { kind: 'relocked', refusal };
    }
  }

  /** What a controller before this one has begun for a migration is ended with it. */
  inherit(request: MigrationRequest): void {
    this.#rooms.outcomes.inherit(request);
  }

  /** Nothing of a migration that has ended is kept, and nobody looks at its VM from outside any more. */
  async forget({ migrationId }: MigrationRequest): Promise<void> {
    this.#inspected.delete(migrationId);
    this.#rooms.choosing.forget(migrationId);
    this.#courier.forget(migrationId);
    await this.#rooms.outcomes.end(migrationId);
  }

  /** All checks before anything is touched. Throws the refusal. */
  async #check(request: MigrationRequest): Promise<MigrationEvent> {
    this.#inspected.set(request.migrationId, await this.#rooms.preflight.check(request));
    return { kind: 'checked' };
  }

  /** Takes down what protected the migration, or what let it go unprotected. */
  async closeChannel(request: MigrationRequest): Promise<void> {
    if (request.channelKind === 'ipsec') return this.#closeSecured(request);
    if (!needsExemption(request)) return;
    await this.#rooms.securing.withdrawExemption(request, (hostId) => this.#lines.facts(hostId)?.addresses.underlay ?? null);
  }

  /** Also one that was kept: this migration has fitted it to itself, and its proof has aged. */
  async #closeSecured(request: MigrationRequest): Promise<void> {
    const { securing, kept } = this.#rooms;
    await securing.close(request);
    try {
      await kept.release(request);
    } catch (error) {
      this.#parts.log.warn('that a channel is no longer kept up was not written', { ...refusalOf(error) });
    }
  }

  async #secure(request: MigrationRequest): Promise<MigrationEvent> {
    const { securing, fit, policy, preflight, choosing, outcomes } = this.#rooms;
    const ticket = issueTicket(this.#parts, request, this.#rooms.epoch);
    await this.#command(request.toHostId, 'ticket.accept', { ticket }, quickMs);
    await this.#command(request.fromHostId, 'ticket.accept', { ticket }, quickMs);
    choosing.begin(request);
    outcomes.prepare(request, this.#inspected.get(request.migrationId)?.definition ?? null);
    if (request.channelKind === 'ipsec') {
      const fitAndMeasure: Fit = async (ends, profile) => {
        const tuning = await fit(ends, profile);
        await choosing.measureChannel(request, profile);
        return tuning;
      };
      const { proof, tuning } = await securing.secure(request, policy.channel.profile, fitAndMeasure);
      return { kind: 'secured', proof, tuning };
    }
    // Asked again: a grant may have been withdrawn since the checks.
    const { vm } = await preflight.check(request);
    if (needsExemption(request)) await securing.exempt(request, exemptionMs(vm.memoryBytes, policy));
    return { kind: 'secured', proof: null, tuning: null };
  }

  /** The proof ages meanwhile, so what tells costs only gets a part of the time that the choice takes anyway. */
  async #choose(request: MigrationRequest): Promise<MigrationEvent> {
    const { choosing, outcomes, preflight } = this.#rooms;
    const [choice] = await Promise.all([choosing.choose(request), outcomes.begin(request)]);
    if (!choice.ok) throw errorOf(choice.refusal);
    const inspected = this.#inspected.get(request.migrationId);
    const refusal = inspected === undefined ? null : firstRefusal(preflight.judgeAgain(inspected, choice));
    if (refusal !== null) throw errorOf(refusal);
    return { kind: 'chosen', plan: choice.plan, decisions: choice.decisions };
  }

  async #startTransfer({ request, plan }: Migration): Promise<MigrationEvent> {
    const { securing, policy } = this.#rooms;
    try {
      if (plan === null) throw new PlimsollError('internal', 'no method was chosen: nothing was sent');
      const args: CommandArgs<'transfer.start'> = {
        migrationId: request.migrationId,
        vmId: request.vmId,
        peer: securing.peer(request.toHostId, policy.channel.profile),
        channelKind: request.channelKind,
        plan,
        noProgressMsMax: policy.noProgressMsMax,
      };
      const { reading } = await this.#command(request.fromHostId, 'transfer.start', args, quickMs);
      return { kind: 'transfer-started', reading };
    } catch (error) {
      // A controller that stops knows nothing of the answer: the next one takes the migration up.
      this.#signal.throwIfAborted();
      const refusal = refusalOf(error);
      return answerWasLost(refusal.code) ? { kind: 'transfer-lost', refusal } : { kind: 'refused', refusal };
    }
  }

  /** Proves the channel anew and goes on. An order that was not taken, or whose answer was lost, is weighed by the next question to both hosts. */
  async #recoverPostCopy({ request, plan }: Migration): Promise<MigrationEvent> {
    const { securing, policy, fit } = this.#rooms;
    const { migrationId, vmId, vmEpoch, vmName } = request;
    try {
      if (plan === null) throw new PlimsollError('internal', 'it is not known how this migration was begun');
      this.#parts.log.warn('the hosts have lost each other in post-copy: the migration is taken up again', { migrationId, vm: vmName });
      await securing.secure(request, policy.channel.profile, fit);
      // A destination that has nothing to send has not noticed: it would refuse the connection that is made anew.
      const peer = securing.peer(request.fromHostId, policy.channel.profile);
      await this.#tryCommand(request.toHostId, 'transfer.part', { vmId, vmEpoch, peer });
      const args = { migrationId, vmId, vmEpoch, peer: securing.peer(request.toHostId, policy.channel.profile), plan };
      await this.#command(request.fromHostId, 'transfer.recover', args, quickMs);
      return { kind: 'recovered' };
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#parts.log.warn('post-copy was not recovered, it is tried again', { migrationId, ...refusalOf(error) });
    }
    return { kind: 'corrected' };
  }

  async #verify(migration: Migration): Promise<MigrationEvent> {
    const reading = this.#readingOf(migration.request);
    const measures = await this.#measures(migration, reading);
    return { kind: 'verified', reading: await reading, measures };
  }

  /** The VM has moved, whatever can be said of that. */
  async #measures(migration: Migration, reading: Promise<ChannelReading | null>): Promise<Measures | null> {
    try {
      return await this.#rooms.outcomes.measure(migration, reading);
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#parts.log.error('what a migration cost is not known', { migrationId: migration.request.migrationId, ...refusalOf(error) });
      return null;
    }
  }

  /** Waits a moment and asks the source; gives up on its word when it stays silent or has restarted. */
  async #watchTransfer(request: MigrationRequest): Promise<MigrationEvent> {
    const { clock } = this.#parts;
    const sinceMs = clock.monotonicMs();
    for (;;) {
      await pause(clock, watchIntervalMs, this.#signal);
      this.#signal.throwIfAborted();
      try {
        const { status } = await this.#command(request.fromHostId, 'transfer.status', { migrationId: request.migrationId }, quickMs);
        if (status.kind === 'running' && status.ask !== null) await this.#courier.carry(request, status.ask);
        return eventOf(status);
      } catch (error) {
        this.#signal.throwIfAborted();
        if (clock.monotonicMs() - sinceMs > silentSourceMsMax) return { kind: 'transfer-lost', refusal: refusalOf(error) };
      }
    }
  }

  async #askTruth(request: MigrationRequest, delayMs: number): Promise<MigrationEvent> {
    await pause(this.#parts.clock, delayMs, this.#signal);
    const [source, destination] = await Promise.all([
      this.#truthOn(request.fromHostId, request.vmId),
      this.#truthOn(request.toHostId, request.vmId),
    ]);
    return { kind: 'truth', source, destination, isRestartable: this.#rooms.isRestartable(request.vmId) };
  }

  #isExcluded(hostId: HostId): boolean {
    return this.#rooms.membership.revokedAtMs(hostId) !== null;
  }

  async #truthOn(hostId: HostId, vmId: string): Promise<VmTruth> {
    if (this.#isExcluded(hostId)) return { kind: 'excluded' };
    try {
      const found = await this.#command(hostId, 'vm.find', { vmId }, quickMs);
      this.#silent.delete(hostId);
      return truthOf(found);
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!this.#silent.has(hostId)) this.#parts.log.warn('a host does not say where the VM is', { hostId, vmId, ...refusalOf(error) });
      this.#silent.add(hostId);
      return { kind: this.#rooms.hasFenced(hostId, vmId) ? 'fenced' : 'unreachable' };
    }
  }

  /** The source's end, if the transfer's own end did not tell it; null when it cannot be read, or there is no SA to read. */
  async #readingOf(request: MigrationRequest): Promise<ChannelReading | null> {
    if (request.channelKind !== 'ipsec') return null;
    const state = await this.#tryCommand(request.fromHostId, 'channel.state', { peerHostId: request.toHostId });
    return state?.reading ?? null;
  }

  async #orRefused(work: () => Promise<MigrationEvent>): Promise<MigrationEvent> {
    try {
      return await work();
    } catch (error) {
      this.#signal.throwIfAborted();
      return { kind: 'refused', refusal: refusalOf(error) };
    }
  }

  #command<Name extends CommandName>(hostId: HostId, name: Name, args: CommandArgs<Name>, timeoutMs: number): Promise<CommandReply<Name>> {
    return this.#lines.command(hostId, name, args, timeoutMs, this.#signal);
  }

  async #tryCommand<Name extends CommandName>(hostId: HostId, name: Name, args: CommandArgs<Name>): Promise<CommandReply<Name> | null> {
    try {
      return await this.#command(hostId, name, args, quickMs);
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#parts.log.warn('command failed', { hostId, command: name, ...refusalOf(error) });
      return null;
    }
  }
}

function eventOf(status: CommandReply<'transfer.status'>['status']): MigrationEvent {
  switch (status.kind) {
    case 'running':
      return { kind: 'transfer-running', progress: status.progress, awaitsPeer: status.ask !== null, decisions: status.decisions };
    case 'completed':
      return { kind: 'transfer-completed', outcome: status.outcome, reading: status.channel, decisions: status.decisions };
    case 'failed':
      return { kind: 'transfer-failed', refusal: status.refusal, reading: status.channel, decisions: status.decisions };
    case 'unknown':
      return { kind: 'transfer-lost', refusal: { code: 'agent-restarted', message: "the source's agent restarted during the transfer" } };
    default:
      return status satisfies never;
  }
}

function errorOf({ code, message }: Refusal): PlimsollError {
  return new PlimsollError(code, message);
}

/** Whether the guards would drop its packets. */
function needsExemption({ channelKind }: MigrationRequest): boolean {
  return channelKind !== 'ipsec' && !goesPastGuard(channelKind);
}

/** As long as the ticket, and as the transfer may take. */
function exemptionMs(memoryBytes: number, { migrationBandwidthBytesPerSecond }: Policy): number {
  const bytesPerSecond = migrationBandwidthBytesPerSecond > 0 ? migrationBandwidthBytesPerSecond : slowBytesPerSecond;
  const transferMs = Math.round(((memoryBytes * memoryPasses) / bytesPerSecond) * 1000);
  return Math.min(exemptionMsMax, ticketLifetimeMs + transferMs);
}

/** An image counts where the VM does not run, or somebody is at work on it. */
function truthOf({ vm, image, restarted = false }: CommandReply<'vm.find'>): VmTruth {
  const isAtWork = image === 'moving' || image === 'restoring';
  if (image !== null && (isAtWork || vm?.state !== 'running')) return { kind: 'image', standing: image };
  // As a copy that has run and is gone: nobody can tell that it has not.
  if (restarted && (vm === null || vm.state === 'shut-off')) return { kind: 'present', state: 'crashed', jobActive: false, postCopy: null };
  return vm === null ? { kind: 'absent' } : { kind: 'present', state: vm.state, jobActive: vm.jobActive, postCopy: vm.postCopy };
}

/** With these the agent may have begun although we heard no yes. */
function answerWasLost(code: string): boolean {
  return code === 'link-lost' || code === 'command-timeout' || code === 'message-invalid';
}
