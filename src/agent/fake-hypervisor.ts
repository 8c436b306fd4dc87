/** A hypervisor with one VM, for the agent's own tests: each part of it can be broken by itself. */
import type { TransferOptions } from '#core/model/method.ts';
import type { JobOutcome, Progress } from '#core/model/migration.ts';
import type { VmStanding } from '#core/model/recovery.ts';
import { PlimsollError, type Refusal } from '#core/model/result.ts';
import type { VmSample, VmView } from '#core/model/vm.ts';
import type { Hypervisor, JobChange, MigrateRequest } from '#core/ports.ts';
import { hypervisorOffer, runningVm, vmDefinition } from './examples.ts';

const ignored = () => undefined;

export class FakeHypervisor implements Hypervisor {
  vm: VmView | null = runningVm();
  fault: PlimsollError | null = null;
  /** What was asked for with an effect, in order. */
  readonly done: string[] = [];
  readonly migrations: MigrateRequest[] = [];
  /** Post-copies that were taken up again. */
  readonly recoveries: MigrateRequest[] = [];
  readonly changes: JobChange[] = [];
  /** How often the signal of a job has asked for its end. */
  abortsAsked = 0;
  /** Ends the migration under way. */
  complete: (outcome: JobOutcome) => void = ignored;
  fail: (error: unknown) => void = ignored;
  /** What a job that is aborted ends with. */
  abortEnd = new PlimsollError('aborted', 'aborted; the VM runs here');
  progress: (progress: Progress) => void = ignored;
  /** What is asked of a migration under way is refused with this, or waits for it. */
  changeFault: PlimsollError | null = null;
  changing: Promise<void> = Promise.resolve();
  /** Why it cannot make a transfer. */
  faultOf: (options: TransferOptions) => Refusal | null = () => null;
  /** What it says of any VM's definition. */
  offer: Awaited<ReturnType<Hypervisor['offerFor']>> = hypervisorOffer;

  version = () => Promise.resolve('fake 1.0');
  listVms = async () => {
    if (this.fault) throw this.fault;
    return this.vm ? [this.vm] : [];
  };
  sampleVms = async (): Promise<readonly VmSample[]> => {
    if (this.fault) throw this.fault;
    return [];
  };
  findVm = async () => {
    if (this.fault) throw this.fault;
    return this.vm;
  };
  migrate = (request: MigrateRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> => {
    this.migrations.push(request);
    return this.#job(onProgress, signal);
  };
  recoverPostCopy = (request: MigrateRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> => {
    this.recoveries.push(request);
    return this.#job(onProgress, signal);
  };
  changeJob: Hypervisor['changeJob'] = async (_vmId, change) => {
    this.changes.push(change);
    await this.changing;
    if (this.changeFault) throw this.changeFault;
  };
  partFromPeer: Hypervisor['partFromPeer'] = async (_vmId, peerAddress) => {
    this.done.push(`part from ${peerAddress}`);
    return 1;
  };
  methodFault = async (options: TransferOptions) => this.faultOf(options);
  /** One that writes 1 MiB/s on and on. */
  lookAtMemory: Hypervisor['lookAtMemory'] = async (_vmId, forMs) => ({ forMs, bytes: (forMs / 1000) * 2 ** 20 });
  memoryInUse: Hypervisor['memoryInUse'] = async () => ({ usedBytes: 2 ** 29, boundBytes: 2 ** 29, grainBytes: 0 });
  define = async () => ({ definition: vmDefinition, text: '<domain/>' });
  offerFor = async () => {
    if (this.fault) throw this.fault;
    return this.offer;
  };
  leasesHeld: Hypervisor['leasesHeld'] = async (leases) => leases.map(() => this.vm?.state === 'running');
  overheadCpuSeconds = () => Promise.resolve(null);
  abortJob = async () => void this.done.push('abort-job');
  resume = async () => void this.done.push('resume');
  relock = async () => void this.done.push('relock');
  destroy = async () => void this.done.push('destroy');
  standing = async (): Promise<VmStanding> => (this.vm === null ? 'absent' : 'here');
  start = async () => void this.done.push('start');
  keepDown = async () => {
    this.done.push('keep-down');
    return false;
  };
  fence = async () => {
    this.done.push('fence');
    return true;
  };
  reloadCertificates = async () => {
    if (this.fault) throw this.fault;
    this.done.push('reload-certificates');
  };
  onEvent = () => ignored;
  close = () => Promise.resolve();

  /** The control of one job, which begins in pre-copy; in post-copy it does not hear an abort. */
  #job(onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> {
    const stage: { now: Progress['stage'] } = { now: 'copying' };
    this.progress = (progress) => {
      stage.now = progress.stage;
      onProgress(progress);
    };
    return new Promise((resolve, reject) => {
      this.complete = resolve;
      this.fail = reject;
      const abort = (): void => {
        this.abortsAsked += 1;
        if (stage.now === 'copying' || stage.now === 'stopped') reject(this.abortEnd);
      };
      if (signal.aborted) abort();
      else signal.addEventListener('abort', abort, { once: true });
    });
  }
}
