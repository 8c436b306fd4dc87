import { dirname, join } from 'node:path';

import type { VmDefinition, VmLease } from '#core/model/definition.ts';
import type { MemoryInUse, MemoryLook } from '#core/model/forecast.ts';
import type { TransferOptions } from '#core/model/method.ts';
import type { JobOutcome, Progress } from '#core/model/migration.ts';
import type { VmStanding } from '#core/model/recovery.ts';
import { PlimsollError, type Refusal } from '#core/model/result.ts';
import type { VmId, VmSample, VmView } from '#core/model/vm.ts';
import type { Hypervisor, HypervisorEvent, JobChange, MigrateRequest } from '#core/ports.ts';

import { updateTlsFiles, type AdminOptions } from './admin-client.ts';
import { openUnixSocket, type LibvirtClient, type Wait } from './client.ts';
import { readDefinition } from './definition.ts';
import { destroyVm } from './destroy-vm.ts';
import { jobOf, runningDomain } from './domain-look.ts';
import { LibvirtError } from './errors.ts';
import type { LibvirtEvent } from './events.ts';
import { domainState, eventId, listFlag, serverFault, statsFlag, statsGroup, xmlFlag } from './flags.ts';
import { offerOf, type DriverOffer } from './host-offer.ts';
import type { KeepAliveOptions } from './keep-alive.ts';
import { LibvirtImages } from './images.ts';
import { endConnections } from './stream-connections.ts';
import { holdsLease } from './lease-holders.ts';
import { Link, type LinkOptions } from './link.ts';
import { lookAtMemory, memoryInUse } from './memory-look.ts';
import { dotted, methodFaultOf, type HypervisorVersions } from './method-fault.ts';
import { bracketed } from './migrate-arguments.ts';
import { defaultMigrationRun, type MigrationRunOptions } from './migration-run.ts';
import { toPlimsollError } from './refusals.ts';
import { destroyIfThere, keepDown, standingOf, startVm } from './start-vm.ts';
import { hostSurroundings, type Surroundings } from './surroundings.ts';
import { LibvirtTransfers, unlessUnsupported, type ThroughRequest } from './transfers.ts';
import type { DomainRef } from './values.ts';
import { killVmProcesses, systemProcesses } from './vm-process.ts';
import { overheadSeconds, postCopyOf, readVmFacts, toVmView, viewGroups, VmSampler, type VmFacts } from './vm-stats.ts';

export interface LibvirtHypervisorOptions {
  /** Such as `/run/libvirt/libvirt-sock`. */
  readonly socketPath: string;
  /** Such as `qemu:///system`. */
  readonly uri: string;
  /** Folder with cacert.pem, clientcert.pem and clientkey.pem, with which the local daemon shows itself to the peer's. */
  readonly pkiPath: string;
  /** Where the daemon's TLS listener is administered; by default `libvirtd` at `libvirt-admin-sock` beside `socketPath`. */
  readonly admin?: Pick<AdminOptions, 'socketPath' | 'server'>;
  /** Where the daemon keeps managed saved images; the default is that of the system's libvirtd. */
  readonly saveFolder?: string;
  readonly callDeadlineMs?: number;
  readonly connectDeadlineMs?: number;
  readonly backoffMs?: { readonly first: number; readonly max: number };
  readonly keepAlive?: KeepAliveOptions;
  readonly migrationRun?: Partial<MigrationRunOptions>;
  /** Where a peer's daemon listens; the default is `qemu+tls` to the peer's address. */
  readonly destinationUri?: (request: MigrateRequest) => string;
  /** What libvirt does not tell of this host; the default looks at it. */
  readonly surroundings?: Surroundings;
  /** Monotonic milliseconds. */
  readonly monotonicMs?: () => number;
}

export type { ThroughRequest } from './transfers.ts';

/** The hypervisor port, and what channels other than IPsec need beyond it. */
export interface LibvirtDriver extends Hypervisor {
  readonly images: LibvirtImages;
  migrate(request: ThroughRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome>;
}

const sampleGroups = viewGroups | statsGroup.cpu | statsGroup.interface | statsGroup.block;

/**
 * The hypervisor port on a libvirtd. Connects at once, in the background, and again whenever the daemon comes back; two
 * connections, because a migration is one call that takes minutes: `work` carries those, `watch` everything that must stay quick.
 */
export function createLibvirtHypervisor(options: LibvirtHypervisorOptions): LibvirtDriver {
  return new LibvirtHypervisor(options);
}

class LibvirtHypervisor implements LibvirtDriver {
  readonly images: LibvirtImages;
  readonly #options: LibvirtHypervisorOptions;
  readonly #listeners = new Set<(event: HypervisorEvent) => void>();
  readonly #sampler = new VmSampler();
  readonly #work: Link;
  readonly #watch: Link;
  readonly #transfers: LibvirtTransfers;
  readonly #surroundings: Surroundings;

  constructor(options: LibvirtHypervisorOptions) {
    this.#options = options;
    this.#work = new Link({ ...linkOptions(options), prepare: async () => undefined, onUp: () => undefined, onDown: () => undefined });
    this.#watch = new Link({
      ...linkOptions(options),
      prepare: async (client, signal) => this.#subscribe(client, signal),
      onUp: () => this.#emit({ kind: 'connected' }),
      onDown: () => this.#emit({ kind: 'disconnected' }),
    });
    const saveFolder = options.saveFolder ?? '/var/lib/libvirt/qemu/save';
    const links = { work: this.#work, watch: this.#watch };
    this.images = new LibvirtImages(links, { saveFolder, run: runOptions(options) });
    this.#transfers = new LibvirtTransfers(links, { run: runOptions(options), destinationUri: options.destinationUri ?? this.#tlsUri });
    this.#surroundings = options.surroundings ?? hostSurroundings();
  }

  async version(signal: AbortSignal): Promise<string> {
    const { libvirt, type, hypervisor } = await this.#versions(signal);
    return `libvirt ${dotted(libvirt)}, ${type} ${dotted(hypervisor)}`;
  }

  async listVms(signal: AbortSignal): Promise<readonly VmView[]> {
    return this.#watched(signal, async (client, wait) => {
      const records = await client.allDomainStats({ stats: viewGroups, flags: statsFlag.noWait }, wait);
      const persistent = new Set((await client.listAllDomains(listFlag.persistent, wait)).map((domain) => domain.uuid));
      const views: VmView[] = [];
      for (const record of records) {
        const job = await jobOf(client, record.domain, wait);
        views.push(toVmView(readVmFacts(record), { persistent: persistent.has(record.domain.uuid), job }));
      }
      return views;
    });
  }

  async findVm(vmId: VmId, signal: AbortSignal): Promise<VmView | null> {
    try {
      return await this.#watched(signal, async (client, wait) => {
        const domain = await client.lookupByUuid(vmId, wait);
        const facts = await factsOf(client, domain, wait);
        return toVmView(facts, { persistent: await client.isPersistent(domain, wait), job: await jobOf(client, domain, wait) });
      });
    } catch (error) {
      if (error instanceof PlimsollError && error.code === 'vm-unknown') return null;
      throw error;
    }
  }

  async sampleVms(signal: AbortSignal): Promise<readonly VmSample[]> {
    return this.#watched(signal, async (client, wait) => {
      const flags = statsFlag.active | statsFlag.noWait;
      const records = await client.allDomainStats({ stats: sampleGroups, flags }, wait);
      const nowMs = (this.#options.monotonicMs ?? performance.now.bind(performance))();
      return this.#sampler.sample(records.map(readVmFacts), nowMs);
    });
  }

  async migrate(request: ThroughRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> {
    await this.#mustBePossible(request.options, signal);
    return this.#transfers.migrate(request, onProgress, signal);
  }

  async recoverPostCopy(request: ThroughRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> {
    await this.#mustBePossible(request.options, signal);
    return this.#transfers.recover(request, onProgress, signal);
  }

  async partFromPeer(vmId: VmId, peerAddress: string, signal: AbortSignal): Promise<number> {
    return this.#watched(signal, async (client, wait) => {
      const domain = await runningDomain(client, vmId, wait);
      if (postCopyOf(await client.state(domain, wait)) !== null) return endConnections(vmId, peerAddress, signal);
      throw new PlimsollError('vm-busy', `VM ${domain.name} is in no post-copy on this host; ask both hosts where it runs`);
    });
  }

  async changeJob(vmId: VmId, change: JobChange, signal: AbortSignal): Promise<void> {
    return this.#transfers.change(vmId, change, signal);
  }

  async methodFault(options: TransferOptions, signal: AbortSignal): Promise<Refusal | null> {
    return methodFaultOf(options, await this.#versions(signal));
  }

  async lookAtMemory(vmId: VmId, forMs: number, signal: AbortSignal): Promise<MemoryLook> {
    return this.#watched(signal, async (client) => lookAtMemory(client, await runningDomain(client, vmId, { signal }), forMs, { signal }));
  }

  async memoryInUse(vmId: VmId, signal: AbortSignal): Promise<MemoryInUse> {
    return this.#watched(signal, async (client, wait) => memoryInUse(client, await runningDomain(client, vmId, wait), wait));
  }

  async define(vmId: VmId, signal: AbortSignal): Promise<{ readonly definition: VmDefinition; readonly text: string }> {
    return this.#watched(signal, async (client, wait) => {
      const domain = await client.lookupByUuid(vmId, wait);
      const text = await client.xmlDesc(domain, xmlFlag.migratable, wait);
      return { definition: readDefinition(text, await client.isPersistent(domain, wait)), text };
    });
  }

  async offerFor(definition: VmDefinition, text: string, signal: AbortSignal): Promise<DriverOffer> {
    return this.#watched(signal, async (client) => offerOf(client, this.#surroundings, { definition, text }, { signal }));
  }

  async leasesHeld(leases: readonly VmLease[]): Promise<readonly (boolean | null)[]> {
    return Promise.all(leases.map(async (lease) => holdsLease(lease)));
  }

  async overheadCpuSeconds(vmId: VmId, signal: AbortSignal): Promise<number | null> {
    try {
      return await this.#watched(signal, async (client, wait) => {
        const domain = await client.lookupByUuid(vmId, wait);
        const request = { domains: [domain], stats: statsGroup.cpu | statsGroup.vcpu, flags: statsFlag.noWait };
        const [record] = domain.id < 0 ? [] : await client.allDomainStats(request, wait);
        return record === undefined ? null : overheadSeconds(record.params);
      });
    } catch (error) {
      if (error instanceof PlimsollError && error.code === 'vm-unknown') return null;
      throw error;
    }
  }

  async abortJob(vmId: VmId, signal: AbortSignal): Promise<void> {
    return this.#watched(signal, async (client, wait) => {
      const domain = await client.lookupByUuid(vmId, wait);
      // Nothing to abort is what the caller wants; libvirt would call it an error.
      if ((await jobOf(client, domain, wait)) === 'none') return;
      if (postCopyOf(await client.state(domain, wait)) !== null) {
        throw new PlimsollError('vm-busy', `VM ${domain.name} is in post-copy and cannot come back; let it arrive, or recover it`);
      }
      await client.abortJob(domain, wait);
    });
  }

  async resume(vmId: VmId, signal: AbortSignal): Promise<void> {
    return this.#worked(signal, async (client, wait) => {
      const domain = await runningDomain(client, vmId, wait);
      const state = await client.state(domain, wait);
      // Half of its memory is on another host, where it may be running.
      if (postCopyOf(state) !== null) throw new PlimsollError('vm-busy', `VM ${domain.name} is in post-copy; recover that, or let it end`);
      if (state.state !== domainState.running) await client.resume(domain, wait);
    });
  }

  /**
   * libvirt gives the locks up as QEMU stops the VM for the last round, and takes them as libvirt resumes it; QEMU that resumes by itself
   * after a cancel leaves it without them. Seen with libvirt 9.0: the VM could then be started on another host. A halt and a resume of
   * libvirt's own take them again.
   */
  async relock(vmId: VmId, signal: AbortSignal): Promise<void> {
    return this.#worked(signal, async (client, wait) => {
      const domain = await runningDomain(client, vmId, wait);
      const state = await client.state(domain, wait);
      if (postCopyOf(state) !== null) throw new PlimsollError('vm-busy', `VM ${domain.name} is in post-copy; recover that, or let it end`);
      if (state.state === domainState.running) await client.suspend(domain, wait);
      try {
        await client.resume(domain, wait);
      } catch (error) {
        if (!(error instanceof LibvirtError) || error.server?.code !== serverFault.resourceBusy) throw error;
        throw new PlimsollError('lock-held', `VM ${domain.name} is halted: another host holds its storage lock (${error.message})`, {
          cause: error,
        });
      }
    });
  }

  async destroy(vmId: VmId, signal: AbortSignal): Promise<void> {
    return this.#worked(signal, async (client, wait) => destroyVm(client, vmId, wait));
  }

  async standing(vmId: VmId, signal: AbortSignal): Promise<VmStanding> {
    return this.#watched(signal, async (client, wait) => standingOf(client, vmId, wait));
  }

  async start(vmId: VmId, definitionText: string, signal: AbortSignal): Promise<void> {
    return this.#worked(signal, async (client, wait) => startVm(client, vmId, definitionText, wait));
  }

  async keepDown(vmId: VmId, signal: AbortSignal): Promise<boolean> {
    return this.#watched(signal, async (client, wait) => keepDown(client, vmId, wait));
  }

  async fence(vmId: VmId, signal: AbortSignal): Promise<boolean> {
    // Its process needs no daemon to be ended. The daemon is asked only where there is none: a domain of another kind, or a test.
    if (await killVmProcesses(vmId, systemProcesses, signal)) return true;
    return this.#watched(signal, async (client, wait) => destroyIfThere(client, vmId, wait)).catch((error: unknown) => {
      if (error instanceof PlimsollError && error.code === 'hypervisor-unavailable') return false;
      throw error;
    });
  }

  async reloadCertificates(signal: AbortSignal): Promise<void> {
    const admin = this.#options.admin ?? { socketPath: join(dirname(this.#options.socketPath), 'libvirt-admin-sock'), server: 'libvirtd' };
    try {
      // A daemon without TLS listener shows no certificate to anybody: nothing to do.
      await updateTlsFiles({ ...admin, callDeadlineMs: this.#options.callDeadlineMs ?? 10_000 }, signal);
    } catch (error) {
      throw await this.#reloadFailure(error, admin.socketPath, signal);
    }
  }

  onEvent(listener: (event: HypervisorEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    await Promise.all([this.#work.close(), this.#watch.close()]);
    this.#listeners.clear();
  }

  readonly #tlsUri = (request: MigrateRequest): string =>
    `qemu+tls://${bracketed(request.peerAddress)}/system?pkipath=${encodeURIComponent(this.#options.pkiPath)}`;

  /** A daemon that is away reads its files when it comes back; one that is there and did not read them is a fault to mend. */
  async #reloadFailure(cause: unknown, socketPath: string, signal: AbortSignal): Promise<PlimsollError> {
    const failure = toPlimsollError(cause);
    if (failure.code === 'aborted') return failure;
    const isThere = await this.version(signal).then(
      () => true,
      () => false,
    );
    if (!isThere) return failure;
    const advice =
      'its TLS identity stays the old one until it restarts: check that the admin socket is enabled (libvirtd-admin.socket), and that ' +
      '/etc/pki/CA/cacert.pem, /etc/pki/libvirt/servercert.pem and /etc/pki/libvirt/private/serverkey.pem link to this identity';
    const message = `libvirtd did not reload its certificates (${socketPath}): ${failure.message}; ${advice}`;
    return new PlimsollError('hypervisor-failed', message, { cause });
  }

  async #subscribe(client: LibvirtClient, signal: AbortSignal): Promise<void> {
    for (const id of [eventId.lifecycle, eventId.jobCompleted]) {
      // A driver without this kind of event (as libvirt's test driver) is polled only.
      await client.registerEvent(id, null, { signal }).catch(unlessUnsupported);
    }
    client.onEvent((event) => this.#forward(event, client));
  }

  #forward(event: LibvirtEvent, client: LibvirtClient): void {
    // The daemon lives but lost its hypervisor: a new connection is the way back.
    if (event.kind === 'connection-closed') client.abandon();
    else this.#emit({ kind: 'vm-changed', vmId: event.domain.uuid });
  }

  #emit(event: HypervisorEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  async #versions(signal: AbortSignal): Promise<HypervisorVersions> {
    return this.#watched(signal, async (client, wait) => ({
      type: await client.type(wait),
      libvirt: Number(await client.libVersion(wait)),
      hypervisor: Number(await client.version(wait)),
    }));
  }

  async #mustBePossible(options: TransferOptions, signal: AbortSignal): Promise<void> {
    if (options.method === 'save-restore') {
      throw new PlimsollError('method-unsupported', 'save-restore is no migration of the hypervisor; save the VM and restore it');
    }
    const fault = await this.methodFault(options, signal);
    if (fault !== null) throw new PlimsollError(fault.code, fault.message);
  }

  async #watched<T>(signal: AbortSignal, use: (client: LibvirtClient, wait: Wait) => Promise<T>): Promise<T> {
    return over(this.#watch, signal, use);
  }

  async #worked<T>(signal: AbortSignal, use: (client: LibvirtClient, wait: Wait) => Promise<T>): Promise<T> {
    return over(this.#work, signal, use);
  }
}

async function over<T>(link: Link, signal: AbortSignal, use: (client: LibvirtClient, wait: Wait) => Promise<T>): Promise<T> {
  try {
    return await use(await link.client(signal), { signal });
  } catch (error) {
    throw toPlimsollError(error);
  }
}

function runOptions(options: LibvirtHypervisorOptions): MigrationRunOptions {
  return { ...defaultMigrationRun, ...options.migrationRun };
}

function linkOptions(options: LibvirtHypervisorOptions): Omit<LinkOptions, 'prepare' | 'onUp' | 'onDown'> {
  return {
    uri: options.uri,
    openStream: async (signal) => openUnixSocket(options.socketPath, signal),
    backoffMs: options.backoffMs ?? { first: 100, max: 5_000 },
    connectDeadlineMs: options.connectDeadlineMs ?? 10_000,
    callDeadlineMs: options.callDeadlineMs ?? 10_000,
    ...(options.keepAlive === undefined ? {} : { keepAlive: options.keepAlive }),
  };
}

async function factsOf(client: LibvirtClient, domain: DomainRef, wait: Wait): Promise<VmFacts> {
  const [record] = await client.allDomainStats({ domains: [domain], stats: viewGroups, flags: statsFlag.noWait }, wait);
  if (record === undefined) throw new LibvirtError('no-such-vm', `VM ${domain.name} left this host`);
  return readVmFacts(record);
}
