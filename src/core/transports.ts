/** Every way but IPsec for a VM from host to host: what an agent needs of them. Weaker than IPsec, and there to be compared with it. */
import type { ChannelKind } from './model/channel.ts';
import type { HostId } from './model/host.ts';
import type { TransferOptions } from './model/method.ts';
import type { ImageStanding, JobOutcome, Progress } from './model/migration.ts';
import type { Refusal } from './model/result.ts';
import type { VmId } from './model/vm.ts';

export type OtherChannelKind = Exclude<ChannelKind, 'ipsec'>;

export interface TransportRequest {
  readonly vmId: VmId;
  readonly peerHostId: HostId;
  /** Where the peer is reached outside of any channel. */
  readonly peerUnderlay: string;
  readonly options: TransferOptions;
}

/** What a transport says of a VM that it has moved, for the receipt. */
export interface TransportOutcome extends JobOutcome {
  /** What protected the bytes, such as `aes256-gcm@openssh.com`. Null where nothing did. */
  readonly cipher: string | null;
}

export interface ImageDigest {
  /** Of the sealed bytes, hex. */
  readonly sha256: string;
  readonly bytes: number;
}

/** Where and for whom the image is to be sealed. Good for one image; kept out of logs and records all the same. */
export interface ImageOffer {
  readonly address: string;
  readonly port: number;
  /** Hex; proves to the receiver that this sender was told of the offer. */
  readonly token: string;
  /** Public key of age. */
  readonly recipient: string;
}

/** Known to be running, or known never to: the image was thrown away. Anything else is a rejection. */
export type RestoreVerdict = { readonly kind: 'running' } | { readonly kind: 'refused'; readonly refusal: Refusal };

/** The destination's end. Reached over an authenticated line: the digest that comes this way is what makes the image authentic. */
export interface ImageDestination {
  offer(vmId: VmId, signal: AbortSignal): Promise<ImageOffer>;
  /** Opens what was received if it is exactly what was sent. */
  open(vmId: VmId, sent: ImageDigest, signal: AbortSignal): Promise<void>;
  restore(vmId: VmId, signal: AbortSignal): Promise<RestoreVerdict>;
  /** Throws away what there is of an image that was not restored. */
  discard(vmId: VmId, signal: AbortSignal): Promise<void>;
}

/** The source's end. */
export interface ImageSource {
  save(vmId: VmId, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<void>;
  send(vmId: VmId, offer: ImageOffer, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<ImageDigest>;
  /** After this the VM can no longer be started here by anybody but `takeBack`. */
  giveAway(vmId: VmId, signal: AbortSignal): Promise<void>;
  /** Makes the VM run here again, from whichever state the other steps have left. Rejects with `vm-unknown` where there is nothing of it. */
  takeBack(vmId: VmId, signal: AbortSignal): Promise<void>;
  /** Removes the image of a VM that runs elsewhere. */
  forget(vmId: VmId, signal: AbortSignal): Promise<void>;
}

/** The source's end of this host, with what outlives a process of its agent. */
export interface KeptImages extends ImageSource {
  /** VMs that were saved here and not taken back or forgotten: `kept` is the VM, `given` may run on its destination. */
  standings(): Promise<ReadonlyMap<VmId, 'kept' | 'given'>>;
}

/** The destination's end of this host. `discard` and `offer` reject with `vm-busy` while the hypervisor restores the VM. */
export interface IncomingImages extends ImageDestination {
  /** Throws away what an earlier process has left; its keys are gone, nobody will ask for it. */
  sweep(): Promise<void>;
  /** `at`: which of this host's addresses the image comes to; null: its underlay address. Rejects with `channel-failed` for one it lacks. */
  offer(vmId: VmId, signal: AbortSignal, at?: string | null): Promise<ImageOffer>;
  standing(vmId: VmId): Promise<Extract<ImageStanding, 'offered' | 'opened' | 'restoring' | 'begun'> | null>;
}

/** The channels of one host that are not IPsec. */
export interface Transports {
  /** Why this host cannot send by a channel of this kind; null when it can. */
  fault(kind: OtherChannelKind): Refusal | null;
  /**
   * Moves one running VM from this host. Resolves when it runs on the peer. Rejects with a PlimsollError: the VM then runs here, unless
   * the code is `truth-unknown` (ask both hosts) or `zero-copies` (its image waits on this host). Aborting the signal ends the move and
   * rejects with `aborted`, or comes too late and changes nothing. `peerImages`: the peer's end, for a sealed image.
   */
  migrate(
    kind: OtherChannelKind,
    request: TransportRequest,
    peerImages: ImageDestination,
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<TransportOutcome>;
  readonly kept: KeptImages;
  readonly incoming: IncomingImages;
}
