import { memoryFault, migrationAddress } from '#core/channel/profiles.ts';
import type { ChannelReading } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import type { JobOutcome, Progress } from '#core/model/migration.ts';
import { PlimsollError, type Refusal } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import type { MigrateRequest } from '#core/ports.ts';
import { withDeadline } from '#core/time.ts';
import type { CommandArgs, ImageAnswer, TransferStatus } from '#wire/agent-protocol.ts';
import { watchChannel, watchDefaults, type WatchLimits } from './channel-watch.ts';
import type { Channels } from './channels.ts';
import type { Gate } from './gate.ts';
import { ImageAsks } from './image-asks.ts';
import type { AgentParts } from './parts.ts';
import type { Proofs } from './proofs.ts';
import { shortRefusalOf } from './short-refusal.ts';
import { judgeTransfer, mustBeLetThrough } from './transfer-rules.ts';

type Start = CommandArgs<'transfer.start'>;

interface Transfer {
  readonly vmId: VmId;
  readonly peerHostId: HostId;
  readonly channelKind: Start['channelKind'];
  readonly abort: AbortController;
  readonly asks: ImageAsks;
  status: TransferStatus;
}

const finishedKeptMax = 64;

/** The transfers that this agent process has started; they go on when the line to the controller is lost. */
export class Transfers {
  readonly #parts: AgentParts;
  readonly #channels: Channels;
  readonly #proofs: Proofs;
  readonly #gate: Gate;
  readonly #limits: WatchLimits;
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
    this.#limits = limits;
  }

  /** Resolves with the first reading of the channel once the transfer is under way; it then runs by itself. */
  async start(args: Start, signal: AbortSignal): Promise<ChannelReading> {
    const first = await this.#permit(args, signal);
    // Whoever asked has been told by now that nothing began.
    signal.throwIfAborted();
    // Revoked while the channel was read: what is not under way yet is not found by whoever aborts.
    this.#channels.mustBeMember(args.peer.hostId);
    this.#gate.spend(args.migrationId, args.vmId, args.peer.hostId, this.#parts.clock.nowMs());
    this.#forgetOldest();
    const transfer: Transfer = {
      vmId: args.vmId,
      peerHostId: args.peer.hostId,
      channelKind: args.channelKind,
      abort: new AbortController(),
      asks: new ImageAsks(this.#parts.clock, args.migrationId),
      status: { kind: 'running', progress: null, ask: null },
    };
    this.#transfers.set(args.migrationId, transfer);
    void this.#run(transfer, args, first);
    return first;
  }

  /** For whoever watches the transfer: what it asks of the destination's end is shown, and waited for. */
  status(migrationId: string): TransferStatus {
    const transfer = this.#transfers.get(migrationId);
    if (transfer === undefined) return { kind: 'unknown' };
    const { status, asks } = transfer;
    return status.kind === 'running' ? { ...status, ask: asks.shown() } : status;
  }

  /** What the destination said. */
  answer(migrationId: string, askId: string, answer: ImageAnswer): void {
    this.#transfers.get(migrationId)?.asks.answer(askId, answer);
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
    return this.#running().some((transfer) => transfer.vmId === vmId && transfer.channelKind === 'sealed-image');
  }

  /** Where the transfers go that are under way. */
  peers(): readonly HostId[] {
    return [...new Set(this.#running().map(({ peerHostId }) => peerHostId))];
  }

  abortAllTo(peerHostId: HostId, why: PlimsollError): void {
    for (const transfer of this.#running()) if (transfer.peerHostId === peerHostId) transfer.abort.abort(why);
  }

  /** Aborts by the transfer's own signal, or, if an agent before this one started it, by the hypervisor's job. */
  async abort(migrationId: string, vmId: VmId, signal: AbortSignal): Promise<void> {
    const transfer = this.#transfers.get(migrationId);
    if (transfer?.status.kind === 'running') transfer.abort.abort(new PlimsollError('aborted', 'aborted on request'));
    else await this.#parts.hypervisor.abortJob(vmId, signal);
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

  async #run(transfer: Transfer, args: Start, first: ChannelReading): Promise<void> {
    const ended = new AbortController();
    const note = (progress: Progress) => {
      if (transfer.status.kind === 'running') transfer.status = { kind: 'running', progress, ask: null };
    };
    const watching = this.#watch(transfer, args, first, ended.signal);
    let refusal: Refusal | null = null;
    let status: (channel: ChannelReading | null) => TransferStatus;
    try {
      const outcome = await this.#send(transfer, args, note);
      status = (channel) => ({ kind: 'completed', outcome, channel });
    } catch (error) {
      const why = shortRefusalOf(reasonOf(error, transfer.abort.signal), 'hypervisor-failed');
      refusal = why;
      status = (channel) => ({ kind: 'failed', refusal: why, channel });
    }
    ended.abort();
    await watching;
    transfer.status = status(await this.#lastReading(args));
    this.#parts.log.info('transfer ended', {
      migrationId: args.migrationId,
      vmId: args.vmId,
      ended: transfer.status.kind,
      code: refusal?.code,
    });
    this.#onEnd();
  }

  #send(transfer: Transfer, args: Start, note: (progress: Progress) => void): Promise<JobOutcome> {
    const { channelKind, peer, vmId, bandwidthBytesPerSecond, downtimeMsMax } = args;
    const { hypervisor, transports } = this.#parts;
    const { signal } = transfer.abort;
    if (channelKind === 'ipsec') return hypervisor.migrate(requestOf(args), note, signal);
    const request = { vmId, peerHostId: peer.hostId, peerUnderlay: peer.addresses.underlay, bandwidthBytesPerSecond, downtimeMsMax };
    return transports.migrate(channelKind, request, transfer.asks, note, signal);
  }

  /** Aborts the transfer when what protects it goes: fail closed, the VM stays here. */
  async #watch(transfer: Transfer, args: Start, first: ChannelReading, ended: AbortSignal): Promise<void> {
    const { peerHostId } = transfer;
    const fault = await watchChannel(
      this.#parts.clock,
      {
        read: (signal) => this.#read(args, signal),
        judge: (reading) => judgeTransfer(args, first, reading),
        unreadable: (why) => ({ code: 'channel-failed', message: `its channel cannot be read: ${why}; the VM stays here` }),
      },
      this.#limits,
      ended,
    );
    if (fault === null) return;
    this.#parts.log.error('channel lost during a transfer', { peer: peerHostId, fault: fault.message });
    transfer.abort.abort(new PlimsollError(fault.code, `the transfer to ${peerHostId} was aborted: ${fault.message}`));
  }

  #read({ channelKind, peer }: Start, signal: AbortSignal): Promise<ChannelReading> {
    return channelKind === 'ipsec' ? this.#channels.reading(peer.hostId, signal) : this.#channels.readingWithoutIpsec(signal);
  }

  /** Null when this end cannot be read: an older reading would count too little. */
  async #lastReading(args: Start): Promise<ChannelReading | null> {
    try {
      const going = new AbortController().signal;
      return await withDeadline(this.#parts.clock, this.#limits.readingMsMax, going, (signal) => this.#read(args, signal));
    } catch {
      return null;
    }
  }

  #running(): readonly Transfer[] {
    return [...this.#transfers.values()].filter(({ status }) => status.kind === 'running');
  }

  #forgetOldest(): void {
    if (this.#transfers.size < finishedKeptMax) return;
    for (const [id, transfer] of this.#transfers) {
      if (transfer.status.kind === 'running') continue;
      this.#transfers.delete(id);
      return;
    }
  }
}

/** Why it was aborted says more than that it was; where the VM is says more than both. */
function reasonOf(error: unknown, { aborted, reason }: AbortSignal): unknown {
  const isOpen = error instanceof PlimsollError && (error.code === 'truth-unknown' || error.code === 'zero-copies');
  return aborted && !isOpen ? reason : error;
}

function requestOf({ vmId, peer, bandwidthBytesPerSecond, downtimeMsMax }: Start): MigrateRequest {
  const peerAddress = migrationAddress(peer.profile, peer.addresses);
  return { vmId, peerHostId: peer.hostId, peerAddress, streamSecurity: 'none', bandwidthBytesPerSecond, downtimeMsMax };
}
