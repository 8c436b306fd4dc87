import type { JobOutcome, Progress } from '#core/model/migration.ts';
import { PlimsollError } from '#core/model/result.ts';
import { bytes, cores } from '#core/model/units.ts';
import type { VmId, VmSample, VmView } from '#core/model/vm.ts';
import type { Hypervisor, HypervisorEvent, MigrateRequest } from '#core/ports.ts';
import { Copy } from './guest.ts';
import type { SimHost } from './host.ts';
import { MigrationJob } from './migration-job.ts';
import type { World } from './world.ts';

const callMs = 2;
const progressIntervalMs = 250;

interface Reading {
  readonly copy: Copy;
  readonly atMs: number;
  readonly cpuCoreSeconds: number;
  readonly delayCoreSeconds: number;
}

/** One agent's connection to its host's libvirtd. Jobs belong to the daemon: they outlive the agent. */
export class SimHypervisor implements Hypervisor {
  readonly #world: World;
  readonly #host: SimHost;
  #previous: ReadonlyMap<VmId, Reading> = new Map();

  constructor(world: World, host: SimHost) {
    this.#world = world;
    this.#host = host;
  }

  version(signal: AbortSignal): Promise<string> {
    return this.#call(signal, () => 'simulated libvirt');
  }

  listVms(signal: AbortSignal): Promise<readonly VmView[]> {
    return this.#call(signal, () => this.#host.copies.map(viewOf));
  }

  findVm(vmId: VmId, signal: AbortSignal): Promise<VmView | null> {
    return this.#call(signal, () => {
      const copy = this.#host.copy(vmId);
      return copy ? viewOf(copy) : null;
    });
  }

  sampleVms(signal: AbortSignal): Promise<readonly VmSample[]> {
    return this.#call(signal, () => {
      this.#host.accrue();
      const atMs = this.#world.time.elapsedMs;
      const active = this.#host.copies.filter(isActive);
      const samples = active.map((copy) => sampleOf(copy, this.#previous.get(copy.guest.vmId), atMs));
      this.#previous = new Map(active.map((copy) => [copy.guest.vmId, { copy, atMs, ...countersOf(copy) }]));
      return samples;
    });
  }

  /** `isForwarded`: through a tunnel of ssh, which is no plain text and no business of a guard. */
  async migrate(
    request: MigrateRequest & { readonly isForwarded?: boolean },
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<JobOutcome> {
    const { source, destination, copy } = await this.#call(signal, () => this.#endsOf(request));
    if (!destination.libvirtd.alive || !this.#world.network.reaches(source.hostId, destination.hostId)) {
      throw new PlimsollError('hypervisor-failed', `libvirtd on ${destination.hostId} does not answer`);
    }
    if (isActive(destination.copy(request.vmId))) {
      throw new PlimsollError('hypervisor-failed', `${destination.hostId} has a VM with this UUID already`);
    }
    const { promise, resolve, reject } = Promise.withResolvers<JobOutcome>();
    const job = new MigrationJob(this.#world, { source, destination, copy }, request, (ended) =>
      ended instanceof PlimsollError ? reject(ended) : resolve(ended),
    );
    const abort = () => job.abort();
    signal.addEventListener('abort', abort, { once: true });
    const ended = new AbortController();
    void this.#report(job, onProgress, ended.signal);
    try {
      return await promise;
    } finally {
      ended.abort(new PlimsollError('aborted', 'the job has ended'));
      signal.removeEventListener('abort', abort);
    }
  }

  abortJob(vmId: VmId, signal: AbortSignal): Promise<void> {
    return this.#call(signal, () => {
      this.#mustHave(vmId);
      const job = this.#world.jobOf(vmId);
      if (job?.source === this.#host) job.abort();
    });
  }

  resume(vmId: VmId, signal: AbortSignal): Promise<void> {
    return this.#call(signal, () => {
      const copy = this.#mustHave(vmId);
      if (copy.state !== 'paused') return;
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
      this.#host.remove(copy);
      // An incoming copy has no definition yet; any other leaves its own behind.
      if (copy.state !== 'incoming') this.#host.add(new Copy(copy.guest, 'shut-off'));
    });
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

  async #report(job: MigrationJob, onProgress: (progress: Progress) => void, ended: AbortSignal): Promise<void> {
    while (!ended.aborted) {
      onProgress(job.progress);
      await this.#world.time.sleep(progressIntervalMs, ended).catch(() => undefined);
    }
  }

  #endsOf(request: MigrateRequest): { readonly source: SimHost; readonly destination: SimHost; readonly copy: Copy } {
    const copy = this.#mustHave(request.vmId);
    if (copy.state !== 'running') throw new PlimsollError('vm-not-running', `VM ${copy.guest.name} is ${copy.state}: start it first`);
    if (copy.jobActive) throw new PlimsollError('vm-busy', `libvirt has a job on VM ${copy.guest.name} already`);
    const destination = this.#world.hosts.find(({ spec: { addresses } }) =>
      [addresses.protected, addresses.underlay].includes(request.peerAddress),
    );
    if (!destination) throw new PlimsollError('hypervisor-failed', `nobody has the address ${request.peerAddress}`);
    return { source: this.#host, destination, copy };
  }

  #mustHave(vmId: VmId): Copy {
    const copy = this.#host.copy(vmId);
    if (!copy) throw new PlimsollError('vm-unknown', `this host has no VM ${vmId}`);
    return copy;
  }

  async #call<Value>(signal: AbortSignal, act: () => Value): Promise<Value> {
    await this.#world.time.sleep(callMs, signal);
    if (!this.#host.libvirtd.alive) throw new PlimsollError('hypervisor-unavailable', 'libvirtd does not answer: start it');
    return act();
  }
}

function isActive(copy: Copy | undefined): boolean {
  return copy !== undefined && copy.state !== 'shut-off';
}

function viewOf(copy: Copy): VmView {
  const { vmId, name, vcpus, memoryBytes } = copy.guest;
  return { vmId, name, state: copy.state, vcpus, memoryBytes: bytes(memoryBytes), persistent: true, jobActive: copy.jobActive };
}

function countersOf(copy: Copy): Pick<Reading, 'cpuCoreSeconds' | 'delayCoreSeconds'> {
  return { cpuCoreSeconds: copy.cpuCoreSeconds, delayCoreSeconds: copy.delayCoreSeconds };
}

function sampleOf(copy: Copy, previous: Reading | undefined, atMs: number): VmSample {
  const known = previous?.copy === copy && atMs > previous.atMs ? previous : null;
  const rate = (name: 'cpuCoreSeconds' | 'delayCoreSeconds') =>
    known && cores(Math.max(0, (copy[name] - known[name]) / ((atMs - known.atMs) / 1000)));
  const { vmId, name, vcpus, memoryBytes } = copy.guest;
  return {
    vmId,
    name,
    state: copy.state,
    vcpus,
    memoryBytes: bytes(memoryBytes),
    memoryResidentBytes: bytes(copy.residentBytes),
    cpuUsedCores: rate('cpuCoreSeconds'),
    cpuDelayCores: rate('delayCoreSeconds'),
    netReceivedBytesPerSecond: known && 0,
    netSentBytesPerSecond: known && 0,
    diskReadBytesPerSecond: known && 0,
    diskWrittenBytesPerSecond: known && 0,
  };
}
