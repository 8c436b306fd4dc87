import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Controller, startController } from './controller.ts';
import { FakeAgent, fakeParts, guardState, hello, MemoryStore, refuse, runningVm, sampleOf, settings, tokens, vmSample } from './fakes.ts';

let stop: AbortController;
let controller: Controller;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await controller.stopped;
  vi.useRealTimers();
});

async function newCluster() {
  const store = new MemoryStore();
  for (const hostId of ['a', 'b'])
    store.hostRecords.push({ hostId, joinedAtMs: 1_000_000, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
  const parts = fakeParts(store);
  controller = await startController(parts, settings, tokens, stop.signal);
  const alarms = async () => (await controller.status()).alarms.map(({ code, subject }) => `${code} ${subject}`);
  return { parts, alarms, a: new FakeAgent(parts, 'a'), b: new FakeAgent(parts, 'b') };
}

describe('the status of the controller', () => {
  it('raises no alarm over a sound cluster, and shows what is known of each host', async () => {
    const { alarms } = await newCluster();
    await vi.advanceTimersByTimeAsync(31_000);
    expect(await alarms()).toEqual([]);
    expect(await controller.host('a')).toMatchObject({
      guardInstalled: true,
      clockSkewMs: 0,
      revokedAtMs: null,
      certificate: { sha256: /./ },
    });
  });

  it('raises an alarm over a guard that is gone, says it once in the log, and takes it back when it is there again', async () => {
    const { parts, alarms, a } = await newCluster();
    const usual = a.usual('channel.list');
    a.answers['channel.list'] = (args) => ({ ...(usual(args) as object), guard: { ...guardState(0), installed: false } });
    await vi.advanceTimersByTimeAsync(95_000);
    expect(await alarms()).toEqual(['guard-missing a']);
    expect(parts.logged.filter((line) => line.startsWith('alarm'))).toHaveLength(1);
    a.answers['channel.list'] = refuse('internal');
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await alarms()).toEqual(['guard-missing a']);
    delete a.answers['channel.list'];
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await alarms()).toEqual([]);
  });

  it('raises an alarm over a clock, told by hello and by samples', async () => {
    const { alarms, a, b } = await newCluster();
    a.line.close('gone');
    a.dial();
    b.line.deliver({ type: 'sample', sample: sampleOf('b', 1, [], Date.now() - 9000) });
    expect(await alarms()).toEqual([]);
    for (let sequence = 2; sequence < 12; sequence += 1)
      b.line.deliver({ type: 'sample', sample: sampleOf('b', sequence, [], Date.now() - 9000 + sequence) });
    expect(await alarms()).toEqual(['clock-skew b']);
    expect((await controller.host('b')).clockSkewMs).toBeLessThan(-8000);
  });

  it('raises an alarm over a revoked host that comes back, and shows the host as revoked', async () => {
    const { alarms, a } = await newCluster();
    await controller.revokeHost('a', 'stolen', 'anna');
    expect(await alarms()).toEqual([]);
    expect(await controller.host('a')).toMatchObject({ status: 'revoked', revokedAtMs: 1_000_000 });
    expect(controller.isRevoked('a', hello('a').certificate.sha256)).toBe(true);
    expect(controller.isRevoked('b', hello('b').certificate.sha256)).toBe(false);
    a.dial();
    expect(await alarms()).toEqual(['revoked-host-seen a']);
    await controller.admit({ token: 'x', hostId: 'a', addresses: hello('a').addresses }).catch(() => null);
    expect(await alarms()).toEqual(['revoked-host-seen a']);
  });

  it('ends the migrations that a revoked host takes part in', async () => {
    const { parts, a, b } = await newCluster();
    a.vm = runningVm();
    a.line.deliver({ type: 'sample', sample: sampleOf('a', 1, [vmSample()]) });
    b.line.deliver({ type: 'sample', sample: sampleOf('b', 1) });
    const { request } = await controller.migrate({ vm: 'web1', toHostId: 'b' }, 'anna');
    await vi.advanceTimersByTimeAsync(2000);
    expect(parts.store.records.get(request.migrationId)?.phase).toBe('copying');
    await controller.revokeHost('b', 'stolen', 'anna');
    await vi.advanceTimersByTimeAsync(1000);
    expect(a.asked).toContain('transfer.abort');
    await expect(controller.migrate({ vm: 'web1', toHostId: 'b' }, 'anna')).rejects.toMatchObject({ code: 'host-revoked' });
  });

  it('comes from people whose deeds are in the audit', async () => {
    const { parts } = await newCluster();
    const audited = () => parts.store.audited.map(({ verb }) => verb);
    await controller.setMode('approve', 'anna');
    await controller.createToken('c', 60_000, 'anna');
    await controller.renewCertificates('a', 'anna');
    await controller.revokeHost('b', 'stolen', 'anna');
    expect(audited()).toEqual(['mode.set', 'host.token', 'host.renew', 'host.revoke']);
  });
});
