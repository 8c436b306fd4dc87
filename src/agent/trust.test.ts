import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PlimsollError } from '#core/model/result.ts';
import { association, otherPeer, peer, settings, signed, startArgs, ticketOf } from './examples.ts';
import { type FakeWorld, fakeWorld } from './fakes.ts';
import { Remembered } from './remembered.ts';
import { type AgentRooms, openRooms } from './rooms.ts';

const going = new AbortController().signal;
const noSecrets = { preSharedKey: null, postQuantumKey: null };
const away = new PlimsollError('ipsec-unavailable', 'away');
const revoke = (...revokedHostIds: string[]) => ({ intermediatesPem: 'cas', crlPems: ['list'], revokedHostIds });
let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 10 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

async function newTrust(): Promise<FakeWorld & AgentRooms> {
  const world = fakeWorld();
  const rooms = openRooms(world.parts, settings, await Remembered.load(world.memory), 'boot1');
  void rooms.trust.keep(stop.signal);
  return { ...world, ...rooms };
}

describe('a new certificate', () => {
  it('is made durable, then handed to IPsec and the hypervisor; a transfer goes on', async () => {
    const { trust, identity, ipsec, hypervisor, transfers } = await withTransfer();
    await trust.install({ certificatePem: 'new', intermediatesPem: 'ca' }, going);
    expect(identity.current().certificatePem).toBe('new');
    expect(ipsec.trusted.map(({ certificatePem }) => certificatePem)).toEqual(['new']);
    expect(hypervisor.done).toEqual(['reload-certificates']);
    expect(transfers.status('m1')).toMatchObject({ kind: 'running' });
  });

  it('that does not verify is refused and handed to nobody', async () => {
    const { trust, identity, ipsec, hypervisor } = await newTrust();
    identity.fault = new PlimsollError('input-invalid', 'not for this key');
    await expect(trust.install({ certificatePem: 'new', intermediatesPem: 'ca' }, going)).rejects.toMatchObject({ code: 'input-invalid' });
    expect([ipsec.trusted, hypervisor.done]).toEqual([[], []]);
  });

  it('reaches a daemon that was away as soon as it is back', async () => {
    const { trust, ipsec, hypervisor, logged } = await newTrust();
    hypervisor.fault = new PlimsollError('hypervisor-unavailable', 'away');
    await trust.install({ certificatePem: 'new', intermediatesPem: 'ca' }, going);
    expect([ipsec.trusted.length, hypervisor.done]).toEqual([1, []]);
    await vi.advanceTimersByTimeAsync(60_000);
    hypervisor.fault = null;
    await vi.advanceTimersByTimeAsync(30_000);
    expect([ipsec.trusted.length, hypervisor.done]).toEqual([1, ['reload-certificates']]);
    expect(logged.filter((line) => line.startsWith('could not'))).toHaveLength(1);
  });
});

async function withTransfer(): Promise<FakeWorld & AgentRooms> {
  const world = await newTrust();
  await world.gate.accept(signed(ticketOf()), 10);
  await world.proofs.probe(peer, 'n1', going);
  await world.transfers.start(startArgs, going);
  return world;
}

describe('a revocation', () => {
  it('ends the transfer to the revoked host, its SAs and its connection, and keeps the other peers', async () => {
    const world = await withTransfer();
    const { trust, channels, ipsec, transfers, identity } = world;
    ipsec.sas = [...ipsec.sas, association({ peerHostId: 'c' })];
    await channels.prepare({ ...otherPeer, hostId: 'd' }, noSecrets, going);
    await trust.update(revoke('b', 'd', 'x'), going);
    await vi.advanceTimersByTimeAsync(0);
    expect(transfers.status('m1')).toMatchObject({ kind: 'failed', refusal: { code: 'host-revoked' } });
    expect(ipsec.removed.toSorted()).toEqual(['b', 'd']);
    expect(ipsec.sas.map(({ peerHostId }) => peerHostId)).toEqual(['c']);
    expect(identity.updates).toEqual([{ intermediatesPem: 'cas', crlPems: ['list'] }]);
    expect(ipsec.trusted.map(({ crlPems }) => crlPems)).toEqual([['list']]);
  });

  it('of another host leaves a transfer alone', async () => {
    const { trust, ipsec, transfers } = await withTransfer();
    await trust.update(revoke('x'), going);
    await vi.advanceTimersByTimeAsync(5000);
    expect(transfers.status('m1')).toMatchObject({ kind: 'running' });
    expect(ipsec.removed).toEqual([]);
  });

  it('counts also when the lists are refused, and is lifted by a later one without that host', async () => {
    const { trust, channels, identity, ipsec } = await withTransfer();
    identity.fault = new PlimsollError('input-invalid', 'an older list');
    await expect(trust.update(revoke('b'), going)).rejects.toMatchObject({ code: 'input-invalid' });
    expect(ipsec.removed).toEqual(['b']);
    await expect(channels.prepare(peer, noSecrets, going)).rejects.toMatchObject({ code: 'host-revoked' });
    identity.fault = null;
    await trust.update(revoke(), going);
    await channels.prepare(peer, noSecrets, going);
  });

  it('ends the SAs as soon as charon is back, or no longer hangs', async () => {
    const { trust, ipsec, transfers } = await withTransfer();
    ipsec.fault = away;
    await trust.update(revoke('b'), going);
    await vi.advanceTimersByTimeAsync(0);
    expect(transfers.status('m1')).toMatchObject({ kind: 'failed' });
    expect(ipsec.removed).toEqual([]);
    await vi.advanceTimersByTimeAsync(1000);
    ipsec.fault = null;
    await vi.advanceTimersByTimeAsync(1000);
    expect(ipsec.removed).toEqual(['b']);
    ipsec.sas = [association()];
    ipsec.hangs = true;
    const updated = trust.update(revoke('b'), going);
    await vi.advanceTimersByTimeAsync(3000);
    ipsec.hangs = false;
    await updated;
    await vi.advanceTimersByTimeAsync(2000);
    expect(ipsec.sas).toEqual([]);
  });
});
