import { connect } from 'node:net';
import type { Duplex } from 'node:stream';

import { Connection, type CallOptions, type ConnectionCounters, type ConnectionOptions } from './connection.ts';
import { LibvirtError } from './errors.ts';
import type { LibvirtEvent } from './events.ts';
import { feature, migrateFlag } from './flags.ts';
import * as rpc from './procedures.ts';
import type { DomainRef } from './values.ts';

export interface ClientOptions extends ConnectionOptions {
  /** Such as `qemu:///system`; null lets the daemon choose. */
  readonly uri: string | null;
  /** Deadline of calls that do not name their own. */
  readonly callDeadlineMs?: number;
}

/** Per call: an own deadline, and a signal that ends the wait. */
export interface Wait {
  readonly signal?: AbortSignal;
  readonly deadlineMs?: number;
}

/** Of a call that takes minutes. */
export type LongWait = Wait & { readonly deadlineMs: number };

/** REMOTE_AUTH_*. */
const authType = { none: 0, polkit: 2 } as const;

/** Opens a UNIX socket. Rejects with `connect-failed`, or `aborted`. */
export async function openUnixSocket(socketPath: string, signal: AbortSignal): Promise<Duplex> {
  if (signal.aborted) throw new LibvirtError('aborted', 'connecting to libvirtd was given up', { cause: signal.reason });
  const socket = connect({ path: socketPath });
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
  const onAbort = (): void => reject(new LibvirtError('aborted', 'connecting to libvirtd was given up', { cause: signal.reason }));
  const onError = (cause: Error): void =>
    reject(
      new LibvirtError('connect-failed', `no libvirtd answers at ${socketPath}; check that it runs and that we may open its socket`, {
        cause,
      }),
    );
  signal.addEventListener('abort', onAbort, { once: true });
  socket.once('connect', () => resolve(socket));
  socket.once('error', onError);
  try {
    return await promise;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    socket.removeListener('error', onError);
  }
}

/** libvirt's remote procedures as methods. Every one rejects with `LibvirtError`; see `LibvirtErrorCode`. */
export class LibvirtClient {
  readonly #connection: Connection;
  readonly #callDeadlineMs: number;

  private constructor(connection: Connection, callDeadlineMs: number) {
    this.#connection = connection;
    this.#callDeadlineMs = callDeadlineMs;
  }

  /** Authenticates and opens the hypervisor over `stream`; on failure the stream is closed. */
  static async open(stream: Duplex, options: ClientOptions, signal?: AbortSignal): Promise<LibvirtClient> {
    const client = new LibvirtClient(new Connection(stream, options), options.callDeadlineMs ?? 10_000);
    const wait = signal === undefined ? {} : { signal };
    try {
      await client.#authenticate(wait);
      await client.#call(rpc.connectOpen, { uri: options.uri, flags: 0 }, wait);
      if (await client.#call(rpc.supportsFeature, feature.programKeepAlive, wait)) client.#connection.startKeepAlive();
    } catch (error) {
      client.abandon();
      throw error;
    }
    return client;
  }

  /** Resolves, once, when the connection is gone, with the reason. */
  get lost(): Promise<LibvirtError> {
    return this.#connection.lost;
  }

  get isLost(): boolean {
    return this.#connection.isLost;
  }

  get counters(): ConnectionCounters {
    return this.#connection.counters;
  }

  onEvent(listener: (event: LibvirtEvent) => void): () => void {
    return this.#connection.onEvent(listener);
  }

  /** Says good-bye to the daemon (bounded by `deadlineMs`) and closes. Never rejects. */
  async close(wait: Wait = { deadlineMs: 1_000 }): Promise<void> {
    if (!this.isLost) await this.#call(rpc.connectClose, undefined, wait).catch(() => undefined);
    this.#connection.close();
  }

  /** Closes at once, without a word to the daemon. */
  abandon(): void {
    this.#connection.close();
  }

  async type(wait?: Wait): Promise<string> {
    return this.#call(rpc.getType, undefined, wait);
  }

  /** Of the hypervisor: 1,000,000 * major + 1,000 * minor + release. */
  async version(wait?: Wait): Promise<bigint> {
    return this.#call(rpc.getVersion, undefined, wait);
  }

  /** Of libvirtd, counted in the same way. */
  async libVersion(wait?: Wait): Promise<bigint> {
    return this.#call(rpc.getLibVersion, undefined, wait);
  }

  async hostname(wait?: Wait): Promise<string> {
    return this.#call(rpc.getHostname, undefined, wait);
  }

  async capabilities(wait?: Wait): Promise<string> {
    return this.#call(rpc.getCapabilities, undefined, wait);
  }

  async nodeInfo(wait?: Wait): Promise<rpc.NodeInfo> {
    return this.#call(rpc.nodeGetInfo, undefined, wait);
  }

  /** Nanoseconds since boot, of all CPUs together. */
  async nodeCpuStats(wait?: Wait): Promise<readonly rpc.NodeStat[]> {
    const { available } = await this.#call(rpc.nodeGetCpuStats, { cpu: -1, nparams: 0 }, wait);
    return (await this.#call(rpc.nodeGetCpuStats, { cpu: -1, nparams: available }, wait)).stats;
  }

  /** KiB, of all NUMA cells together. */
  async nodeMemoryStats(wait?: Wait): Promise<readonly rpc.NodeStat[]> {
    const { available } = await this.#call(rpc.nodeGetMemoryStats, { cell: -1, nparams: 0 }, wait);
    return (await this.#call(rpc.nodeGetMemoryStats, { cell: -1, nparams: available }, wait)).stats;
  }

  async nodeFreeMemoryBytes(wait?: Wait): Promise<bigint> {
    return this.#call(rpc.nodeGetFreeMemory, undefined, wait);
  }

  /** `flags`: `listFlag` values or-ed, 0 = all. */
  async listAllDomains(flags: number, wait?: Wait): Promise<readonly DomainRef[]> {
    return this.#call(rpc.listAllDomains, flags, wait);
  }

  async lookupByName(name: string, wait?: Wait): Promise<DomainRef> {
    return this.#call(rpc.lookupByName, name, wait);
  }

  async lookupByUuid(uuid: string, wait?: Wait): Promise<DomainRef> {
    return this.#call(rpc.lookupByUuid, uuid, wait);
  }

  async state(domain: DomainRef, wait?: Wait): Promise<rpc.DomainState> {
    return this.#call(rpc.getState, { domain, flags: 0 }, wait);
  }

  async xmlDesc(domain: DomainRef, flags: number, wait?: Wait): Promise<string> {
    return this.#call(rpc.getXmlDesc, { domain, flags }, wait);
  }

  async isPersistent(domain: DomainRef, wait?: Wait): Promise<boolean> {
    return this.#call(rpc.isPersistent, domain, wait);
  }

  /** Bulk statistics: `stats` = `statsGroup` values or-ed, `flags` = `statsFlag` values or-ed, no domains = all of them. */
  async allDomainStats(
    request: { readonly domains?: readonly DomainRef[]; readonly stats: number; readonly flags: number },
    wait?: Wait,
  ): Promise<readonly rpc.DomainStats[]> {
    return this.#call(rpc.getAllDomainStats, { domains: [], ...request }, wait);
  }

  /** Starts a domain without defining it. */
  async createXml(xml: string, flags: number, wait?: Wait): Promise<DomainRef> {
    return this.#call(rpc.createXml, { xml, flags }, wait);
  }

  async defineXml(xml: string, flags: number, wait?: Wait): Promise<DomainRef> {
    return this.#call(rpc.defineXmlFlags, { xml, flags }, wait);
  }

  async undefine(domain: DomainRef, flags: number, wait?: Wait): Promise<void> {
    return this.#call(rpc.undefineFlags, { domain, flags }, wait);
  }

  async create(domain: DomainRef, wait?: Wait): Promise<void> {
    return this.#call(rpc.create, domain, wait);
  }

  /** As `create`; answers the handle with the new id. */
  async createWithFlags(domain: DomainRef, flags: number, wait?: Wait): Promise<DomainRef> {
    return this.#call(rpc.createWithFlags, { domain, flags }, wait);
  }

  async destroy(domain: DomainRef, flags: number, wait?: Wait): Promise<void> {
    return this.#call(rpc.destroyFlags, { domain, flags }, wait);
  }

  async suspend(domain: DomainRef, wait?: Wait): Promise<void> {
    return this.#call(rpc.suspend, domain, wait);
  }

  async resume(domain: DomainRef, wait?: Wait): Promise<void> {
    return this.#call(rpc.resume, domain, wait);
  }

  /** Whether the daemon starts the domain by itself when it comes up after a boot. */
  async autostart(domain: DomainRef, wait?: Wait): Promise<boolean> {
    return this.#call(rpc.getAutostart, domain, wait);
  }

  async setAutostart(domain: DomainRef, autostart: boolean, wait?: Wait): Promise<void> {
    return this.#call(rpc.setAutostart, { domain, autostart }, wait);
  }

  /** Asks the guest to power off; it may take its time or refuse. */
  async shutdown(domain: DomainRef, wait?: Wait): Promise<void> {
    return this.#call(rpc.shutdown, domain, wait);
  }

  /** Saves the domain's state where libvirt starts it from again, and stops it. The deadline is the caller's to choose. */
  async managedSave(domain: DomainRef, wait: LongWait): Promise<void> {
    return this.#call(rpc.managedSave, { domain, flags: 0 }, wait);
  }

  async hasManagedSaveImage(domain: DomainRef, wait?: Wait): Promise<boolean> {
    return this.#call(rpc.hasManagedSaveImage, { domain, flags: 0 }, wait);
  }

  /** Starts a domain from a saved image, in the state that it was saved in, without defining it. */
  async restore(path: string, wait: LongWait): Promise<void> {
    return this.#call(rpc.restoreFlags, { path, xml: null, flags: 0 }, wait);
  }

  /** `flags`: `jobStatsFlag` values or-ed; `completed` reads the last finished job, once unless `keepCompleted`. */
  async jobStats(domain: DomainRef, flags: number, wait?: Wait): Promise<rpc.JobStats> {
    return this.#call(rpc.getJobStats, { domain, flags }, wait);
  }

  async abortJob(domain: DomainRef, wait?: Wait): Promise<void> {
    return this.#call(rpc.abortJob, domain, wait);
  }

  async abortJobFlags(domain: DomainRef, flags: number, wait?: Wait): Promise<void> {
    return this.#call(rpc.abortJobFlags, { domain, flags }, wait);
  }

  /** Peer-to-peer: the daemon runs the whole migration and answers when it is over, so the deadline is the caller's to choose. */
  async migrate(request: rpc.MigratePerform, wait: LongWait): Promise<void> {
    await this.#call(rpc.migratePerform3Params, request, wait);
  }

  /**
   * Has the daemon of a destination end its part of a migration that has failed, as the daemon of the source does otherwise: the copy that
   * was to take the VM in goes. Rejects as the source's daemon is told: with the reason why there is no domain now.
   */
  async cancelIncoming(name: string, wait?: Wait): Promise<void> {
    const params = [{ field: 'destination_name', type: 'string', value: name } as const];
    await this.#call(rpc.migrateFinish3Params, { params, flags: migrateFlag.live | migrateFlag.peerToPeer, cancelled: true }, wait);
  }

  async migrateSetMaxDowntime(domain: DomainRef, downtimeMs: number, wait?: Wait): Promise<void> {
    return this.#call(rpc.migrateSetMaxDowntime, { domain, downtimeMs }, wait);
  }

  /** `flags`: `maxSpeedFlag` values or-ed. */
  async migrateSetMaxSpeed(domain: DomainRef, mebibytesPerSecond: number, flags: number, wait?: Wait): Promise<void> {
    return this.#call(rpc.migrateSetMaxSpeed, { domain, mebibytesPerSecond, flags }, wait);
  }

  async migrateStartPostCopy(domain: DomainRef, wait?: Wait): Promise<void> {
    return this.#call(rpc.migrateStartPostCopy, { domain, flags: 0 }, wait);
  }

  /** Starts to look which memory a running domain writes; `seconds` from 1 to 60, `flags`: a `dirtyRateMode`. */
  async startDirtyRateCalc(domain: DomainRef, seconds: number, flags: number, wait?: Wait): Promise<void> {
    return this.#call(rpc.startDirtyRateCalc, { domain, seconds, flags }, wait);
  }

  async domainCapabilities(choice: rpc.EmulatorChoice, wait?: Wait): Promise<string> {
    return this.#call(rpc.getDomainCapabilities, choice, wait);
  }

  /** A `cpuComparison`; `flags`: `compareCpuFlag` values or-ed. */
  async compareHypervisorCpu(choice: rpc.EmulatorChoice, cpuXml: string, flags: number, wait?: Wait): Promise<number> {
    return this.#call(rpc.compareHypervisorCpu, { ...choice, cpuXml, flags }, wait);
  }

  /** Names of libvirt's virtual networks; `flags`: `networkListFlag` values or-ed. */
  async networkNames(flags: number, wait?: Wait): Promise<readonly string[]> {
    return (await this.#call(rpc.listAllNetworks, flags, wait)).map((network) => network.name);
  }

  /** Asks for events of one kind (`eventId`), of one domain or of all. Answers the id to deregister with. */
  async registerEvent(id: number, domain: DomainRef | null, wait?: Wait): Promise<number> {
    return this.#call(rpc.eventRegister, { eventId: id, domain }, wait);
  }

  async deregisterEvent(callbackId: number, wait?: Wait): Promise<void> {
    return this.#call(rpc.eventDeregister, callbackId, wait);
  }

  async #authenticate(wait: Wait): Promise<void> {
    const types = await this.#call(rpc.authList, undefined, wait);
    if (types.length === 0 || types.includes(authType.none)) return;
    if (types.includes(authType.polkit)) {
      await this.#call(rpc.authPolkit, undefined, wait);
      return;
    }
    const advice = 'set auth_unix_rw to "none" or "polkit" in libvirtd.conf for the local socket';
    throw new LibvirtError('auth-unsupported', `libvirtd wants authentication types ${types.join(', ')}, which we do not speak; ${advice}`);
  }

  async #call<Args, Result>(procedure: rpc.Procedure<Args, Result>, args: Args, wait: Wait = {}): Promise<Result> {
    const options: CallOptions = {
      deadlineMs: wait.deadlineMs ?? this.#callDeadlineMs,
      ...(wait.signal === undefined ? {} : { signal: wait.signal }),
    };
    return this.#connection.call(procedure, args, options);
  }
}
