import { migrationAddress } from '#core/channel/profiles.ts';
import type { ChannelReading } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import type { HostCost } from '#core/model/measures.ts';
import type { Decision, TransferOptions } from '#core/model/method.ts';
import type { JobOutcome, Progress } from '#core/model/migration.ts';
import { PlimsollError, type Refusal } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import type { MigrateRequest } from '#core/ports.ts';
import type { CommandArgs, ImageAnswer, TransferStatus } from '#wire/agent-protocol.ts';
import { CostWatch } from './cost-watch.ts';
import { ImageAsks } from './image-asks.ts';
import type { AgentParts } from './parts.ts';
import { shortRefusalOf } from './short-refusal.ts';
import type { Steering } from './steering.ts';
import { lastReading, type TransferSight, watchTransfer } from './transfer-watch.ts';

export type Start = CommandArgs<'transfer.start'>;

/** Ends the transfer's one job and rejects when the signal aborts; in post-copy it goes on to its end. */
type Send = (note: (progress: Progress) => void, signal: AbortSignal) => Promise<JobOutcome>;

type Ending = { readonly kind: 'completed'; readonly outcome: JobOutcome } | { readonly kind: 'failed'; readonly refusal: Refusal };

/** The transfer of one VM from this host, from its first byte to what is told of its end. */
export class Transfer {
  readonly #parts: AgentParts;
  readonly #sight: TransferSight;
  readonly #args: Start;
  readonly #asks: ImageAsks;
  readonly #abort = new AbortController();
  readonly steering: Steering;
  #status: TransferStatus = { kind: 'running', progress: null, ask: null, decisions: [], attempts: 0 };
  #isSplit = false;

  constructor(parts: AgentParts, sight: TransferSight, args: Start, steering: Steering) {
    const { migrationId, peer, channelKind } = args;
    this.#parts = parts;
    this.#sight = sight;
    this.#args = args;
    this.steering = steering;
    this.#asks = new ImageAsks(parts.clock, migrationId, channelKind === 'ipsec' ? migrationAddress(peer.profile, peer.addresses) : null);
  }

  get vmId(): VmId {
    return this.#args.vmId;
  }

  get peerHostId(): HostId {
    return this.#args.peer.hostId;
  }

  get isImage(): boolean {
    return isImage(this.#args);
  }

  get isRunning(): boolean {
    return this.#status.kind === 'running';
  }

  /** Whether half of the VM's memory is on each host: whatever happens then, neither half may be given up. */
  get isSplit(): boolean {
    return this.#isSplit;
  }

  /** For whoever watches the transfer: what it asks of the destination's end is shown, and waited for. */
  status(): TransferStatus {
    if (this.#status.kind !== 'running') return this.#status;
    return { ...this.#status, ...this.#steered(), ask: this.#asks.shown() };
  }

  answer(askId: string, answer: ImageAnswer): void {
    this.#asks.answer(askId, answer);
  }

  /** False where it is too late: the VM has left, and can only arrive. */
  abort(why: PlimsollError): boolean {
    if (this.#isSplit) return false;
    this.#abort.abort(why);
    return true;
  }

  /** Sends the VM, through the channel whose first reading this is. Never rejects: how it ends is told by `status`. */
  send(first: ChannelReading): Promise<void> {
    return this.#run(first, (note, signal) => this.#send(note, signal));
  }

  /** The same for a post-copy that failed. */
  recover(first: ChannelReading): Promise<void> {
    this.#isSplit = true;
    const request = requestOf(this.#args, this.#args.plan.options);
    return this.#run(first, (note, signal) => this.#parts.hypervisor.recoverPostCopy(request, note, signal));
  }

  async #run(first: ChannelReading, send: Send): Promise<void> {
    const { migrationId, vmId } = this.#args;
    const over = new AbortController();
    const watching = watchTransfer(this.#sight, { args: this.#args, first, transfer: this }, over.signal);
    const cost = new CostWatch(this.#parts, vmId, over.signal);
    const ending = await this.#ending(send);
    over.abort();
    const [channel, sourceCost] = await Promise.all([lastReading(this.#sight, this.#args), cost.spent(), watching]);
    this.#status = this.#ended(ending, channel, sourceCost);
    const code = ending.kind === 'failed' ? ending.refusal.code : undefined;
    this.#parts.log.info('transfer ended', { migrationId, vmId, ended: ending.kind, code });
  }

  async #ending(send: Send): Promise<Ending> {
    try {
      return { kind: 'completed', outcome: await send((progress) => this.#note(progress), this.#abort.signal) };
    } catch (error) {
      return { kind: 'failed', refusal: shortRefusalOf(this.#reasonOf(error), 'hypervisor-failed') };
    }
  }

  #ended(ending: Ending, channel: ChannelReading | null, sourceCost: HostCost | null): TransferStatus {
    const steered = this.#steered();
    if (ending.kind === 'failed') return { ...ending, channel, ...steered };
    const outcome = { ...ending.outcome, attempts: steered.attempts, sourceCost };
    return { kind: 'completed', outcome, channel, ...steered };
  }

  #note(progress: Progress): void {
    if (this.#status.kind !== 'running') return;
    this.#status = { ...this.#status, progress };
    this.#isSplit ||= progress.stage === 'post-copy' || progress.stage === 'post-copy-failed';
  }

  #send(note: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> {
    const { channelKind, peer, vmId, plan } = this.#args;
    const { hypervisor, transports } = this.#parts;
    const rest = { vmId, peerHostId: peer.hostId, peerUnderlay: peer.addresses.underlay };
    // Inside IPsec too an image is sealed.
    if (this.isImage) return transports.migrate('sealed-image', { ...rest, options: plan.options }, this.#asks, note, signal);
    if (channelKind === 'ipsec') {
      return this.steering.run(
        (options, listen, ending) => hypervisor.migrate(requestOf(this.#args, options), listen, ending),
        note,
        signal,
      );
    }
    return this.steering.run(
      (options, listen, ending) => transports.migrate(channelKind, { ...rest, options }, this.#asks, listen, ending),
      note,
      signal,
    );
  }

  /** Why it was aborted says more than that it was; where the VM is says more than both. */
  #reasonOf(error: unknown): unknown {
    const { aborted, reason } = this.#abort.signal;
    return aborted && !this.#isSplit && !tellsWhere(error) ? reason : error;
  }

  #steered(): { decisions: Decision[]; attempts: number } {
    return { decisions: [...this.steering.decisions], attempts: Math.max(1, this.steering.attempts) };
  }
}

/** Whether the VM goes as a file. */
export function isImage({ channelKind, plan }: Pick<Start, 'channelKind' | 'plan'>): boolean {
  return channelKind === 'sealed-image' || plan.options.method === 'save-restore';
}

function tellsWhere(error: unknown): boolean {
  if (!(error instanceof PlimsollError)) return false;
  return error.code === 'truth-unknown' || error.code === 'zero-copies' || error.code === 'post-copy-broken';
}

function requestOf({ vmId, peer }: Start, options: TransferOptions): MigrateRequest {
  const peerAddress = migrationAddress(peer.profile, peer.addresses);
  return { vmId, peerHostId: peer.hostId, peerAddress, streamSecurity: 'none', options };
}
