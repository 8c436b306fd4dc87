import { memoryFault, migrationAddress } from '#core/channel/profiles.ts';
import type { ChannelReading } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { ladderOptions, type PilotLimits } from '#core/migration/autopilot.ts';
import type { Decision, TransferOptions } from '#core/model/method.ts';
import type { JobOutcome, Progress } from '#core/model/migration.ts';
import { PlimsollError, type Refusal } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import type { MigrateRequest } from '#core/ports.ts';
import { withDeadline } from '#core/time.ts';
import type { CommandArgs, ImageAnswer, TransferStatus } from '#wire/agent-protocol.ts';
import { watchChannel, watchDefaults, type WatchLimits } from './channel-watch.ts';
import type { Channels } from './channels.ts';
import type { Gate } from './gate.ts';
import { CostWatch } from './cost-watch.ts';
import { ImageAsks } from './image-asks.ts';
import type { AgentParts } from './parts.ts';
import type { Proofs } from './proofs.ts';
import { shortRefusalOf } from './short-refusal.ts';
import { Steering } from './steering.ts';
import { judgeTransfer, mustBeLetThrough } from './transfer-rules.ts';

type Start = CommandArgs<'transfer.start'>;
type Recover = CommandArgs<'transfer.recover'>;

interface Transfer {
  readonly vmId: VmId;
  readonly peerHostId: HostId;
  readonly channelKind: Start['channelKind'];
  readonly abort: AbortController;
  readonly asks: ImageAsks;
  readonly steering: Steering;
  readonly isImage: boolean;
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
    const unsupported = await this.#unsupported(args.plan, signal);
    const first = await this.#permit(args, signal);
    // Whoever asked has been told by now that nothing began.
    signal.throwIfAborted();
    // Revoked while the channel was read: what is not under way yet is not found by whoever aborts.
    this.#channels.mustBeMember(args.peer.hostId);
    this.#gate.spend(args.migrationId, args.vmId, args.peer.hostId, this.#parts.clock.nowMs());
    const transfer = this.#open(args, { unsupported, noProgressMsMax: args.noProgressMsMax });
    void this.#run(transfer, args, first, (note) => this.#send(transfer, args, note));
    return first;
  }

  /** Goes on with a post-copy that failed, through a channel that was proven anew. It then runs by itself, as after `start`. */
  async recover(order: Recover, signal: AbortSignal): Promise<void> {
    const args: Start = { ...order, channelKind: 'ipsec', noProgressMsMax: 0 };
    if (this.owns(args.vmId)) throw new PlimsollError('vm-busy', `this host has a transfer of VM ${args.vmId} under way`);
    const first = await this.#permit(args, signal);
    signal.throwIfAborted();
    this.#channels.mustBeMember(args.peer.hostId);
    const transfer = this.#open(args, { unsupported: [], noProgressMsMax: 0 });
    const request = requestOf(args, args.plan.options);
    void this.#run(transfer, args, first, (note) => this.#parts.hypervisor.recoverPostCopy(request, note, transfer.abort.signal));
  }

  /** For whoever watches the transfer: what it asks of the destination's end is shown, and waited for. */
  status(migrationId: string): TransferStatus {
    const transfer = this.#transfers.get(migrationId);
    if (transfer === undefined) return { kind: 'unknown' };
    const { status, asks } = transfer;
    return status.kind === 'running' ? { ...status, ...steered(transfer), ask: asks.shown() } : status;
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
    return this.#running().some((transfer) => transfer.vmId === vmId && transfer.isImage);
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

  /** The rungs of the ladder that this host's hypervisor cannot take. */
  async #unsupported(plan: Start['plan'], signal: AbortSignal): Promise<PilotLimits['unsupported']> {
    const found: PilotLimits['unsupported'][number][] = [];
    for (const { rung, options } of ladderOptions(plan)) {
      const fault = await this.#parts.hypervisor.methodFault(options, signal);
      if (fault !== null) found.push({ rung, why: fault.message });
    }
    return found;
  }

  #open(args: Start, limits: PilotLimits): Transfer {
    this.#forgetOldest();
    const { clock } = this.#parts;
    const { migrationId, vmId, peer, channelKind, plan } = args;
    const inChannel = channelKind === 'ipsec' ? migrationAddress(peer.profile, peer.addresses) : null;
    const transfer: Transfer = {
      vmId,
      peerHostId: peer.hostId,
      channelKind,
      isImage: isImage(args),
      abort: new AbortController(),
      asks: new ImageAsks(clock, migrationId, inChannel),
      steering: new Steering(this.#parts, vmId, plan, limits),
      status: { kind: 'running', progress: null, ask: null, decisions: [], attempts: 0 },
    };
    this.#transfers.set(migrationId, transfer);
    return transfer;
  }

  async #run(
    transfer: Transfer,
    args: Start,
    first: ChannelReading,
    send: (note: (progress: Progress) => void) => Promise<JobOutcome>,
  ): Promise<void> {
    const ended = new AbortController();
    const note = (progress: Progress) => {
      if (transfer.status.kind === 'running') transfer.status = { ...transfer.status, progress };
    };
    const watching = this.#watch(transfer, args, first, ended.signal);
    const cost = new CostWatch(this.#parts, args.vmId, ended.signal);
    let refusal: Refusal | null = null;
    let status: (channel: ChannelReading | null) => TransferStatus;
    try {
      const done = await send(note);
      const { attempts } = transfer.steering;
      const outcome = { ...done, attempts, sourceCost: await cost.spent() };
      status = (channel) => ({ kind: 'completed', outcome, channel, ...steered(transfer) });
    } catch (error) {
      const why = shortRefusalOf(reasonOf(error, transfer.abort.signal), 'hypervisor-failed');
      refusal = why;
      status = (channel) => ({ kind: 'failed', refusal: why, channel, ...steered(transfer) });
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
    const { channelKind, peer, vmId } = args;
    const { hypervisor, transports } = this.#parts;
    const { steering, asks, abort } = transfer;
    const kind = channelKind === 'ipsec' && transfer.isImage ? 'sealed-image' : channelKind;
    if (kind === 'ipsec') {
      return steering.run((options, listen, signal) => hypervisor.migrate(requestOf(args, options), listen, signal), note, abort.signal);
    }
    const rest = { vmId, peerHostId: peer.hostId, peerUnderlay: peer.addresses.underlay };
    if (kind === 'sealed-image') return transports.migrate(kind, { ...rest, options: args.plan.options }, asks, note, abort.signal);
    return steering.run(
      (options, listen, signal) => transports.migrate(kind, { ...rest, options }, asks, listen, signal),
      note,
      abort.signal,
    );
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

function requestOf({ vmId, peer }: Start, options: TransferOptions): MigrateRequest {
  const peerAddress = migrationAddress(peer.profile, peer.addresses);
  return { vmId, peerHostId: peer.hostId, peerAddress, streamSecurity: 'none', options };
}

/** Whether the VM goes as a file: inside IPsec too, the file is sealed. */
function isImage({ channelKind, plan }: Pick<Start, 'channelKind' | 'plan'>): boolean {
  return channelKind === 'sealed-image' || plan.options.method === 'save-restore';
}

function steered({ steering: { decisions, attempts } }: Transfer): { decisions: Decision[]; attempts: number } {
  return { decisions: [...decisions], attempts };
}
