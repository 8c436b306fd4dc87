import { dirname, join } from 'node:path';

import type { JobOutcome, Progress } from '#core/model/migration.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { VmId, VmSample, VmView } from '#core/model/vm.ts';
import type { Hypervisor, HypervisorEvent, MigrateRequest } from '#core/ports.ts';

import { updateTlsFiles, type AdminOptions } from './admin-client.ts';
import { openUnixSocket, type LibvirtClient, type LongWait, type Wait } from './client.ts';
import { LibvirtError } from './errors.ts';
import type { LibvirtEvent } from './events.ts';
import { domainState, eventId, jobType, listFlag, serverFault, statsFlag, statsGroup } from './flags.ts';
import type { KeepAliveOptions } from './keep-alive.ts';
import { LibvirtImages } from './images.ts';
import { Link, type LinkOptions } from './link.ts';
import {
  bracketed,
  defaultMigrationRun,
  migrateArguments,
  MigrationRun,
  type MigrationForward,
  type MigrationRunOptions,
} from './migration-run.ts';
import { toPlimsollError } from './refusals.ts';
import type { DomainRef } from './values.ts';
import { readVmFacts, toVmView, VmSampler, type VmFacts } from './vm-stats.ts';

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
  /** Monotonic milliseconds. */
  readonly monotonicMs?: () => number;
}

/** A migration that goes through a forward of this host instead of straight to the peer's address. */
export type ThroughRequest = MigrateRequest & { readonly through?: MigrationForward };

/** The hypervisor port, and what channels other than IPsec need beyond it. */
export interface LibvirtDriver extends Hypervisor {
  readonly images: LibvirtImages;
  migrate(request: ThroughRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome>;
}

/** One of the four places of the work connection stays free for `resume` and `destroy`. */
const migrationsMax = 3;
const viewGroups = statsGroup.state | statsGroup.balloon | statsGroup.vcpu;
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
  #migrations = 0;

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
    this.images = new LibvirtImages({ work: this.#work, watch: this.#watch }, { saveFolder, run: runOptions(options) });
  }

  async version(signal: AbortSignal): Promise<string> {
    return this.#watched(signal, async (client, wait) => {
      const libvirt = dotted(await client.libVersion(wait));
      const type = await client.type(wait);
      return `libvirt ${libvirt}, ${type} ${dotted(await client.version(wait))}`;
    });
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
    if (this.#migrations >= migrationsMax) {
      throw new PlimsollError('migration-limit', `${migrationsMax} migrations already leave this host; wait until one has ended`);
    }
    this.#migrations += 1;
    try {
      const watch = await this.#watch.client(signal);
      const work = await this.#work.client(signal);
      const domain = await this.#running(watch, request.vmId, { signal });
      if ((await jobOf(watch, domain, { signal })) !== 'none') {
        throw new PlimsollError('vm-busy', `libvirt already has a job on VM ${domain.name}; wait until it has ended, or abort it`);
      }
      const persistent = await watch.isPersistent(domain, { signal });
      // QEMU keeps the value until the next migration, so it is in force from the first iteration on.
      await watch.migrateSetMaxDowntime(domain, request.downtimeMsMax, { signal }).catch(unlessUnsupported);
      const { through } = request;
      const destinationUri = through === undefined ? (this.#options.destinationUri ?? this.#tlsUri)(request) : socketUri(through);
      const dataPort = through === undefined ? {} : { dataPort: through.dataPort };
      const perform = migrateArguments(domain, request, { persistent, destinationUri, ...dataPort });
      const job = { domain, call: async (client: LibvirtClient, wait: LongWait) => client.migrate(perform, wait) };
      const run = new MigrationRun({ work, watch: async (wait) => this.#watch.client(wait) }, job, runOptions(this.#options));
      return await run.run(onProgress, signal);
    } catch (error) {
      throw toPlimsollError(error);
    } finally {
      this.#migrations -= 1;
    }
  }

  async abortJob(vmId: VmId, signal: AbortSignal): Promise<void> {
    return this.#watched(signal, async (client, wait) => {
      const domain = await client.lookupByUuid(vmId, wait);
      // Nothing to abort is what the caller wants; libvirt would call it an error.
      if ((await jobOf(client, domain, wait)) !== 'none') await client.abortJob(domain, wait);
    });
  }

  async resume(vmId: VmId, signal: AbortSignal): Promise<void> {
    return this.#worked(signal, async (client, wait) => {
      const domain = await this.#running(client, vmId, wait);
      if ((await client.state(domain, wait)).state !== domainState.running) await client.resume(domain, wait);
    });
  }

  async destroy(vmId: VmId, signal: AbortSignal): Promise<void> {
    return this.#worked(signal, async (client, wait) => {
      const domain = await client.lookupByUuid(vmId, wait);
      if (domain.id >= 0) await client.destroy(domain, 0, wait);
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

  async #running(client: LibvirtClient, vmId: VmId, wait: Wait): Promise<DomainRef> {
    const domain = await client.lookupByUuid(vmId, wait);
    if (domain.id < 0) throw new PlimsollError('vm-not-running', `VM ${domain.name} is not running on this host; start it first`);
    return domain;
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

/** libvirt's remote driver over a Unix socket; the socket leads to the peer's daemon. */
function socketUri({ controlSocket }: MigrationForward): string {
  return `qemu+unix:///system?socket=${encodeURIComponent(controlSocket)}`;
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

/**
 * Whether libvirt is at work on a domain. The destination of a migration refuses to tell job statistics
 * (VIR_ERR_OPERATION_UNSUPPORTED), which is how an incoming copy is told from a paused one.
 */
async function jobOf(client: LibvirtClient, domain: DomainRef, wait: Wait): Promise<'none' | 'active' | 'incoming'> {
  if (domain.id < 0) return 'none';
  try {
    const { type } = await client.jobStats(domain, 0, wait);
    return type === jobType.none ? 'none' : 'active';
  } catch (error) {
    if (!(error instanceof LibvirtError)) throw error;
    if (error.server?.code === serverFault.operationUnsupported) return 'incoming';
    // libvirt could not even look, for a job that does not let go.
    if (error.code === 'vm-busy') return 'active';
    // It stopped or left in between, or this hypervisor has no jobs.
    if (error.code === 'invalid-state' || error.code === 'no-such-vm' || error.code === 'unsupported') return 'none';
    throw error;
  }
}

function unlessUnsupported(error: unknown): void {
  if (!(error instanceof LibvirtError) || error.code !== 'unsupported') throw error;
}

/** libvirt packs versions as 1,000,000 * major + 1,000 * minor + release. */
function dotted(packed: bigint): string {
  return `${packed / 1_000_000n}.${(packed / 1_000n) % 1_000n}.${packed % 1_000n}`;
}
