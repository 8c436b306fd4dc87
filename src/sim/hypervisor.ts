import type { HostOffer, VmDefinition, VmLease } from '#core/model/definition.ts';
import type { MemoryInUse, MemoryLook } from '#core/model/forecast.ts';
import type { TransferOptions } from '#core/model/method.ts';
import type { JobOutcome, Progress } from '#core/model/migration.ts';
import type { VmStanding } from '#core/model/recovery.ts';
import { PlimsollError, type Refusal } from '#core/model/result.ts';
import { bytes } from '#core/model/units.ts';
import type { VmId, VmSample, VmView } from '#core/model/vm.ts';
import type { Hypervisor, HypervisorEvent, JobChange, MigrateRequest } from '#core/ports.ts';
import { definitionOf, offerOf } from './definitions.ts';
import { Copy, dirtyAfter } from './guest.ts';
import type { SimHost } from './host.ts';
import type { JobRequest } from './job-stream.ts';
import { methodFaultOf } from './method-fault.ts';
import { MigrationJob } from './migration-job.ts';
import { readingOf, sampleOf, type VmReading } from './vm-samples.ts';
import type { World } from './world.ts';

const callMs = 2;
/** Of the driver's calls: then libvirtd, or the QEMU that it asks, hangs. */
const callDeadlineMs = 10_000;
/** libvirt's keep-alive, five pings 5 s apart: then the driver's connection is dead, and its calls with it. */
const deadConnectionMs = 30_000;
const progressIntervalMs = 250;

/** One agent's connection to its host's libvirtd. Jobs belong to the daemon: they outlive the agent. */
export class SimHypervisor implements Hypervisor {
  readonly #world: World;
  readonly #host: SimHost;
  #previous: ReadonlyMap<VmId, VmReading> = new Map();

  constructor(world: World, host: SimHost) {
    this.#world = world;
    this.#host = host;
  }

  version(signal: AbortSignal): Promise<string> {
    return this.#call(signal, () => 'simulated libvirt');
  }

  listVms(signal: AbortSignal): Promise<readonly VmView[]> {
    return this.#call(signal, () => this.#seen().map(viewOf));
  }

  findVm(vmId: VmId, signal: AbortSignal): Promise<VmView | null> {
    return this.#call(signal, () => {
      const copy = this.#seen().find(({ guest }) => guest.vmId === vmId);
      return copy ? viewOf(copy) : null;
    });
  }

  sampleVms(signal: AbortSignal): Promise<readonly VmSample[]> {
    return this.#call(signal, () => {
      this.#host.accrue();
      const atMs = this.#world.time.elapsedMs;
      const active = this.#seen().filter(isActive);
      const samples = active.map((copy) => sampleOf(copy, this.#previous.get(copy.guest.vmId), atMs));
      this.#previous = new Map(active.map((copy) => [copy.guest.vmId, readingOf(copy, atMs)]));
      return samples.map((sample) => this.#host.lies.ofVm(sample));
    });
  }

  async migrate(request: JobRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> {
    const ends = await this.#call(signal, () => this.#endsOf(request));
    const { promise, resolve, reject } = Promise.withResolvers<JobOutcome>();
    const job = new MigrationJob(this.#world, ends, request, (ended) => (ended instanceof PlimsollError ? reject(ended) : resolve(ended)));
    return this.#follow(job, promise, onProgress, signal);
  }

  async recoverPostCopy(request: MigrateRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> {
    const { promise, resolve, reject } = Promise.withResolvers<JobOutcome>();
    const job = await this.#call(signal, () => {
      const { guest } = this.#mustHave(request.vmId);
      if (this.#world.jobOf(request.vmId)) throw new PlimsollError('vm-busy', `the migration of ${guest.name} is at work`);
      const broken = this.#world.brokenJobOf(request.vmId);
      if (broken?.source !== this.#host) throw new PlimsollError('hypervisor-failed', `VM ${guest.name} has no post-copy that failed`);
      broken.recover(request, (ended) => (ended instanceof PlimsollError ? reject(ended) : resolve(ended)));
      return broken;
    });
    return this.#follow(job, promise, onProgress, signal);
  }

  changeJob(vmId: VmId, change: JobChange, signal: AbortSignal): Promise<void> {
    return this.#ask(vmId, signal, () => {
      const copy = this.#mustHave(vmId);
      const job = this.#world.jobOf(vmId);
      if (job?.source !== this.#host) throw new PlimsollError('vm-busy', `libvirt has no migration of VM ${copy.guest.name} at work`);
      job.change(change);
    });
  }

  /** libvirt refuses to abort a post-copy: that would lose the VM. */
  abortJob(vmId: VmId, signal: AbortSignal): Promise<void> {
    return this.#ask(vmId, signal, () => {
      const { guest, postCopy } = this.#mustHave(vmId);
      if (postCopy !== null) throw new PlimsollError('vm-busy', `VM ${guest.name} is in post-copy: it can only go on, or be recovered`);
      const job = this.#world.jobOf(vmId);
      if (job?.source === this.#host) job.abort();
    });
  }

  /** Here both ends notice at once. */
  partFromPeer(vmId: VmId, _peerAddress: string, signal: AbortSignal): Promise<number> {
    return this.#call(signal, () => {
      const { guest, postCopy } = this.#mustHave(vmId);
      if (postCopy === null) throw new PlimsollError('vm-busy', `VM ${guest.name} is in no post-copy`);
      return 0;
    });
  }

  methodFault(options: TransferOptions, signal: AbortSignal): Promise<Refusal | null> {
    return this.#call(signal, () => methodFaultOf(options));
  }

  async lookAtMemory(vmId: VmId, forMs: number, signal: AbortSignal): Promise<MemoryLook> {
    this.#mustAnswer();
    this.#mustRun(vmId);
    const look = (): MemoryLook => {
      const { guest, computes } = this.#mustRun(vmId);
      return { forMs, bytes: computes ? dirtyAfter(guest, 0, guest.dirtyBytesPerSecond, forMs / 1000) : 0 };
    };
    // One wait, not three: every agent looks all the time.
    return this.#call(signal, look, callMs + forMs);
  }

  /** Looks here find every page. */
  memoryInUse(vmId: VmId, signal: AbortSignal): Promise<MemoryInUse> {
    return this.#call(signal, () => {
      const { residentBytes } = this.#mustRun(vmId);
      return { usedBytes: residentBytes, boundBytes: residentBytes, grainBytes: 0 };
    });
  }

  define(vmId: VmId, signal: AbortSignal): Promise<{ readonly definition: VmDefinition; readonly text: string }> {
    return this.#call(signal, () => {
      const definition = definitionOf(this.#mustHave(vmId).guest);
      return { definition, text: JSON.stringify(definition) };
    });
  }

  offerFor(
    definition: VmDefinition,
    _text: string,
    signal: AbortSignal,
  ): Promise<Omit<HostOffer, 'hostId' | 'memoryFreeBytes' | 'ownCopy'>> {
    return this.#call(signal, () => offerOf(this.#host.spec, definition));
  }

  /** The storage lock here is whoever may write: it is with the copy that runs. No daemon is asked. */
  async leasesHeld(leases: readonly VmLease[]): Promise<readonly (boolean | null)[]> {
    const running = this.#host.copies.filter(({ state }) => state === 'running').map(({ guest }) => guest.name);
    return leases.map(({ key }) => running.includes(key));
  }

  overheadCpuSeconds(vmId: VmId, signal: AbortSignal): Promise<number | null> {
    return this.#call(signal, () => this.#host.copy(vmId)?.overheadCoreSeconds ?? null);
  }

  /** The storage lock here is whoever may write: nothing can lose it. */
  relock(vmId: VmId, signal: AbortSignal): Promise<void> {
    return this.#call(signal, () => void this.#mustHave(vmId));
  }

  resume(vmId: VmId, signal: AbortSignal): Promise<void> {
    return this.#ask(vmId, signal, () => {
      const copy = this.#mustHave(vmId);
      if (copy.state !== 'paused') return;
      if (copy.postCopy !== null) throw new PlimsollError('vm-busy', `only half of VM ${copy.guest.name} is here: it cannot run`);
      if (copy.jobActive) throw new PlimsollError('vm-busy', `libvirt has a job on VM ${copy.guest.name}`);
      this.#world.act(`${copy.guest.name}: resumed on ${this.#host.hostId}`);
      this.#host.change(() => {
        copy.state = 'running';
      });
    });
  }

  destroy(vmId: VmId, signal: AbortSignal): Promise<void> {
    return this.#call(signal, () => {
      const copy = this.#mustHave(vmId);
      this.#world.act(`${copy.guest.name}: the ${copy.state} copy on ${this.#host.hostId} is removed`);
      const job = copy.postCopy === null ? undefined : this.#world.jobOf(vmId);
      if (job) job[job.source === this.#host ? 'killSource' : 'killDestination']();
      this.#host.remove(copy);
      // An incoming copy has no definition yet; any other leaves its own behind.
      if (copy.state !== 'incoming') this.#host.add(definitionLeft(copy));
    });
  }

  standing(vmId: VmId, signal: AbortSignal): Promise<VmStanding> {
    return this.#call(signal, () => {
      const copy = this.#seen().find(({ guest }) => guest.vmId === vmId);
      if (!copy) return 'absent';
      if (copy.state === 'incoming') return 'arriving';
      return copy.state === 'shut-off' ? copy.ended : 'here';
    });
  }

  /** The storage is the same for all hosts, and so is its lock. */
  start(vmId: VmId, _definitionText: string, signal: AbortSignal): Promise<void> {
    return this.#call(signal, () => {
      const guest = this.#world.guests.find((one) => one.vmId === vmId);
      if (!guest) throw new PlimsollError('input-invalid', `nobody knows VM ${vmId}`);
      const holder = this.#world.copiesOf(vmId).find(({ copy }) => isActive(copy));
      if (holder?.host === this.#host) throw new PlimsollError('vm-busy', `VM ${guest.name} runs here already`);
      if (holder) throw new PlimsollError('lock-held', `the lock of VM ${guest.name} is held by ${holder.host.hostId}`);
      this.#world.act(`${guest.name}: started on ${this.#host.hostId}`);
      this.#world.casualties.delete(vmId);
      const former = this.#host.copy(vmId);
      if (former) this.#host.remove(former);
      this.#host.add(new Copy(guest, 'running'));
    });
  }

  keepDown(_vmId: VmId, signal: AbortSignal): Promise<boolean> {
    return this.#call(signal, () => false);
  }

  /** A process is killed without libvirtd. */
  async fence(vmId: VmId, signal: AbortSignal): Promise<boolean> {
    await this.#world.time.sleep(callMs, signal);
    const copy = this.#host.copy(vmId);
    if (copy === undefined || !isActive(copy)) return false;
    this.#world.act(`${copy.guest.name}: ended on ${this.#host.hostId}`);
    this.#world.killCopy(this.#host, copy, 'crashed');
    return true;
  }

  reloadCertificates(signal: AbortSignal): Promise<void> {
    return this.#call(signal, () => undefined);
  }

  onEvent(listener: (event: HypervisorEvent) => void): () => void {
    return this.#host.libvirtd.onChange((alive) => listener({ kind: alive ? 'connected' : 'disconnected' }));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** A job that can no longer be aborted goes on to its end, whatever its caller wants. */
  async #follow(
    job: MigrationJob,
    outcome: Promise<JobOutcome>,
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<JobOutcome> {
    const abort = () => job.abort();
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    const ended = new AbortController();
    void this.#report(job, onProgress, ended.signal);
    try {
      return await this.#heard(outcome, ended.signal);
    } finally {
      ended.abort(new PlimsollError('aborted', 'the job has ended'));
      signal.removeEventListener('abort', abort);
    }
  }

  async #report(job: MigrationJob, onProgress: (progress: Progress) => void, ended: AbortSignal): Promise<void> {
    while (!ended.aborted) {
      if (this.#host.libvirtd.runs) onProgress(job.progress);
      await this.#world.time.sleep(progressIntervalMs, ended).catch(() => undefined);
    }
  }

  /** What libvirtd answers is heard when it does not stand still, and not at all when it has for so long that the connection is dead. */
  async #heard(outcome: Promise<JobOutcome>, signal: AbortSignal): Promise<JobOutcome> {
    const { standstill } = this.#host.libvirtd;
    const settled = await outcome.then(
      (value) => () => value,
      (error: unknown) => () => {
        throw error;
      },
    );
    if (standstill.paused && !(await standstill.over(this.#world.time, deadConnectionMs, signal))) throw unavailable(deadConnectionMs);
    return settled();
  }

  /** The copies that it tells of. */
  #seen(): readonly Copy[] {
    const { presence } = this.#host.lies;
    if (presence === null) return this.#host.copies;
    const isHere = this.#host.copy(presence.guest.vmId) !== undefined;
    if (presence.kind === 'hides') return this.#host.copies.filter(({ guest }) => guest !== presence.guest);
    return isHere ? this.#host.copies : [...this.#host.copies, new Copy(presence.guest, 'running')];
  }

  #endsOf(request: MigrateRequest): { readonly source: SimHost; readonly destination: SimHost; readonly copy: Copy } {
    const copy = this.#mustRun(request.vmId);
    if (copy.jobActive) throw new PlimsollError('vm-busy', `libvirt has a job on VM ${copy.guest.name} already`);
    if (request.options.method === 'save-restore')
      throw new PlimsollError('method-unsupported', 'saving and restoring is not one call of libvirt');
    const fault = methodFaultOf(request.options);
    if (fault !== null) throw new PlimsollError(fault.code, fault.message);
    const destination = this.#world.hosts.find(({ spec: { addresses } }) =>
      [addresses.protected, addresses.underlay].includes(request.peerAddress),
    );
    if (!destination) throw new PlimsollError('hypervisor-failed', `nobody has the address ${request.peerAddress}`);
    if (!destination.libvirtd.runs || !this.#world.network.reaches(this.#host.hostId, destination.hostId))
      throw new PlimsollError('hypervisor-failed', `libvirtd on ${destination.hostId} does not answer`);
    if (isActive(destination.copy(request.vmId)))
      throw new PlimsollError('hypervisor-failed', `${destination.hostId} has a VM with this UUID already`);
    return { source: this.#host, destination, copy };
  }

  #mustRun(vmId: VmId): Copy {
    const copy = this.#mustHave(vmId);
    if (copy.state !== 'running') throw new PlimsollError('vm-not-running', `VM ${copy.guest.name} is ${copy.state}: start it first`);
    return copy;
  }

  #mustHave(vmId: VmId): Copy {
    const copy = this.#host.copy(vmId);
    if (!copy) throw new PlimsollError('vm-unknown', `this host has no VM ${vmId}`);
    return copy;
  }

  async #call<Value>(signal: AbortSignal, act: () => Value, tookMs = callMs): Promise<Value> {
    const { time } = this.#world;
    const { standstill } = this.#host.libvirtd;
    await time.sleep(tookMs, signal);
    if (standstill.paused && !(await standstill.over(time, callDeadlineMs, signal))) throw unavailable(callDeadlineMs);
    this.#mustAnswer();
    return act();
  }

  /** A call that libvirtd passes on to the QEMU of this VM. */
  async #ask<Value>(vmId: VmId, signal: AbortSignal, act: () => Value): Promise<Value> {
    const qemu = await this.#call(signal, () => this.#host.copy(vmId)?.standstill);
    if (qemu?.paused === true && !(await qemu.over(this.#world.time, callDeadlineMs, signal))) throw unavailable(callDeadlineMs);
    this.#mustAnswer();
    return act();
  }

  #mustAnswer(): void {
    if (!this.#host.libvirtd.alive) throw new PlimsollError('hypervisor-unavailable', 'libvirtd does not answer: start it');
  }
}

function unavailable(ms: number): PlimsollError {
  return new PlimsollError('hypervisor-unavailable', `libvirtd did not answer within ${ms} ms; check its load and log`);
}

function isActive(copy: Copy | undefined): boolean {
  return copy !== undefined && copy.state !== 'shut-off';
}

function definitionLeft({ guest }: Copy): Copy {
  const left = new Copy(guest, 'shut-off');
  left.ended = 'stopped';
  return left;
}

function viewOf(copy: Copy): VmView {
  const { vmId, name, vcpus, memoryBytes } = copy.guest;
  return {
    vmId,
    name,
    state: copy.state,
    vcpus,
    memoryBytes: bytes(memoryBytes),
    persistent: true,
    jobActive: copy.jobActive,
    postCopy: copy.postCopy,
  };
}
