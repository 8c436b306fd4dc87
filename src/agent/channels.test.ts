import { describe, expect, it } from 'vitest';
import type { ChannelProfile } from '#core/model/channel.ts';
import { PlimsollError } from '#core/model/result.ts';
import { Channels } from './channels.ts';
import { association, peer, profile, settings } from './examples.ts';
import { type FakeWorld, fakeWorld } from './fakes.ts';

const going = new AbortController().signal;
const noSecrets = { preSharedKey: null, postQuantumKey: null };
const canary = `${'C'.repeat(42)}A=`;

function newChannels(): FakeWorld & { readonly channels: Channels } {
  const world = fakeWorld();
  return { ...world, channels: new Channels(world.parts, settings) };
}

const withProfile = (changes: Partial<ChannelProfile>) => ({ ...peer, profile: { ...profile, ...changes } });

describe('a channel', () => {
  it('is between the protected addresses in tunnel mode, and between the underlay addresses in transport mode', async () => {
    const { channels, ipsec } = newChannels();
    await channels.prepare(peer, noSecrets, going);
    await channels.prepare(withProfile({ name: 'esp-transport' }), noSecrets, going);
    expect(ipsec.prepared.map((one) => [one.localAddresses.protected, one.peerAddresses.protected])).toEqual([
      ['10.1.0.1', '10.1.0.2'],
      ['10.0.0.1', '10.0.0.2'],
    ]);
  });

  const refused: readonly (readonly [story: string, changes: Partial<ChannelProfile>, secrets: object, code: string])[] = [
    ['a forbidden algorithm', { espProposals: ['3des-sha1-modp1024'] }, {}, 'profile-refused'],
    ['AH in userspace', { name: 'ah' }, {}, 'profile-unsupported'],
    ['a pre-shared key that did not come', { authentication: 'psk' }, {}, 'profile-refused'],
    ['a pre-shared key that nobody wants', {}, { preSharedKey: canary }, 'profile-refused'],
    ['a key that is too short', { authentication: 'psk' }, { preSharedKey: 'QUJD' }, 'profile-refused'],
  ];

  it.each(refused)('with %s is refused before anything is loaded', async (_story, changes, secrets, code) => {
    const { channels, ipsec } = newChannels();
    ipsec.carrier = 'libipsec';
    await expect(channels.prepare(withProfile(changes), { ...noSecrets, ...secrets }, going)).rejects.toMatchObject({ code });
    expect(ipsec.prepared).toEqual([]);
    expect(channels.preparedPeers).toEqual([]);
  });

  it('has its secrets from its preparation to its end, and tells nobody but the IPsec daemon', async () => {
    const { channels, ipsec, logged } = newChannels();
    const byKey = withProfile({ authentication: 'psk' });
    await channels.prepare(byKey, { ...noSecrets, preSharedKey: canary }, going);
    await channels.establish(byKey, going);
    await channels.end('b', going);
    await channels.establish(byKey, going);
    expect(ipsec.established.map(({ secrets }) => secrets.preSharedKey)).toEqual([canary, null]);
    expect(JSON.stringify([logged, await channels.list(going)])).not.toContain(canary);
  });

  it('to a revoked host is neither prepared, established nor rekeyed, and is again when it has joined anew', async () => {
    const { channels } = newChannels();
    const revoked = expect.objectContaining({ code: 'host-revoked' });
    channels.exclude(new Set(['b']));
    await expect(channels.prepare(peer, noSecrets, going)).rejects.toEqual(revoked);
    expect(() => channels.establish(peer, going)).toThrow(revoked);
    expect(() => channels.rekey('b', going)).toThrow(revoked);
    channels.exclude(new Set(['c']));
    await channels.prepare(peer, noSecrets, going);
  });

  it('is not prepared when its peer is revoked while the guard is looked after', async () => {
    const { channels, guard, ipsec } = newChannels();
    guard.install = async () => channels.exclude(new Set(['b']));
    await expect(channels.prepare(peer, noSecrets, going)).rejects.toMatchObject({ code: 'host-revoked' });
    expect(ipsec.prepared).toEqual([]);
  });

  it('takes its network settings with it, also when charon is away', async () => {
    const { channels, ipsec, network } = newChannels();
    ipsec.fault = new PlimsollError('ipsec-unavailable', 'away');
    await expect(channels.end('b', going)).rejects.toMatchObject({ code: 'ipsec-unavailable' });
    expect(network.restored).toEqual(['b']);
  });
});

describe('a reading', () => {
  it('is of the newest SA that carries traffic', async () => {
    const { channels, ipsec } = newChannels();
    const errors = { integrityPackets: 1, replayPackets: 2, unknownSpiPackets: 3, plainTextPackets: 4 };
    ipsec.counted = errors;
    ipsec.sas = [association(), association({ childUniqueId: '12' }), association({ childUniqueId: '13', state: 'deleting' })];
    const reading = await channels.reading('b', going);
    expect(reading).toMatchObject({ sa: { childUniqueId: '12' }, guard: { installed: true }, errors });
    expect((await channels.reading('c', going)).sa).toBeNull();
  });
});

describe('the list of channels', () => {
  it('shows the guard and the tunings also while charon is away', async () => {
    const { channels, ipsec } = newChannels();
    expect(await channels.list(going)).toMatchObject({ backend: 'kernel', sas: [{ peerHostId: 'b' }] });
    ipsec.fault = new PlimsollError('ipsec-unavailable', 'away');
    expect(await channels.list(going)).toMatchObject({ backend: null, sas: [], errors: null, guard: { installed: true }, tuned: [] });
  });

  it('is refused when charon is there and does not answer rightly', async () => {
    const { channels, ipsec } = newChannels();
    ipsec.fault = new PlimsollError('ipsec-failed', 'what?');
    await expect(channels.list(going)).rejects.toMatchObject({ code: 'ipsec-failed' });
  });
});
