import type { IpsecBackend, SecurityAssociation } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { ChannelPeer, HostIdentity, Ipsec, Log } from '#core/ports.ts';
import { ViciClient } from './client.ts';
import { childName, connectionName, peerOfConnection } from './connection-config.ts';
import { StrongswanError } from './errors.ts';
import { PeerLock } from './peer-lock.ts';
import { atPort, portError } from './port-error.ts';
import { PreparedPeers, detectBackend } from './prepared-peers.ts';
import { isAuthenticated, isWith, saRecords, usableSa } from './sa-record.ts';
import { type SaChange, SaWatch } from './sa-watch.ts';
import type { SessionLimits } from './session-limits.ts';
import { type OpenTransport, unixSocket } from './transport.ts';

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
  readonly log?: Log;
}

const debianSocketPath = '/var/run/charon.vici';

/** `close` and clean-up after a failure must not hang on a daemon that does. */
const cleanupMs = 3_000;

/** charon's own words that are kept in the message of a failed initiate. */
const reasonLinesMax = 3;

/** The Ipsec port on strongSwan 5.9 or later, over VICI. Dials at the first use; dials again by itself. */
export function createStrongswanIpsec(options: StrongswanOptions = {}): Ipsec {
  return new StrongswanIpsec(options);
}

class StrongswanIpsec implements Ipsec {
  readonly #client: ViciClient;
  readonly #prepared: PreparedPeers;
  readonly #watch: SaWatch;
  readonly #lock = new PeerLock();
  readonly #ended = new AbortController();
  readonly #establishTimeoutMs: number;
  readonly #terminateTimeoutMs: number;
  readonly #log: Log | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: StrongswanOptions) {
    this.#client = new ViciClient(options.open ?? unixSocket(options.socketPath ?? debianSocketPath), options.limits);
    this.#establishTimeoutMs = options.establishTimeoutMs ?? 10_000;
    this.#terminateTimeoutMs = options.terminateTimeoutMs ?? 2_000;
    this.#log = options.log;
    this.#prepared = new PreparedPeers(this.#client);
    this.#watch = new SaWatch(() => this.listSas(this.#ended.signal));
    this.#client.onState((state) => (state.kind === 'connected' ? this.#connected() : this.#watch.lost()));
    // Keeps the session dialling from now on, whether or not the daemon is there yet.
    this.#client.onChildUpDown(({ up, sa }) => this.#upDown(sa.name, up));
  }

  backend(signal: AbortSignal): Promise<IpsecBackend> {
    return atPort(() => detectBackend(this.#client, signal));
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

  listSas(signal: AbortSignal): Promise<readonly SecurityAssociation[]> {
    return atPort(async () => saRecords(await this.#client.listSas({}, { signal })));
  }

  remove(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    return atPort(() => this.#lock.run(peerHostId, signal, () => this.#remove(peerHostId, signal)));
  }

  onSaChange(listener: (change: SaChange) => void): () => void {
    return this.#watch.onChange(listener);
  }

  /**
   * Unloads the connections and keys of this process, as far as charon answers. SAs that are up stay: a migration goes
   * on through them while the agent restarts, and `remove` of the next process ends them.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#ended.abort();
    try {
      await this.#prepared.clear(AbortSignal.timeout(cleanupMs));
    } catch (error) {
      this.#log?.warn('ipsec: connections may still be loaded in charon', { reason: portError(error).message });
    }
    this.#client.close();
  }

  async #establish(peer: ChannelPeer, signal: AbortSignal): Promise<SecurityAssociation> {
    await this.#prepared.ensure(peer, signal);
    const existing = await this.#findSa(peer, signal);
    if (existing !== null) return existing;
    await this.#endUnusable(peer, signal);
    try {
      await this.#client.initiate(
        { ike: connectionName(peer.peerHostId), child: childName },
        { timeoutMs: this.#establishTimeoutMs, signal },
      );
    } catch (error) {
      // charon goes on trying on its own otherwise; the caller's signal may have fired already.
      await this.#endUnusable(peer, AbortSignal.timeout(cleanupMs)).catch(() => undefined);
      throw refused(peer.peerHostId, error);
    }
    const made = await this.#findSa(peer, signal);
    if (made !== null) return made;
    throw new PlimsollError(
      'ipsec-failed',
      `The SA with ${peer.peerHostId} went down as soon as it was up: look into charon's log on both hosts.`,
    );
  }

  async #findSa(peer: ChannelPeer, signal: AbortSignal): Promise<SecurityAssociation | null> {
    return usableSa(await this.#client.listSas({ ike: connectionName(peer.peerHostId) }, { signal }), peer);
  }

  /** Half-made IKE_SAs, and those between addresses that the peer or we no longer have. */
  async #endUnusable(peer: ChannelPeer, signal: AbortSignal): Promise<void> {
    for (const ike of await this.#client.listSas({ ike: connectionName(peer.peerHostId) }, { signal })) {
      if (!isWith(ike, peer) || !isAuthenticated(ike)) await this.#terminate(ike.uniqueId, signal);
    }
  }

  async #remove(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    await this.#prepared.delete(peerHostId, signal);
    for (const ike of await this.#client.listSas({ ike: connectionName(peerHostId) }, { signal }))
      await this.#terminate(ike.uniqueId, signal);
  }

  /** Ends an IKE_SA with its children, with or without the peer. Gone already is fine. */
  async #terminate(ikeId: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#client.terminate({ ikeId }, { timeoutMs: this.#terminateTimeoutMs, force: true, signal });
    } catch (error) {
      const left = await this.#client.listSas({ ikeId }, { signal });
      if (left.length > 0) throw error;
    }
  }

  #connected(): void {
    this.#watch.refresh();
    for (const peerHostId of this.#prepared.hostIds()) void this.#restore(peerHostId);
  }

  async #restore(peerHostId: HostId): Promise<void> {
    const { signal } = this.#ended;
    try {
      await this.#lock.run(peerHostId, signal, () => this.#prepared.restore(peerHostId, signal));
    } catch (error) {
      if (!signal.aborted)
        this.#log?.warn('ipsec: a connection could not be loaded again', { peerHostId, reason: portError(error).message });
    }
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
    `No SA with ${peerHostId} came up (${reason}): check that it is prepared there, and both certificates.`,
    { cause: error },
  );
}
