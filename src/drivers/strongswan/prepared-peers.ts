import { judgeProfile } from '#core/channel/algorithms.ts';
import { profileFault } from '#core/channel/profiles.ts';
import type { IpsecBackend } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { ChannelPeer, HostIdentity } from '#core/ports.ts';
import type { ViciClient } from './client.ts';
import { connectionConfig } from './connection-config.ts';
import { connectionName, sharedKeyIds } from './names.ts';
import { sharedKeysOf } from './shared-keys.ts';
import { loadTrust } from './trust.ts';
import type { Xfrm } from './xfrm.ts';

/** A peer whose connection charon shall have. */
interface Prepared {
  readonly peer: ChannelPeer;
  identity: HostIdentity;
  /** The client's generation in which it was loaded; an older one may have died with its daemon. */
  loadedGeneration: number;
}

/** A connection lost in the middle of loading is tried again this often. */
const loadAttemptsMax = 3;

/**
 * The peers that were prepared, kept so that a restarted daemon gets their connections, keys and policies again. Our key is
 * unloaded with the last peer that uses it. Callers hold the lock of the peer they name.
 */
export class PreparedPeers {
  readonly #client: ViciClient;
  readonly #xfrm: Xfrm;
  readonly #peers = new Map<HostId, Prepared>();
  /** charon's identifiers of loaded keys by their PEM. */
  readonly #keyIds = new Map<string, string>();

  constructor(client: ViciClient, xfrm: Xfrm) {
    this.#client = client;
    this.#xfrm = xfrm;
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

  /** Makes sure that charon has this peer's connection. Throws `ipsec-failed` when it was never prepared, or in another way. */
  async ensure(peer: ChannelPeer, signal: AbortSignal): Promise<void> {
    const prepared = this.#peers.get(peer.peerHostId);
    if (prepared === undefined || !isSameChannel(prepared.peer, peer)) {
      throw new PlimsollError(
        'ipsec-failed',
        `No connection to ${peer.peerHostId} with these addresses, profile and keys is loaded: prepare the channel first.`,
      );
    }
    if (!(await this.#isLoaded(prepared, signal))) await this.#load(prepared, signal);
    // Somebody may have flushed them; charon itself does not know them.
    else if (isBundle(peer)) await this.#xfrm.install(peer, signal);
  }

  hostIds(): readonly HostId[] {
    return [...this.#peers.keys()];
  }

  has(peerHostId: HostId): boolean {
    return this.#peers.has(peerHostId);
  }

  /** Loads again what a restarted daemon has lost; nothing when the peer was removed, or prepared again, meanwhile. */
  async restore(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    const prepared = this.#peers.get(peerHostId);
    if (prepared !== undefined && prepared.loadedGeneration !== this.#client.generation) await this.#load(prepared, signal);
  }

  /** Takes over a newer identity for all peers, and returns those whose connection must be loaded again for it. */
  adopt(identity: HostIdentity): readonly HostId[] {
    const changed = [...this.#peers.values()].filter((prepared) => !isSameCertificate(prepared.identity, identity));
    for (const prepared of this.#peers.values()) prepared.identity = identity;
    return changed.map(({ peer }) => peer.peerHostId);
  }

  /** Loads the peer's connection again. SAs that are up stay. */
  async reload(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    const prepared = this.#peers.get(peerHostId);
    if (prepared === undefined) return;
    await this.#load(prepared, signal);
    await this.#unloadUnusedKeys(signal);
  }

  /** Unloads the peer's connection and shared keys, also those that an earlier process loaded. SAs that are up stay. */
  async delete(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    this.#peers.delete(peerHostId);
    await unloadPeer(this.#client, peerHostId, signal);
    await this.#unloadUnusedKeys(signal);
  }

  /** Asks charon: an operator's `swanctl --load-all` unloads every connection and key that is not in its own files. */
  async #isLoaded({ peer, identity }: Prepared, signal: AbortSignal): Promise<boolean> {
    const connections = await this.#client.getConns({ signal });
    if (!connections.includes(connectionName(peer.peerHostId))) return false;
    const shared = await this.#client.getShared({ signal });
    if (!sharedKeysOf(peer, identity.hostId).every(({ id }) => shared.includes(id))) return false;
    if (peer.profile.authentication !== 'certificate') return true;
    const keyId = this.#keyIds.get(identity.privateKeyPem);
    return keyId !== undefined && (await this.#client.getKeys({ signal })).includes(keyId);
  }

  async #load(prepared: Prepared, signal: AbortSignal): Promise<void> {
    for (let attempt = 1; attempt <= loadAttemptsMax; attempt += 1) {
      const backend = await detectBackend(this.#client, signal);
      checkProfile(prepared.peer, backend);
      const { generation } = this.#client;
      // Policies first: from here on nothing goes out in plain text.
      if (backend === 'kernel') await this.#loadPolicies(prepared.peer, signal);
      await this.#loadConnection(prepared, backend, signal);
      if (this.#client.generation === generation) {
        prepared.loadedGeneration = generation;
        return;
      }
    }
    throw new PlimsollError('ipsec-unavailable', 'charon went away several times while a connection was loaded: check why it restarts.');
  }

  async #loadPolicies(peer: ChannelPeer, signal: AbortSignal): Promise<void> {
    if (isBundle(peer)) await this.#xfrm.install(peer, signal);
    else await this.#xfrm.removeBundle(peer.peerHostId, signal);
    const sas = await this.#client.listSas({ ike: connectionName(peer.peerHostId) }, { signal });
    if (sas.length === 0) await this.#xfrm.removeStates(peer.peerHostId, signal);
  }

  async #loadConnection({ peer, identity }: Prepared, backend: IpsecBackend, signal: AbortSignal): Promise<void> {
    const connection = connectionConfig(peer, identity, backend);
    const keys = sharedKeysOf(peer, identity.hostId);
    if (peer.profile.authentication === 'certificate') {
      await loadTrust(this.#client, identity, signal);
      this.#keyIds.set(identity.privateKeyPem, await this.#client.loadKey(identity.privateKeyPem, { signal }));
    }
    for (const key of keys) await this.#client.loadShared(key, { signal });
    await unloadSharedKeys(this.#client, peer.peerHostId, new Set(keys.map(({ id }) => id)), signal);
    await this.#client.loadConn(connectionName(peer.peerHostId), connection, { signal });
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

/** Unloads the connection and the shared keys of a peer, whoever loaded them. */
export async function unloadPeer(client: ViciClient, peerHostId: HostId, signal: AbortSignal): Promise<void> {
  const name = connectionName(peerHostId);
  if ((await client.getConns({ signal })).includes(name)) await client.unloadConn(name, { signal });
  await unloadSharedKeys(client, peerHostId, new Set(), signal);
}

async function unloadSharedKeys(client: ViciClient, peerHostId: HostId, kept: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
  const loaded = await client.getShared({ signal });
  for (const id of Object.values(sharedKeyIds(peerHostId))) {
    if (loaded.includes(id) && !kept.has(id)) await client.unloadShared(id, { signal });
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

function checkProfile({ profile }: ChannelPeer, backend: IpsecBackend): void {
  const fault = judgeProfile(profile) ?? profileFault(profile, backend);
  if (fault !== null) throw new PlimsollError(fault.code, fault.message);
}

function isBundle({ profile }: ChannelPeer): boolean {
  return profile.name === 'ah+esp';
}

function isSameChannel(one: ChannelPeer, other: ChannelPeer): boolean {
  return channelText(one) === channelText(other);
}

/** Everything that the connection is made from, as one comparable text. Holds the secrets: never to be shown. */
function channelText({ localAddresses, peerAddresses, profile, secrets }: ChannelPeer): string {
  const { underlay, protected: inner } = localAddresses;
  const fields = Object.entries(profile).toSorted(([one], [two]) => (one < two ? -1 : 1));
  const keys = [secrets.preSharedKey, secrets.postQuantumKey];
  return JSON.stringify([underlay, inner, peerAddresses.underlay, peerAddresses.protected, fields, keys]);
}

function isSameCertificate(one: HostIdentity, other: HostIdentity): boolean {
  return one.certificatePem === other.certificatePem && one.privateKeyPem === other.privateKeyPem && one.caPem === other.caPem;
}
