/** The port of a host's hypervisor. */
import type { HostOffer, VmDefinition, VmLease } from './model/definition.ts';
import type { MemoryInUse, MemoryLook } from './model/forecast.ts';
import type { HostId } from './model/host.ts';
import type { TransferOptions } from './model/method.ts';
import type { JobOutcome, Progress } from './model/migration.ts';
import type { VmStanding } from './model/recovery.ts';
import type { Refusal } from './model/result.ts';
import type { VmId, VmSample, VmView } from './model/vm.ts';

/** A live migration from this host. */
export interface MigrateRequest {
  readonly vmId: VmId;
  readonly peerHostId: HostId;
  /** The destination's address inside the channel: control connection and data stream both go there. */
  readonly peerAddress: string;
  /** `qemu-tls`: the data stream is wrapped in QEMU's own TLS; `none`: by whatever the address leads through. */
  readonly streamSecurity: 'none' | 'qemu-tls';
  /** Of any method but `save-restore`, which is not one call of the hypervisor. */
  readonly options: TransferOptions;
}

/** What can be changed while the hypervisor is at work. */
export type JobChange =
  | { readonly kind: 'downtime'; readonly downtimeMsMax: number }
  /** Bytes per second, 0 = no cap. */
  | { readonly kind: 'bandwidth'; readonly bandwidthBytesPerSecond: number }
  /** Only a job of method `hybrid` or `post-copy` can. */
  | { readonly kind: 'post-copy' }
  /** Stops the VM, so that the next round is the last; it runs on when it has arrived, or here when the job fails. */
  | { readonly kind: 'stop' };

export type HypervisorEvent =
  | { readonly kind: 'vm-changed'; readonly vmId: VmId }
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected' };

/**
 * The hypervisor of one host. Rejects with `hypervisor-unavailable` while its daemon is away (the driver
 * reconnects by itself), `vm-unknown`, `vm-not-running`, `vm-busy`, `hypervisor-failed`.
 */
export interface Hypervisor {
  /** Such as `libvirt 9.0.0, QEMU 7.2.22`. */
  version(signal: AbortSignal): Promise<string>;
  listVms(signal: AbortSignal): Promise<readonly VmView[]>;
  /** Null when this host does not have the VM. */
  findVm(vmId: VmId, signal: AbortSignal): Promise<VmView | null>;
  /** One bulk reading of all running VMs; rates since the previous call, null on the first. */
  sampleVms(signal: AbortSignal): Promise<readonly VmSample[]>;
  /**
   * Runs the whole migration; resolves when the hypervisor says it is complete. `onProgress` at about 4 Hz.
   * Aborting the signal aborts the job and rejects with `aborted`; the VM then still runs here.
   */
  migrate(request: MigrateRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome>;
  abortJob(vmId: VmId, signal: AbortSignal): Promise<void>;
  /** Changes the migration that is at work. Rejects with `vm-busy` when it is too early or too late for it. */
  changeJob(vmId: VmId, change: JobChange, signal: AbortSignal): Promise<void>;
  /** Goes on with a post-copy that failed, over a connection made anew; the request must be that of the migration. Resolves as `migrate`. */
  recoverPostCopy(request: MigrateRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome>;
  /**
   * For the destination of a post-copy that failed: ends the connections that its memory came in by, so that this end notices too.
   * A hypervisor that has nothing to send cannot know that the other end is gone. Resolves with how many were ended. Rejects with
   * `vm-busy` when the VM is in no post-copy here, `method-unsupported` where the host cannot end a connection.
   */
  partFromPeer(vmId: VmId, peerAddress: string, signal: AbortSignal): Promise<number>;
  /** Why this hypervisor cannot make a transfer with these options; null when it can. */
  methodFault(options: TransferOptions, signal: AbortSignal): Promise<Refusal | null>;
  /**
   * Watches for `forMs`, or as near to that as the hypervisor can, which memory the VM writes; the look says how long it took. One at a
   * time for each VM. Rejects with `method-unsupported` where the hypervisor cannot.
   */
  lookAtMemory(vmId: VmId, forMs: number, signal: AbortSignal): Promise<MemoryLook>;
  /** How much memory the VM uses, and how finely `lookAtMemory` sees it. */
  memoryInUse(vmId: VmId, signal: AbortSignal): Promise<MemoryInUse>;
  /** What decides where the VM can run, and the text that `offerFor` takes. */
  define(vmId: VmId, signal: AbortSignal): Promise<{ readonly definition: VmDefinition; readonly text: string }>;
  /** What this host offers a VM with this definition. Free memory and its own copy are not looked at here. */
  offerFor(definition: VmDefinition, text: string, signal: AbortSignal): Promise<Omit<HostOffer, 'hostId' | 'memoryFreeBytes' | 'ownCopy'>>;
  /** Whether this host's lock manager holds each of these leases, in their order; null where that cannot be told. */
  leasesHeld(leases: readonly VmLease[], signal: AbortSignal): Promise<readonly (boolean | null)[]>;
  /** CPU seconds used so far by the VM's process beyond its virtual CPUs; null when this host does not have it. */
  overheadCpuSeconds(vmId: VmId, signal: AbortSignal): Promise<number | null>;
  resume(vmId: VmId, signal: AbortSignal): Promise<void>;
  /** Takes the VM's storage locks again; it stands still for a moment. Rejects with `lock-held` when another host has them: it is halted then. */
  relock(vmId: VmId, signal: AbortSignal): Promise<void>;
  /** Stops this host's copy at once; used only on a copy that the decision table has named an orphan. */
  destroy(vmId: VmId, signal: AbortSignal): Promise<void>;
  /** What this host has of the VM, and why it does not run; see `VmStanding`. */
  standing(vmId: VmId, signal: AbortSignal): Promise<VmStanding>;
  /**
   * Defines the VM and boots it anew; a memory image that was saved of it here is thrown away, for its disk has changed since.
   * Rejects with `vm-busy` when it runs here already, `lock-held` when another host holds its storage lock. After
   * `hypervisor-unavailable`, `command-timeout` or `aborted` it is not known whether it was started; after any other code it was not.
   * A text that defines another VM is refused with `input-invalid`.
   */
  start(vmId: VmId, definitionText: string, signal: AbortSignal): Promise<void>;
  /** Sees to it that the daemon does not start the VM by itself when it comes up; true when it would have. */
  keepDown(vmId: VmId, signal: AbortSignal): Promise<boolean>;
  /** Ends this host's copy at once, with or without the daemon; resolves when its process is gone. True when there was one. */
  fence(vmId: VmId, signal: AbortSignal): Promise<boolean>;
  /** Tells the daemon that the files of its TLS identity were replaced; connections that are up stay. */
  reloadCertificates(signal: AbortSignal): Promise<void>;
  /** Hints only: a listener reads the state again. Returns the way to stop. */
  onEvent(listener: (event: HypervisorEvent) => void): () => void;
  close(): Promise<void>;
}
