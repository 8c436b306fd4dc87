import { defaultProfile } from '#core/model/policy.ts';
import type { ChannelSecrets } from '#core/model/channel.ts';
import type { HostIdentity } from '#core/ports.ts';
import { describe, expect, test } from 'vitest';
import { pemOf } from './certificates.ts';
import { defaultOffer } from './definitions.ts';
import { surroundings } from './examples.ts';
import { SimIpsec } from './ipsec.ts';
import { Streams } from './random.ts';
import { VirtualTime } from './virtual-time.ts';
import { World } from './world.ts';

const going = new AbortController().signal;
const noSecrets: ChannelSecrets = { preSharedKey: null, postQuantumKey: null };

interface End {
  readonly revokes?: string;
  readonly notAfterMs?: number;
  readonly profile?: Partial<typeof defaultProfile>;
  readonly secrets?: Partial<ChannelSecrets>;
}

function identityOf(hostId: string, nowMs: number, { revokes, notAfterMs }: End): HostIdentity {
  const serial = { serialNumber: hostId, authorityId: 'ca' };
  const dates = { notBeforeMs: 0, notAfterMs: nowMs + (notAfterMs ?? 1_000_000) };
  const certificatePem = pemOf({ kind: 'certificate', hostId, key: hostId, ...serial, ...dates });
  const crlPems = [pemOf({ kind: 'list', authorityId: 'ca', number: 1, serialNumbers: revokes === undefined ? [] : [revokes] })];
  return { hostId, certificatePem, privateKeyPem: hostId, caPem: 'root', intermediatesPem: 'ca', crlPems, ...dates };
}

/** Prepares both ends and establishes from the first; resolves with the refusal, or with null. */
async function establish(one: End, other: End): Promise<string | null> {
  const time = new VirtualTime();
  const spec = (hostId: string, last: number) => ({
    hostId,
    addresses: { underlay: `10.0.0.${last}`, protected: `10.79.0.${last}`, interface: 'eth0' },
    cpuCores: 4,
    memoryBytes: 2 ** 33,
    linkBytesPerSecond: 2 ** 25,
    ipsec: 'kernel' as const,
    mtuBytes: 1500,
    ...defaultOffer,
  });
  const world = new World(time, [spec('a', 1), spec('b', 2)], []);
  const ends = (
    [
      ['a', 'b', one],
      ['b', 'a', other],
    ] as const
  ).map(([hostId, peerHostId, end]) => {
    const ipsec = new SimIpsec(world, world.host(hostId), new Streams(1).stream(hostId));
    const peer = {
      localAddresses: world.host(hostId).spec.addresses,
      peerHostId,
      peerAddresses: world.host(peerHostId).spec.addresses,
      profile: { ...defaultProfile, ...end.profile },
      secrets: { ...noSecrets, ...end.secrets },
    };
    return { ipsec, peer, identity: identityOf(hostId, time.nowMs, end) };
  });
  const work = (async () => {
    for (const { ipsec, peer, identity } of ends) await ipsec.prepare(peer, identity, going);
    const [near] = ends;
    if (near) await near.ipsec.establish(near.peer, going);
    return null;
  })().catch((error: unknown) => String(error));
  await time.runUntil(1000, surroundings.drain);
  return work;
}

describe('a simulated IKE exchange', () => {
  const psk = { profile: { authentication: 'psk' as const } };

  test('makes an SA between two ends that agree and believe each other', async () => {
    expect(await establish({}, {})).toBeNull();
    expect(await establish({ ...psk, secrets: { preSharedKey: 'k' } }, { ...psk, secrets: { preSharedKey: 'k' } })).toBeNull();
  });

  const refused: readonly (readonly [story: string, one: End, other: End, why: RegExp])[] = [
    ['whose peer was revoked', { revokes: 'b' }, {}, /revoked/],
    ['that was revoked itself, as its peer knows', {}, { revokes: 'a' }, /revoked/],
    ['whose peer has an old certificate', {}, { notAfterMs: -1 }, /expired/],
    ['that propose different things', {}, { profile: { espProposals: ['aes128gcm16-ecp256'] } }, /no proposal/],
    ['with different keys', { ...psk, secrets: { preSharedKey: 'k' } }, { ...psk, secrets: { preSharedKey: 'x' } }, /keys differ/],
    ['with different post-quantum keys', { secrets: { postQuantumKey: 'k' } }, {}, /post-quantum keys differ/],
  ];

  test.each(refused)('fails for an end %s', async (_story, one, other, why) => {
    expect(await establish(one, other)).toMatch(why);
  });
});
