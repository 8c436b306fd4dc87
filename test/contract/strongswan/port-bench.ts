import { inspect } from 'node:util';
import { expect } from 'vitest';
import type { ChannelProfile, ChannelSecrets, SecurityAssociation } from '#core/model/channel.ts';
import type { ChannelPeer, HostIdentity, Ipsec } from '#core/ports.ts';
import { ViciClient } from '#drivers/strongswan/client.ts';
import { createStrongswanIpsec } from '#drivers/strongswan/ipsec.ts';
import { unixSocket } from '#drivers/strongswan/transport.ts';
import { until } from '#test/support/until.ts';
import { type CharonHost, type CharonPair, channelPeer, profileOf, secretsOf } from './charon-pair.ts';
import { type Identities, createIdentities } from './identities.ts';
import type { Implementation } from './implementations.ts';

export const soon = (): AbortSignal => AbortSignal.timeout(50_000);

/** One channel that a test works on, with the port on both ends. */
export interface Channel {
  readonly a: Ipsec;
  readonly b: Ipsec;
  readonly toB: ChannelPeer;
  readonly toA: ChannelPeer;
}

export interface OpenOptions {
  readonly profile?: ChannelProfile;
  readonly secrets?: ChannelSecrets;
  /** What the other end is given, where it shall differ. */
  readonly profileB?: ChannelProfile;
  readonly secretsB?: ChannelSecrets;
  readonly identityA?: HostIdentity;
  readonly identityB?: HostIdentity;
}

/** A pair of hosts with everything that tests of the port need on them; the state of one test does not reach the next. */
export class PortBench {
  readonly pair: CharonPair;
  readonly identities: Identities;
  readonly identityA: HostIdentity;
  readonly identityB: HostIdentity;
  /** Such as `host-a: host-b up`. */
  readonly changes: string[] = [];
  readonly #opened: Ipsec[] = [];
  readonly #clients: ViciClient[] = [];

  private constructor(pair: CharonPair, identities: Identities, identityA: HostIdentity, identityB: HostIdentity) {
    this.pair = pair;
    this.identities = identities;
    this.identityA = identityA;
    this.identityB = identityB;
  }

  static async start(implementation: Implementation): Promise<PortBench> {
    const [pair, identities] = await Promise.all([implementation.start(), createIdentities()]);
    return new PortBench(pair, identities, await identities.of('host-a'), await identities.of('host-b'));
  }

  ipsecOn(host: CharonHost, establishTimeoutMs = 20_000): Ipsec {
    const ipsec = createStrongswanIpsec({ socketPath: host.socketPath, establishTimeoutMs, ...host.driverOptions });
    ipsec.onSaChange((change) => this.changes.push(`${host.name}: ${change.peerHostId} ${change.up ? 'up' : 'down'}`));
    this.#opened.push(ipsec);
    return ipsec;
  }

  clientOn(host: CharonHost): ViciClient {
    const client = new ViciClient(unixSocket(host.socketPath));
    this.#clients.push(client);
    return client;
  }

  /** Prepares both ends, alike unless told otherwise. */
  async open(options: OpenOptions = {}): Promise<Channel> {
    const profile = options.profile ?? profileOf();
    const secrets = options.secrets ?? secretsOf(profile);
    const { a, b } = this.pair;
    const channel: Channel = {
      a: this.ipsecOn(a),
      b: this.ipsecOn(b),
      toB: channelPeer(a, b, profile, secrets),
      toA: channelPeer(b, a, options.profileB ?? profile, options.secretsB ?? secrets),
    };
    await Promise.all([
      channel.a.prepare(channel.toB, options.identityA ?? this.identityA, soon()),
      channel.b.prepare(channel.toA, options.identityB ?? this.identityB, soon()),
    ]);
    return channel;
  }

  changed(change: string): Promise<void> {
    return until(change, () => this.changes.includes(change));
  }

  /** To be called after each test. */
  async reset(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    for (const ipsec of this.#opened.splice(0)) await ipsec.close();
    const { a, b } = this.pair;
    for (const [host, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      const cleaner = createStrongswanIpsec({ socketPath: host.socketPath, ...host.driverOptions });
      await cleaner.remove(peer.name, soon());
      await cleaner.close();
    }
    this.changes.length = 0;
  }
}

/** The one installed SA of this host. */
export async function onlySa(ipsec: Ipsec): Promise<SecurityAssociation> {
  const [sa, ...others] = (await ipsec.listSas(soon())).filter(({ state }) => state === 'installed');
  expect(others).toEqual([]);
  if (sa === undefined) throw new Error('there is no SA');
  return sa;
}

export interface Refusal {
  readonly message: string;
  readonly tookMs: number;
  /** Everything that the error carries, causes and their fields too. */
  readonly everything: string;
}

/** Expects that no SA comes up from this end; how long the refusal took. */
export async function refusal(channel: Channel): Promise<Refusal> {
  const startMs = performance.now();
  const error: unknown = await channel.a.establish(channel.toB, soon()).then(
    (sa) => new Error(`an SA came up: ${sa.spiIn}`),
    (reason: unknown) => reason,
  );
  const tookMs = Math.round(performance.now() - startMs);
  expect(error, `after ${tookMs} ms`).toMatchObject({ code: 'ipsec-failed' });
  // A responder learns that it was refused only after it has answered.
  const sasOf = async (ipsec: Ipsec): Promise<number> => (await ipsec.listSas(soon())).length;
  await until('no SA on either side', async () => (await sasOf(channel.a)) + (await sasOf(channel.b)) === 0);
  return { message: error instanceof Error ? error.message : '', tookMs, everything: inspect(error, { depth: null }) };
}
