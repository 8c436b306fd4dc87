/** Performs the effects of one migration's state machine by commands to the two agents. Chooses nothing. */
import { judgeProof } from '#core/channel/proof.ts';
import type { Proof, SecurityAssociation } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import type { Migration, MigrationRequest, VmTruth } from '#core/model/migration.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { VmView } from '#core/model/vm.ts';
import type { Policy } from '#core/model/policy.ts';
import type { MigrationEffect, MigrationEvent } from '#core/migration/step.ts';
import { pause } from '#core/time.ts';
import type { CommandArgs, CommandName, CommandReply, Peer } from '#wire/agent-protocol.ts';
import type { AgentLines } from './agent-lines.ts';
import type { ControllerParts } from './parts.ts';
import { issueTicket } from './tickets.ts';

const quickMs = 10_000;
const channelMs = 30_000;
const watchIntervalMs = 250;
/** A source that does not answer for this long while it copies: its word is no longer waited for. */
const silentSourceMsMax = 10_000;

export type TransientEffect = Exclude<MigrationEffect, { kind: 'finish' }>;

export class MigrationEffects {
  readonly #parts: ControllerParts;
  readonly #lines: AgentLines;
  readonly #policy: Policy;
  readonly #epoch: number;
  readonly #signal: AbortSignal;
  /** Hosts that did not answer when last asked: said once, not once a second. */
  readonly #silent = new Set<HostId>();

  constructor(parts: ControllerParts, lines: AgentLines, policy: Policy, epoch: number, signal: AbortSignal) {
    this.#parts = parts;
    this.#lines = lines;
    this.#policy = policy;
    this.#epoch = epoch;
    this.#signal = signal;
  }

  async perform(effect: TransientEffect, migration: Migration): Promise<MigrationEvent> {
    const { request } = migration;
    switch (effect.kind) {
      case 'check':
        return this.#orRefused(() => this.check(request));
      case 'secure':
        return this.#orRefused(async () => ({ kind: 'secured', proof: await this.#secure(request) }));
      case 'start-transfer':
        return this.#startTransfer(request);
      case 'watch-transfer':
        return this.#watchTransfer(request);
      case 'abort-transfer':
        await this.#tryCommand(request.fromHostId, 'transfer.abort', { migrationId: request.migrationId, vmId: request.vmId });
        await pause(this.#parts.clock, watchIntervalMs, this.#signal);
        return { kind: 'abort-sent' };
      case 'ask-truth':
        return this.#askTruth(request, effect.delayMs);
      case 'resume-source':
        return this.#correct(
          request,
          request.fromHostId,
          'vm.resume',
          'both hosts agree that the VM is halted on its source: it is resumed',
        );
      case 'destroy-source-copy':
        return this.#correct(
          request,
          request.fromHostId,
          'vm.destroy-copy',
          'the VM runs on its destination: the halted copy on its source is removed',
        );
      case 'destroy-destination-copy':
        return this.#correct(
          request,
          request.toHostId,
          'vm.destroy-copy',
          'the source keeps the VM: the halted copy on the destination is removed',
        );
      case 'verify':
        return { kind: 'verified', saAfter: await this.#saOf(request) };
      default:
        return effect satisfies never;
    }
  }

  /** What is done to a copy is in the log before it is done. Whether it worked, the next question to both hosts tells. */
  async #correct(request: MigrationRequest, hostId: HostId, name: 'vm.resume' | 'vm.destroy-copy', why: string): Promise<MigrationEvent> {
    const { migrationId, vmId, vmName, vmEpoch } = request;
    this.#parts.log.warn(why, { migrationId, vm: vmName, hostId });
    await this.#tryCommand(hostId, name, { vmId, vmEpoch });
    return { kind: 'corrected' };
  }

  /** All checks before anything is touched; also the dry run. Throws the refusal. */
  async check(request: MigrationRequest): Promise<MigrationEvent> {
    const { vm } = await this.#command(request.fromHostId, 'vm.find', { vmId: request.vmId }, quickMs);
    const running = mustRun(vm, request);
    const args = { vmId: request.vmId, memoryBytes: running.memoryBytes };
    const { refusal } = await this.#command(request.toHostId, 'vm.check-destination', args, quickMs);
    if (refusal !== null) throw new PlimsollError(refusal.code, `${request.toHostId}: ${refusal.message}`);
    return { kind: 'checked' };
  }

  /** Takes the channel down; what cannot be reached is left to its agent's own time-outs. */
  async closeChannel(request: MigrationRequest): Promise<void> {
    await this.#tryCommand(request.fromHostId, 'channel.close', { peerHostId: request.toHostId });
    await this.#tryCommand(request.toHostId, 'channel.close', { peerHostId: request.fromHostId });
  }

  async #secure(request: MigrationRequest): Promise<Proof> {
    const { fromHostId, toHostId } = request;
    const source = this.#peer(fromHostId);
    const destination = this.#peer(toHostId);
    const ticket = issueTicket(this.#parts, request, this.#epoch);
    await this.#command(toHostId, 'ticket.accept', { ticket }, quickMs);
    await this.#command(fromHostId, 'ticket.accept', { ticket }, quickMs);
    try {
      return await this.#openChannel(source, destination);
    } catch (error) {
      if (!mayBeStale(refusalOf(error).code)) throw error;
      this.#parts.log.warn('the channel is not proven, it is made anew once', { ...refusalOf(error) });
      await this.closeChannel(request);
      return this.#openChannel(source, destination);
    }
  }

  async #openChannel(source: Peer, destination: Peer): Promise<Proof> {
    const fromHostId = source.hostId;
    const toHostId = destination.hostId;
    await this.#command(toHostId, 'channel.prepare', { peer: source }, channelMs);
    await this.#command(fromHostId, 'channel.prepare', { peer: destination }, channelMs);
    await this.#command(fromHostId, 'channel.establish', { peer: destination }, channelMs);
    const nonce = this.#parts.random.id();
    await this.#command(toHostId, 'channel.listen', { peer: source, nonce }, quickMs);
    const sent = await this.#command(fromHostId, 'channel.probe', { peer: destination, nonce }, channelMs);
    const heard = await this.#command(toHostId, 'channel.heard', { nonce }, quickMs);
    const verdict = judgeProof(sent.facts, heard.facts, this.#parts.clock.nowMs());
    if (!verdict.ok) throw new PlimsollError(verdict.refusal.code, verdict.refusal.message);
    return verdict.proof;
  }

  async #startTransfer(request: MigrationRequest): Promise<MigrationEvent> {
    try {
      const args: CommandArgs<'transfer.start'> = {
        migrationId: request.migrationId,
        vmId: request.vmId,
        peer: this.#peer(request.toHostId),
        bandwidthBytesPerSecond: this.#policy.migrationBandwidthBytesPerSecond,
        downtimeMsMax: this.#policy.downtimeMsMax,
      };
      const { sa } = await this.#command(request.fromHostId, 'transfer.start', args, quickMs);
      return { kind: 'transfer-started', sa };
    } catch (error) {
      // A controller that stops knows nothing of the answer: the next one takes the migration up.
      this.#signal.throwIfAborted();
      const refusal = refusalOf(error);
      return answerWasLost(refusal.code) ? { kind: 'transfer-lost', refusal } : { kind: 'refused', refusal };
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
    return { kind: 'truth', source, destination };
  }

  async #truthOn(hostId: HostId, vmId: string): Promise<VmTruth> {
    try {
      const { vm } = await this.#command(hostId, 'vm.find', { vmId }, quickMs);
      this.#silent.delete(hostId);
      return vm === null ? { kind: 'absent' } : { kind: 'present', state: vm.state, jobActive: vm.jobActive };
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!this.#silent.has(hostId)) this.#parts.log.warn('a host does not say where the VM is', { hostId, vmId, ...refusalOf(error) });
      this.#silent.add(hostId);
      return { kind: 'unreachable' };
    }
  }

  async #saOf(request: MigrationRequest): Promise<SecurityAssociation | null> {
    const state = await this.#tryCommand(request.fromHostId, 'channel.state', { peerHostId: request.toHostId });
    return state?.sa ?? null;
  }

  #peer(hostId: HostId): Peer {
    const facts = this.#lines.facts(hostId);
    if (!facts) throw new PlimsollError('host-down', `host ${hostId} is not connected: start its agent (or wait, it dials by itself)`);
    return { hostId, addresses: facts.addresses };
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

function mustRun(vm: VmView | null, request: MigrationRequest): VmView {
  if (vm === null) throw new PlimsollError('vm-unknown', `${request.fromHostId} has no VM ${request.vmName}: see 'plimsoll vm list'`);
  if (vm.jobActive) throw new PlimsollError('vm-busy', `the hypervisor is at work on ${request.vmName} already: wait or abort that job`);
  if (vm.state !== 'running')
    throw new PlimsollError('vm-not-running', `${request.vmName} is ${vm.state}, only a running VM can move live: start it first`);
  return vm;
}

function eventOf(status: CommandReply<'transfer.status'>['status']): MigrationEvent {
  switch (status.kind) {
    case 'running':
      return { kind: 'transfer-running', progress: status.progress };
    case 'completed':
      return { kind: 'transfer-completed', outcome: status.outcome };
    case 'failed':
      return { kind: 'transfer-failed', refusal: status.refusal };
    case 'unknown':
      return { kind: 'transfer-lost', refusal: { code: 'agent-restarted', message: "the source's agent restarted during the transfer" } };
    default:
      return status satisfies never;
  }
}

/** An SA whose other end died (its charon was killed) still looks good on this end: a fresh one settles it. */
function mayBeStale(code: string): boolean {
  return code === 'proof-failed' || code === 'ipsec-failed';
}

/** With these the agent may have begun although we heard no yes. */
function answerWasLost(code: string): boolean {
  return code === 'link-lost' || code === 'command-timeout' || code === 'message-invalid';
}
