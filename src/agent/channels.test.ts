import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PlimsollError } from '#core/model/result.ts';
import { Channels } from './channels.ts';
import { association, type FakeWorld, fakeWorld, otherPeer, peer, settings } from './fakes.ts';

const going = new AbortController().signal;

beforeEach(() => void vi.useFakeTimers({ now: 10 }));
afterEach(() => void vi.useRealTimers());

function newChannels(): FakeWorld & { readonly channels: Channels } {
  const world = fakeWorld();
  return { ...world, channels: new Channels(world.parts, settings) };
}

describe('the proof of a channel, at its source', () => {
  it('is good for one transfer when the probes went through the SA behind the guard', async () => {
    const { channels } = newChannels();
    expect(await channels.probe(peer, 'n1', going)).toMatchObject({ hostId: 'a', peerHostId: 'b', protectedProbes: 8 });
    expect((await channels.provenSa(peer, going)).spiOut).toBe('aa');
    await expect(channels.provenSa(peer, going)).rejects.toMatchObject({ code: 'proof-missing' });
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
    const world = newChannels();
    spoil(world);
    await world.channels.probe(peer, 'n1', going);
    world.guard.installed = true;
    await expect(world.channels.provenSa(peer, going)).rejects.toMatchObject({ code: 'proof-missing' });
  });

  it('is forgotten as soon as a new one begins, also when the new one fails', async () => {
    const { channels, ipsec } = newChannels();
    await channels.probe(peer, 'n1', going);
    ipsec.fault = new PlimsollError('ipsec-unavailable', 'away');
    await expect(channels.probe(peer, 'n2', going)).rejects.toMatchObject({ code: 'ipsec-unavailable' });
    ipsec.fault = null;
    await expect(channels.provenSa(peer, going)).rejects.toMatchObject({ code: 'proof-missing' });
  });
});

function replaceSa(ipsec: FakeWorld['ipsec'], count: number): number {
  ipsec.sas = [association({ spiOut: 'cc', spiIn: 'dd', packetsOut: count })];
  return count;
}

describe('the proof of a channel, at its destination', () => {
  it('is heard once; what was never listened for is refused', async () => {
    const { channels, heardNonces } = newChannels();
    await channels.listen(peer, 'n1', going);
    expect(heardNonces).toEqual(['n1']);
    expect(await channels.heard('n1', going)).toMatchObject({ protectedProbes: 8, plainProbes: 0 });
    expect(heardNonces).toEqual([]);
    await expect(channels.heard('n1', going)).rejects.toMatchObject({ code: 'proof-failed' });
  });

  it('leaves no listener behind: asked for twice, never asked about, or given up with its channel', async () => {
    const { channels, heardNonces } = newChannels();
    await channels.listen(peer, 'twice', going);
    await channels.listen(peer, 'twice', going);
    expect(heardNonces).toEqual(['twice']);
    await channels.listen(otherPeer, 'other', going);
    await channels.close('b', going);
    expect(heardNonces).toEqual(['other']);
    await vi.advanceTimersByTimeAsync(60_001);
    await channels.listen(peer, 'next', going);
    expect(heardNonces).toEqual(['next']);
  });

  it('stops listening also when its end cannot be read', async () => {
    const { channels, heardNonces, ipsec } = newChannels();
    await channels.listen(peer, 'n1', going);
    ipsec.fault = new PlimsollError('ipsec-unavailable', 'away');
    await expect(channels.heard('n1', going)).rejects.toMatchObject({ code: 'ipsec-unavailable' });
    expect(heardNonces).toEqual([]);
  });

  it('is refused beside too many others', async () => {
    const { channels } = newChannels();
    for (let index = 0; index < 64; index += 1) await channels.listen(peer, `n${index}`, going);
    await expect(channels.listen(peer, 'more', going)).rejects.toMatchObject({ code: 'migration-limit' });
  });
});
