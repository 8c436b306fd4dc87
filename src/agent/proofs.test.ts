import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PlimsollError } from '#core/model/result.ts';
import { Channels } from './channels.ts';
import { association, fakeSha256, otherPeer, peer, profile, settings } from './examples.ts';
import { type FakeWorld, fakeWorld } from './fakes.ts';
import { Proofs } from './proofs.ts';

const going = new AbortController().signal;

beforeEach(() => void vi.useFakeTimers({ now: 10 }));
afterEach(() => void vi.useRealTimers());

function newProofs(): FakeWorld & { readonly proofs: Proofs; readonly channels: Channels } {
  const world = fakeWorld();
  const channels = new Channels(world.parts, settings);
  return { ...world, channels, proofs: new Proofs(world.parts, settings, channels) };
}

describe('the proof of a channel, at its source', () => {
  it('is good for one transfer when the probes went through the SA behind the guard', async () => {
    const { proofs } = newProofs();
    expect(await proofs.probe(peer, 'n1', going)).toMatchObject({ hostId: 'a', peerHostId: 'b', protectedProbes: 8 });
    expect((await proofs.spend(peer, going)).sa?.spiOut).toBe('aa');
    await expect(proofs.spend(peer, going)).rejects.toMatchObject({ code: 'proof-missing' });
  });

  const broken: readonly (readonly [story: string, spoil: (world: FakeWorld) => unknown])[] = [
    ['the guard is not installed', ({ guard }) => (guard.installed = false)],
    ['there is no SA', ({ ipsec }) => (ipsec.sas = [])],
    ['the SA is of another peer', ({ ipsec }) => (ipsec.sas = [association({ peerHostId: 'c' })])],
    ['the cipher is weak', ({ ipsec }) => (ipsec.sas = [association({ encryption: 'NULL' })])],
    ['the probes went beside the SA', ({ parts }) => (parts.prober.sendProtected = async ({ count }) => count)],
    ['the SA was replaced on the way', ({ parts, ipsec }) => (parts.prober.sendProtected = async ({ count }) => replaceSa(ipsec, count))],
  ];

  it.each(broken)('is none when %s', async (_story, spoil) => {
    const world = newProofs();
    spoil(world);
    await world.proofs.probe(peer, 'n1', going);
    world.guard.installed = true;
    await expect(world.proofs.spend(peer, going)).rejects.toMatchObject({ code: 'proof-missing' });
  });

  it('is forgotten as soon as a new one begins, also when the new one fails', async () => {
    const { proofs, ipsec } = newProofs();
    await proofs.probe(peer, 'n1', going);
    ipsec.fault = new PlimsollError('ipsec-unavailable', 'away');
    await expect(proofs.probe(peer, 'n2', going)).rejects.toMatchObject({ code: 'ipsec-unavailable' });
    ipsec.fault = null;
    await expect(proofs.spend(peer, going)).rejects.toMatchObject({ code: 'proof-missing' });
  });
});

describe('the facts of a proof', () => {
  it('name the certificate that the channel was prepared with, also when a newer one came since', async () => {
    const { channels, proofs, identity } = newProofs();
    await channels.prepare(peer, { preSharedKey: null, postQuantumKey: null }, going);
    await identity.install('a newer one');
    expect((await proofs.probe(peer, 'n1', going)).certificateSha256).toBe(fakeSha256(new TextEncoder().encode('first')));
  });

  it('name none where a pre-shared key authenticates', async () => {
    const { proofs } = newProofs();
    const byKey = { ...peer, profile: { ...profile, authentication: 'psk' as const } };
    expect((await proofs.probe(byKey, 'n1', going)).certificateSha256).toBeNull();
  });
});

describe('a proof', () => {
  it('counts for its profile and address only', async () => {
    const { proofs } = newProofs();
    const transport = { ...peer, profile: { ...profile, name: 'esp-transport' as const } };
    const elsewhere = { ...peer, addresses: { ...peer.addresses, protected: '10.1.0.66' } };
    for (const other of [transport, elsewhere]) {
      await proofs.probe(peer, 'n1', going);
      await expect(proofs.spend(other, going)).rejects.toMatchObject({ code: 'proof-missing' });
      await proofs.spend(peer, going);
    }
  });

  it('of a host that was revoked since counts for nothing, and no new one is made', async () => {
    const { channels, proofs } = newProofs();
    await proofs.probe(peer, 'n1', going);
    channels.exclude(new Set(['b']));
    await expect(proofs.spend(peer, going)).rejects.toMatchObject({ code: 'host-revoked' });
    await expect(proofs.probe(peer, 'n2', going)).rejects.toMatchObject({ code: 'host-revoked' });
    await expect(proofs.listen(peer, 'n3', going)).rejects.toMatchObject({ code: 'host-revoked' });
  });
});

function replaceSa(ipsec: FakeWorld['ipsec'], count: number): number {
  ipsec.sas = [association({ spiOut: 'cc', spiIn: 'dd', packetsOut: count })];
  return count;
}

describe('the proof of a channel, at its destination', () => {
  it('is heard once; what was never listened for is refused', async () => {
    const { proofs, heardNonces } = newProofs();
    await proofs.listen(peer, 'n1', going);
    expect(heardNonces).toEqual(['n1']);
    expect(await proofs.heard('n1', going)).toMatchObject({ protectedProbes: 8, plainProbes: 0 });
    expect(heardNonces).toEqual([]);
    await expect(proofs.heard('n1', going)).rejects.toMatchObject({ code: 'proof-failed' });
  });

  it('leaves no listener behind: asked for twice, never asked about, or given up with its channel', async () => {
    const { proofs, heardNonces } = newProofs();
    await proofs.listen(peer, 'twice', going);
    await proofs.listen(peer, 'twice', going);
    expect(heardNonces).toEqual(['twice']);
    await proofs.listen(otherPeer, 'other', going);
    await proofs.forget('b');
    expect(heardNonces).toEqual(['other']);
    await vi.advanceTimersByTimeAsync(60_001);
    await proofs.listen(peer, 'next', going);
    expect(heardNonces).toEqual(['next']);
  });

  it('stops listening also when its end cannot be read', async () => {
    const { proofs, heardNonces, ipsec } = newProofs();
    await proofs.listen(peer, 'n1', going);
    ipsec.fault = new PlimsollError('ipsec-unavailable', 'away');
    await expect(proofs.heard('n1', going)).rejects.toMatchObject({ code: 'ipsec-unavailable' });
    expect(heardNonces).toEqual([]);
  });

  it('is refused beside too many others', async () => {
    const { proofs } = newProofs();
    for (let index = 0; index < 64; index += 1) await proofs.listen(peer, `n${index}`, going);
    await expect(proofs.listen(peer, 'more', going)).rejects.toMatchObject({ code: 'migration-limit' });
  });
});
