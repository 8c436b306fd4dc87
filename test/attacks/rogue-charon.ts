import type { ChannelProfile } from '#core/model/channel.ts';
import type { HostAddresses } from '#core/model/host.ts';
import type { HostIdentity } from '#core/ports.ts';
import { ViciClient } from '#drivers/strongswan/client.ts';
import { connectionConfig } from '#drivers/strongswan/connection-config.ts';
import { StrongswanError } from '#drivers/strongswan/errors.ts';
import { isSection, type Section } from '#drivers/strongswan/message.ts';
import { connectionName, ikeIdentity } from '#drivers/strongswan/names.ts';
import { unixSocket } from '#drivers/strongswan/transport.ts';
import { loadTrust } from '#drivers/strongswan/trust.ts';

/** One end of a negotiation that follows no policy. */
export interface Offer {
  readonly local: HostAddresses;
  /** Certificate and key that it shows. */
  readonly identity: HostIdentity;
  /** The IKE identity that it says it is. Default: the one of its certificate. */
  readonly claims?: string;
  readonly peerHostId: string;
  readonly peer: HostAddresses;
  readonly profile: ChannelProfile;
}

export interface Outcome {
  readonly up: boolean;
  readonly tookMs: number;
  /** What this end's charon said. */
  readonly said: string;
}

/** No name of Plimsoll's, so that the host's own agent leaves it alone. */
const ownConnection = 'rogue';
/** Longer than charon takes to give a silent peer up in the lab (16 s), so that a refusal is told from silence. */
const initiateMsMax = 20_000;

/** A host's charon in the hands of somebody who is root there: it offers and claims what it is told to. */
export class RogueCharon {
  readonly #client: ViciClient;

  constructor(socketPath: string) {
    this.#client = new ViciClient(unixSocket(socketPath));
  }

  /** Tries to bring up a channel, and takes it down again. */
  async initiate(offer: Offer): Promise<Outcome> {
    const unload = await this.accept(offer);
    const startMs = performance.now();
    try {
      const { log } = await this.#client.initiate({ ike: ownConnection, child: childOf(configOf(offer)) }, { timeoutMs: initiateMsMax });
      return { up: true, tookMs: performance.now() - startMs, said: log.join('\n') };
    } catch (error) {
      if (!(error instanceof StrongswanError) || error.code !== 'strongswan-command-failed') throw error;
      return { up: false, tookMs: performance.now() - startMs, said: error.log.join('\n') };
    } finally {
      await this.#end(ownConnection);
      await unload();
    }
  }

  /** Loads the connection, so that a peer can bring it up; returns the way to unload it. */
  async accept(offer: Offer): Promise<() => Promise<void>> {
    const known = await this.#client.getKeys();
    await loadTrust(this.#client, offer.identity, AbortSignal.timeout(initiateMsMax));
    const key = await this.#client.loadKey(offer.identity.privateKeyPem);
    await this.#client.loadConn(ownConnection, configOf(offer));
    return async () => {
      await this.#client.unloadConn(ownConnection);
      // One that was there before is the agent's.
      if (!known.includes(key)) await this.#client.unloadKey(key);
    };
  }

  /** Ends Plimsoll's own channel to this peer on this host and forgets its connection. The other host keeps what it has prepared. */
  async forget(peerHostId: string): Promise<void> {
    const name = connectionName(peerHostId);
    await this.#end(name);
    if ((await this.#client.getConns()).includes(name)) await this.#client.unloadConn(name);
  }

  /** CHILD_SAs that charon itself names, of one peer or of all. */
  async installed(peerHostId?: string): Promise<number> {
    const sas = await this.#client.listSas(peerHostId === undefined ? {} : { ike: connectionName(peerHostId) });
    return sas.flatMap((ike) => ike.children).length;
  }

  close(): void {
    this.#client.close();
  }

  async #end(connection: string): Promise<void> {
    for (const { uniqueId } of await this.#client.listSas({ ike: connection })) {
      // The peer may have ended it in the meantime.
      await this.#client.terminate({ ikeId: uniqueId }, { timeoutMs: 2000, force: true }).catch(() => null);
    }
  }
}

function configOf({ local, identity, claims, peerHostId, peer, profile }: Offer): Section {
  const secrets = { preSharedKey: null, postQuantumKey: null };
  const channel = { localAddresses: local, peerHostId, peerAddresses: peer, profile, secrets };
  const config = connectionConfig(channel, identity, 'libipsec');
  const own = config['local'];
  if (claims === undefined || !isSection(own)) return config;
  return { ...config, local: { ...own, id: ikeIdentity(claims) } };
}

function childOf({ children }: Section): string {
  const name = isSection(children) ? Object.keys(children)[0] : undefined;
  if (name === undefined) throw new Error('a connection without children');
  return name;
}
