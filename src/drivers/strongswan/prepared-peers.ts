import type { IpsecBackend } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { ChannelPeer, HostIdentity } from '#core/ports.ts';
import type { ViciClient } from './client.ts';
import { connectionConfig, connectionName } from './connection-config.ts';

/** A peer whose connection charon shall have. */
interface Prepared {
  readonly peer: ChannelPeer;
  readonly identity: HostIdentity;
  /** The client's generation in which it was loaded; an older one may have died with its daemon. */
  loadedGeneration: number;
}

/** A connection lost in the middle of loading is tried again this often. */
const loadAttemptsMax = 3;

/**
 * The peers that were prepared, kept so that a restarted daemon gets their connections and our key again. The key is
 * unloaded with the last peer that uses it. Callers hold the lock of the peer they name.
 */
export class PreparedPeers {
  readonly #client: ViciClient;
  readonly #peers = new Map<HostId, Prepared>();
  /** charon's identifiers of loaded keys by their PEM. */
  readonly #keyIds = new Map<string, string>();

  constructor(client: ViciClient) {
    this.#client = client;
  }

  async add(peer: ChannelPeer, identity: HostIdentity, signal: AbortSignal): Promise<void> {
    const before = this.#peers.get(peer.peerHostId);
    const prepared: Prepared = { peer, identity, loadedGeneration: -1 };
    // Known before it is loaded, or a simultaneous clean-up would take its key for unused.
    this.#peers.set(peer.peerHostId, prepared);
    try {
      await this.#load(prepared, signal);
    } catch (error) {
      if (before === undefined) this.#peers.delete(peer.peerHostId);
      else this.#peers.set(peer.peerHostId, before);
      throw error;
    }
    await this.#unloadUnusedKeys(signal);
  }

  /** Makes sure that charon has this peer's connection. Throws `ipsec-failed` when it was never prepared, or for other addresses. */
  async ensure(peer: ChannelPeer, signal: AbortSignal): Promise<void> {
    const prepared = this.#peers.get(peer.peerHostId);
    if (prepared === undefined || !sameAddresses(prepared.peer, peer)) {
      throw new PlimsollError(
        'ipsec-failed',
        `No connection to ${peer.peerHostId} with these addresses is loaded: prepare the channel first.`,
      );
    }
    if (!(await this.#isLoaded(prepared, signal))) await this.#load(prepared, signal);
  }

  hostIds(): readonly HostId[] {
    return [...this.#peers.keys()];
  }

  /** Loads again what a restarted daemon has lost; nothing when the peer was removed, or prepared again, meanwhile. */
  async restore(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    const prepared = this.#peers.get(peerHostId);
    if (prepared !== undefined && prepared.loadedGeneration !== this.#client.generation) await this.#load(prepared, signal);
  }

  /** Unloads the peer's connection, also one that an earlier process loaded. SAs that are up stay. */
  async delete(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    this.#peers.delete(peerHostId);
    await this.#unload(peerHostId, signal);
    await this.#unloadUnusedKeys(signal);
  }

  /** Unloads every connection and key of this process. */
  async clear(signal: AbortSignal): Promise<void> {
    for (const peerHostId of this.#peers.keys()) await this.delete(peerHostId, signal);
  }

  /** Asks charon: an operator's `swanctl --load-all` unloads every connection and key that is not in its own files. */
  async #isLoaded(prepared: Prepared, signal: AbortSignal): Promise<boolean> {
    const keyId = this.#keyIds.get(prepared.identity.privateKeyPem);
    const keys = await this.#client.getKeys({ signal });
    const connections = await this.#client.getConns({ signal });
    return keyId !== undefined && keys.includes(keyId) && connections.includes(connectionName(prepared.peer.peerHostId));
  }

  async #load(prepared: Prepared, signal: AbortSignal): Promise<void> {
    const { peer, identity } = prepared;
    for (let attempt = 1; attempt <= loadAttemptsMax; attempt += 1) {
      const backend = await detectBackend(this.#client, signal);
      const { generation } = this.#client;
      this.#keyIds.set(identity.privateKeyPem, await this.#client.loadKey(identity.privateKeyPem, { signal }));
      await this.#client.loadConn(connectionName(peer.peerHostId), connectionConfig(peer, identity, backend), { signal });
      if (this.#client.generation === generation) {
        prepared.loadedGeneration = generation;
        return;
      }
    }
    throw new PlimsollError('ipsec-unavailable', 'charon went away several times while a connection was loaded: check why it restarts.');
  }

  async #unload(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    const name = connectionName(peerHostId);
    if ((await this.#client.getConns({ signal })).includes(name)) await this.#client.unloadConn(name, { signal });
  }

  async #unloadUnusedKeys(signal: AbortSignal): Promise<void> {
    const used = new Set([...this.#peers.values()].map((prepared) => prepared.identity.privateKeyPem));
    const unused = [...this.#keyIds].filter(([privateKeyPem]) => !used.has(privateKeyPem));
    if (unused.length === 0) return;
    const loaded = new Set(await this.#client.getKeys({ signal }));
    for (const [privateKeyPem, id] of unused) {
      if (loaded.has(id)) await this.#client.unloadKey(id, { signal });
      this.#keyIds.delete(privateKeyPem);
    }
  }
}

/** Which plugin carries ESP. libipsec comes with kernel-netlink too, which then does addresses and routes only. */
export async function detectBackend(client: ViciClient, signal: AbortSignal): Promise<IpsecBackend> {
  const { plugins } = await client.stats({ signal });
  if (plugins.includes('kernel-libipsec')) return 'libipsec';
  if (plugins.includes('kernel-netlink')) return 'kernel';
  throw new PlimsollError(
    'ipsec-failed',
    'charon has no plugin that carries ESP: load kernel-netlink, or kernel-libipsec where the kernel has no ESP.',
  );
}

function sameAddresses(one: ChannelPeer, other: ChannelPeer): boolean {
  return (
    one.localAddresses.underlay === other.localAddresses.underlay &&
    one.localAddresses.protected === other.localAddresses.protected &&
    one.peerAddresses.underlay === other.peerAddresses.underlay &&
    one.peerAddresses.protected === other.peerAddresses.protected
  );
}
