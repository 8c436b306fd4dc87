import type { IpsecBackend, IpsecErrors, SecurityAssociation } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { ChannelPeer, HostIdentity, Ipsec, Log } from '#core/ports.ts';
import { ViciClient } from './client.ts';
import { LogErrors, kernelErrors, xfrmStatPath } from './error-counters.ts';
import { StrongswanError } from './errors.ts';
import { sweepLeftovers } from './leftovers.ts';
import { connectionName, peerOfConnection } from './names.ts';
import { PeerLock } from './peer-lock.ts';
import { atPort, portError } from './port-error.ts';
import { PreparedPeers, detectBackend } from './prepared-peers.ts';
import { LingeringFollower, rekeyChannel } from './rekeying.ts';
import type { IkeSa } from './sa.ts';
import { SaLedger } from './sa-ledger.ts';
import { fits, missingChildren, negotiationFault, saRecords, usableSa } from './sa-record.ts';
import { type SaChange, SaWatch } from './sa-watch.ts';
import type { SessionLimits } from './session-limits.ts';
import { type OpenTransport, unixSocket } from './transport.ts';
import { loadTrust } from './trust.ts';
import { type RunIp, Xfrm, systemIp } from './xfrm.ts';

export interface StrongswanOptions {
  /** charon's VICI socket. Default: Debian's. */
  readonly socketPath?: string;
  /** Another way to charon than the socket. */
  readonly open?: OpenTransport;
  readonly limits?: Partial<SessionLimits>;
  /** How long an SA may take to come up. charon alone would retry for 165 s. */
  readonly establishTimeoutMs?: number;
  /** How long the peer may take to confirm the end of an SA; it is ended without it then. */
  readonly terminateTimeoutMs?: number;
  /** How long new keys may take. */
  readonly rekeyTimeoutMs?: number;
  /** Another way to ip(8) than /sbin/ip; it must work in charon's network namespace. */
  readonly runIp?: RunIp;
  /** The kernel's IPsec counters. Default: those of this process's network namespace. */
  readonly xfrmStatPath?: string;
  readonly log?: Log;
}

const debianSocketPath = '/var/run/charon.vici';

/** `close` and clean-up after a failure must not hang on a daemon that does. */
const cleanupMs = 3_000;

/** Some twenty programs are started one after the other; each takes 10 ms, or half a second on an overloaded host. */
const kernelCleanupMs = 15_000;

/** charon's own words that are kept in the message of a failed initiate. */
const reasonLinesMax = 3;

/** The Ipsec port on strongSwan 5.9 or later, over VICI. Dials at the first use; dials again by itself. */
export function createStrongswanIpsec(options: StrongswanOptions = {}): Ipsec {
  return new StrongswanIpsec(options);
}

class StrongswanIpsec implements Ipsec {
  readonly #client: ViciClient;
  readonly #xfrm: Xfrm;
  readonly #prepared: PreparedPeers;
  readonly #watch: SaWatch;
  readonly #ledger = new SaLedger();
  readonly #follower: LingeringFollower;
  readonly #logErrors = new LogErrors();
  readonly #lock = new PeerLock();
  readonly #ended = new AbortController();
  readonly #timeouts: { readonly establishMs: number; readonly terminateMs: number; readonly rekeyMs: number };
  readonly #xfrmStatPath: string;
  readonly #log: Log | undefined;
  #closing: Promise<void> | undefined;
  #swept = false;
  /** As last seen; a daemon that is away cannot be asked. */
  #lastBackend: IpsecBackend | null = null;

  constructor(options: StrongswanOptions) {
    this.#client = new ViciClient(options.open ?? unixSocket(options.socketPath ?? debianSocketPath), options.limits);
    this.#xfrm = new Xfrm(options.runIp ?? systemIp());
    this.#timeouts = {
      establishMs: options.establishTimeoutMs ?? 10_000,
      terminateMs: options.terminateTimeoutMs ?? 2_000,
      rekeyMs: options.rekeyTimeoutMs ?? 10_000,
    };
    this.#xfrmStatPath = options.xfrmStatPath ?? xfrmStatPath;
    this.#log = options.log;
    this.#prepared = new PreparedPeers(this.#client, this.#xfrm);
    this.#watch = new SaWatch(() => this.listSas(this.#ended.signal));
    this.#follower = new LingeringFollower(() => this.#list(this.#ended.signal), this.#ended.signal);
    this.#client.onState((state) => (state.kind === 'connected' ? this.#connected() : this.#watch.lost()));
    // Keeps the session dialling from now on, whether or not the daemon is there yet.
    this.#client.onChildUpDown(({ up, sa }) => this.#upDown(sa.name, up));
    this.#client.onChildRekey((change) => {
      if (peerOfConnection(change.ikeName) === null) return;
      this.#ledger.rekeyed(change.old, change.new);
      this.#follower.follow();
    });
    this.#client.onLog((line) => this.#logErrors.record(line));
  }

  backend(signal: AbortSignal): Promise<IpsecBackend> {
    return atPort(() => this.#detectBackend(signal));
  }

  version(signal: AbortSignal): Promise<string> {
    return atPort(async () => `strongSwan ${(await this.#client.version({ signal })).version}`);
  }

  prepare(peer: ChannelPeer, identity: HostIdentity, signal: AbortSignal): Promise<void> {
    return atPort(() => this.#lock.run(peer.peerHostId, signal, () => this.#prepared.add(peer, identity, signal)));
  }

  establish(peer: ChannelPeer, signal: AbortSignal): Promise<SecurityAssociation> {
    return atPort(() => this.#lock.run(peer.peerHostId, signal, () => this.#establish(peer, signal)));
  }

  rekey(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    return atPort(() => this.#lock.run(peerHostId, signal, () => rekeyChannel(this.#client, peerHostId, this.#timeouts.rekeyMs, signal)));
  }

  /** With the kernel's IPsec since the kernel started, with libipsec since this driver did; see error-counters.ts. */
  errors(signal: AbortSignal): Promise<IpsecErrors | null> {
    return atPort(async () => {
      const backend = await this.#detectBackend(signal);
      return backend === 'kernel' ? kernelErrors(this.#xfrmStatPath, signal) : this.#logErrors.read();
    });
  }

  /** The next authentication counts by this; SAs that are up stay, and ending those with a revoked host is the caller's work. */
  updateTrust(identity: HostIdentity, signal: AbortSignal): Promise<void> {
    return atPort(async () => {
      const changed = this.#prepared.adopt(identity);
      await loadTrust(this.#client, identity, signal);
      for (const peerHostId of changed) await this.#lock.run(peerHostId, signal, () => this.#prepared.reload(peerHostId, signal));
    });
  }

  listSas(signal: AbortSignal): Promise<readonly SecurityAssociation[]> {
    return atPort(async () => saRecords(await this.#list(signal), (child) => this.#ledger.replacedBy(child)));
  }

  remove(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    return atPort(() => this.#lock.run(peerHostId, signal, () => this.#remove(peerHostId, signal)));
  }

  onSaChange(listener: (change: SaChange) => void): () => void {
    return this.#watch.onChange(listener);
  }

  /**
   * Unloads the connections and keys of this process, as far as charon answers. SAs that are up stay, and the policies that force
   * traffic into them: a migration goes on through them while the agent restarts, and `remove` of the next process ends them.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#ended.abort();
    const signal = AbortSignal.timeout(cleanupMs);
    try {
      for (const peerHostId of this.#prepared.hostIds()) {
        await this.#prepared.delete(peerHostId, signal);
        if ((await this.#listOf(peerHostId, signal)).length === 0) await this.#cleanKernel(peerHostId, signal);
      }
    } catch (error) {
      this.#log?.warn('ipsec: connections may still be loaded in charon', { reason: portError(error).message });
    }
    this.#client.close();
  }

  async #establish(peer: ChannelPeer, signal: AbortSignal): Promise<SecurityAssociation> {
    const { peerHostId } = peer;
    await this.#prepared.ensure(peer, signal);
    const existing = await this.#findSa(peer, signal);
    if (existing !== null) return existing;
    for (const ike of await this.#listOf(peerHostId, signal)) if (!fits(ike, peer)) await this.#terminate(ike.uniqueId, signal);
    try {
      for (const child of missingChildren(await this.#listOf(peerHostId, signal), peer)) {
        await this.#client.initiate({ ike: connectionName(peerHostId), child }, { timeoutMs: this.#timeouts.establishMs, signal });
      }
    } catch (error) {
      // charon goes on trying on its own otherwise; the caller's signal may have fired already.
      await this.#terminateAll(peerHostId, AbortSignal.timeout(cleanupMs)).catch(() => undefined);
      throw refused(peerHostId, error);
    }
    const made = await this.#findSa(peer, signal);
    if (made !== null) return made;
    const fault = negotiationFault(await this.#listOf(peerHostId, signal), peer);
    await this.#terminateAll(peerHostId, signal);
    throw notMade(peerHostId, fault);
  }

  async #findSa(peer: ChannelPeer, signal: AbortSignal): Promise<SecurityAssociation | null> {
    return usableSa(await this.#listOf(peer.peerHostId, signal), peer, (child) => this.#ledger.replacedBy(child));
  }

  async #list(signal: AbortSignal): Promise<readonly IkeSa[]> {
    const sas = await this.#client.listSas({}, { signal });
    this.#ledger.seen(sas);
    return sas;
  }

  #listOf(peerHostId: HostId, signal: AbortSignal): Promise<readonly IkeSa[]> {
    return this.#client.listSas({ ike: connectionName(peerHostId) }, { signal });
  }

  async #remove(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    try {
      await this.#prepared.delete(peerHostId, signal);
      await this.#terminateAll(peerHostId, signal);
      await this.#cleanKernel(peerHostId, signal);
    } catch (error) {
      // SAs in the kernel outlive a charon that is away; the caller learns that charon is, and they end all the same.
      if (this.#lastBackend === 'kernel') await this.#cleanKernelAlone(peerHostId);
      throw error;
    }
  }

  async #cleanKernelAlone(peerHostId: HostId): Promise<void> {
    try {
      await this.#xfrm.removeAll(peerHostId, AbortSignal.timeout(kernelCleanupMs));
    } catch (error) {
      this.#log?.warn('ipsec: SAs or policies may be left in the kernel', { peerHostId, reason: portError(error).message });
    }
  }

  async #cleanKernel(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    if ((await this.#detectBackend(signal)) === 'kernel') await this.#xfrm.removeAll(peerHostId, signal);
  }

  async #detectBackend(signal: AbortSignal): Promise<IpsecBackend> {
    this.#lastBackend = await detectBackend(this.#client, signal);
    return this.#lastBackend;
  }

  async #terminateAll(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    for (const ike of await this.#listOf(peerHostId, signal)) await this.#terminate(ike.uniqueId, signal);
  }

  /** Ends an IKE_SA with its children, with or without the peer. Gone already is fine. */
  async #terminate(ikeId: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#client.terminate({ ikeId }, { timeoutMs: this.#timeouts.terminateMs, force: true, signal });
    } catch (error) {
      const left = await this.#client.listSas({ ikeId }, { signal });
      if (left.length > 0) throw error;
    }
  }

  #connected(): void {
    this.#watch.refresh();
    if (!this.#swept) this.#inBackground('what an earlier process left could not be taken away', () => this.#sweep());
    for (const peerHostId of this.#prepared.hostIds()) {
      this.#inBackground(`the connection to ${peerHostId} could not be loaded again`, () =>
        this.#lock.run(peerHostId, this.#ended.signal, () => this.#prepared.restore(peerHostId, this.#ended.signal)),
      );
    }
  }

  async #sweep(): Promise<void> {
    const { signal } = this.#ended;
    const locked = (peerHostId: HostId, work: () => Promise<void>): Promise<void> => this.#lock.run(peerHostId, signal, work);
    const backend = await this.#detectBackend(signal);
    await sweepLeftovers({ client: this.#client, xfrm: this.#xfrm, backend, prepared: this.#prepared, locked }, signal);
    this.#swept = true;
  }

  #inBackground(failure: string, work: () => Promise<void>): void {
    work().catch((error: unknown) => {
      if (!this.#ended.signal.aborted) this.#log?.warn(`ipsec: ${failure}`, { reason: portError(error).message });
    });
  }

  #upDown(connection: string, up: boolean): void {
    const peerHostId = peerOfConnection(connection);
    if (peerHostId !== null) this.#watch.noticed(peerHostId, up);
  }
}

/** VICI says only that it failed; the control log says why. */
function refused(peerHostId: HostId, error: unknown): unknown {
  if (!(error instanceof StrongswanError) || error.code !== 'strongswan-command-failed') return error;
  const reason = error.log.slice(-reasonLinesMax).join('; ') || error.daemonMessage || 'no reason given';
  return new PlimsollError(
    'ipsec-failed',
    `No SA with ${peerHostId} came up (${reason}): check that it is prepared there alike, and the certificates or keys of both.`,
    { cause: error },
  );
}

function notMade(peerHostId: HostId, fault: string | null): PlimsollError {
  const message =
    fault === null
      ? `The SA with ${peerHostId} went down as soon as it was up: look into charon's log on both hosts.`
      : `The SA with ${peerHostId} was ended, because ${fault}: give both hosts the same profile.`;
  return new PlimsollError('ipsec-failed', message);
}
