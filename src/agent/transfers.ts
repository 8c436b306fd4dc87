import { memoryFault } from '#core/channel/profiles.ts';
import { ladderOptions, type PilotLimits } from '#core/migration/autopilot.ts';
import type { ChannelReading } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import type { CommandArgs, ImageAnswer, TransferStatus } from '#wire/agent-protocol.ts';
import { watchDefaults, type WatchLimits } from './channel-watch.ts';
import type { Channels } from './channels.ts';
import type { Gate } from './gate.ts';
import type { AgentParts } from './parts.ts';
import type { Proofs } from './proofs.ts';
import { Steering } from './steering.ts';
import { isImage, type Start, Transfer } from './transfer.ts';
import { mustBeLetThrough } from './transfer-rules.ts';
import type { TransferSight } from './transfer-watch.ts';

const finishedKeptMax = 64;

/** The transfers that this agent process has started; they go on when the line to the controller is lost. */
export class Transfers {
  readonly #parts: AgentParts;
  readonly #channels: Channels;
  readonly #proofs: Proofs;
  readonly #gate: Gate;
  readonly #sight: TransferSight;
  readonly #transfers = new Map<string, Transfer>();
  #onEnd: () => void = () => undefined;

  constructor(
    parts: AgentParts,
    rooms: { readonly channels: Channels; readonly proofs: Proofs; readonly gate: Gate },
    limits: WatchLimits = watchDefaults,
  ) {
    this.#parts = parts;
    this.#channels = rooms.channels;
    this.#proofs = rooms.proofs;
    this.#gate = rooms.gate;
    this.#sight = { parts, channels: rooms.channels, limits };
  }

  /** Resolves with the first reading of the channel once the transfer is under way; it then runs by itself. */
  async start(args: Start, signal: AbortSignal): Promise<ChannelReading> {
    const unsupported = await this.#unsupported(args, signal);
    const first = await this.#permit(args, signal);
    this.#mustStillBeWanted(args, signal);
    this.#gate.spend(args.migrationId, args.vmId, args.peer.hostId, this.#parts.clock.nowMs());
    this.#mustBeFree(args.vmId);
    const limits = { unsupported, noProgressMsMax: args.noProgressMsMax };
    const transfer = this.#open(args, new Steering(this.#parts, args.vmId, args.plan, limits));
    void transfer.send(first).then(() => this.#onEnd());
    return first;
  }

  /** Goes on with a post-copy that failed, through a channel that was proven anew. It then runs by itself, as after `start`. */
  async recover(order: CommandArgs<'transfer.recover'>, signal: AbortSignal): Promise<void> {
    const { migrationId, vmId, peer, plan } = order;
    const args: Start = { migrationId, vmId, peer, plan, channelKind: 'ipsec', noProgressMsMax: 0 };
    // Before the proof is spent, and after the wait for it.
    this.#mustBeFree(vmId);
    const first = await this.#permit(args, signal);
    this.#mustStillBeWanted(args, signal);
    this.#mustBeFree(vmId);
    const former = this.#transfers.get(migrationId);
    // What was decided before belongs to the migration still.
    const steering =
      former?.vmId === vmId ? former.steering : new Steering(this.#parts, vmId, plan, { unsupported: [], noProgressMsMax: 0 });
    const transfer = this.#open(args, steering);
    void transfer.recover(first).then(() => this.#onEnd());
  }

  /** For whoever watches the transfer: what it asks of the destination's end is shown, and waited for. */
  status(migrationId: string): TransferStatus {
    return this.#transfers.get(migrationId)?.status() ?? { kind: 'unknown' };
  }

  /** What the destination said. */
  answer(migrationId: string, askId: string, answer: ImageAnswer): void {
    this.#transfers.get(migrationId)?.answer(askId, answer);
  }

  onEnd(listener: () => void): void {
    this.#onEnd = listener;
  }

  /** Whether this process has a transfer of this VM under way. */
  owns(vmId: VmId): boolean {
    return this.#running().some((transfer) => transfer.vmId === vmId);
  }

  /** The same for one that goes as a sealed image. */
  ownsImage(vmId: VmId): boolean {
    return this.#running().some((transfer) => transfer.vmId === vmId && transfer.isImage);
  }

  /** Where the transfers go that are under way. */
  peers(): readonly HostId[] {
    return [...new Set(this.#running().map(({ peerHostId }) => peerHostId))];
  }

  /** Those in post-copy go on: with their channel taken down they stand still, and both halves are kept. */
  abortAllTo(peerHostId: HostId, why: PlimsollError): void {
    for (const transfer of this.#running()) {
      if (transfer.peerHostId !== peerHostId || transfer.abort(why)) continue;
      this.#parts.log.error('a transfer in post-copy is not aborted, that would lose the VM', { vmId: transfer.vmId, why: why.message });
    }
  }

  /**
   * Aborts by the transfer's own signal, or, if an agent before this one started it, by the hypervisor's job. Throws `vm-busy` in
   * post-copy, from which there is no way back.
   */
  async abort(migrationId: string, vmId: VmId, signal: AbortSignal): Promise<void> {
    const transfer = this.#transfers.get(migrationId);
    if (transfer?.isRunning === true) {
      if (!transfer.abort(new PlimsollError('aborted', 'aborted on request'))) throw noWayBack(vmId);
      return;
    }
    const { hypervisor } = this.#parts;
    if (((await hypervisor.findVm(vmId, signal))?.postCopy ?? null) !== null) throw noWayBack(vmId);
    await hypervisor.abortJob(vmId, signal);
  }

  /** What protects this transfer is in place; resolves with its first reading, throws otherwise. */
  async #permit({ channelKind, peer }: Start, signal: AbortSignal): Promise<ChannelReading> {
    switch (channelKind) {
      case 'ipsec': {
        const fault = memoryFault(peer.profile);
        if (fault !== null) throw new PlimsollError(fault.code, fault.message);
        return this.#proofs.spend(peer, signal);
      }
      case 'qemu-tls':
      case 'none':
      case 'ssh':
      case 'sealed-image': {
        const fault = this.#parts.transports.fault(channelKind);
        if (fault !== null) throw new PlimsollError(fault.code, fault.message);
        this.#channels.mustBeMember(peer.hostId);
        const reading = await this.#channels.readingWithoutIpsec(signal);
        mustBeLetThrough(channelKind, peer, reading.guard);
        return reading;
      }
      default:
        return channelKind satisfies never;
    }
  }

  #mustStillBeWanted({ peer }: Start, signal: AbortSignal): void {
    // Whoever asked has been told by now that nothing began.
    signal.throwIfAborted();
    // Revoked while the channel was read: what is not under way yet is not found by whoever aborts.
    this.#channels.mustBeMember(peer.hostId);
  }

  #mustBeFree(vmId: VmId): void {
    if (this.owns(vmId)) throw new PlimsollError('vm-busy', `this host has a transfer of VM ${vmId} under way`);
  }

  /** The rungs of the ladder that this host's hypervisor cannot take. An image has no ladder. */
  async #unsupported(args: Start, signal: AbortSignal): Promise<PilotLimits['unsupported']> {
    if (isImage(args)) return [];
    const found: PilotLimits['unsupported'][number][] = [];
    for (const { rung, options } of ladderOptions(args.plan)) {
      const fault = await this.#parts.hypervisor.methodFault(options, signal);
      if (fault !== null) found.push({ rung, why: fault.message });
    }
    return found;
  }

  #open(args: Start, steering: Steering): Transfer {
    this.#forgetOldest();
    const transfer = new Transfer(this.#parts, this.#sight, args, steering);
    this.#transfers.set(args.migrationId, transfer);
    return transfer;
  }

  #running(): readonly Transfer[] {
    return [...this.#transfers.values()].filter(({ isRunning }) => isRunning);
  }

  #forgetOldest(): void {
    if (this.#transfers.size < finishedKeptMax) return;
    for (const [id, transfer] of this.#transfers) {
      if (transfer.isRunning) continue;
      this.#transfers.delete(id);
      return;
    }
  }
}

function noWayBack(vmId: VmId): PlimsollError {
  return new PlimsollError('vm-busy', `VM ${vmId} is in post-copy, an abort would lose it: let it arrive, or recover it`);
}
