import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cores } from '#core/model/units.ts';
import { ClusterView } from './cluster-view.ts';
import { hello, policy, sampleOf, vmId, vmSample } from './fakes.ts';

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => void vi.useRealTimers());

function newView(...hostIds: readonly string[]): ClusterView {
  const view = new ClusterView(policy);
  for (const hostId of hostIds) {
    view.adopt({ hostId, joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
    view.connect(hostId, hello(hostId));
  }
  return view;
}

const statusOf = (view: ClusterView, hostId: string) => {
  const host = view.host(hostId);
  return host && view.status(host, Date.now());
};

describe('what the controller believes of its hosts', () => {
  it('takes samples of joined hosts only', () => {
    const view = newView('a');
    expect(view.ingest(sampleOf('a', 1), Date.now())).toEqual({ ok: true });
    expect(view.ingest(sampleOf('x', 1), Date.now())).toEqual({ ok: false, reason: 'host has not joined' });
    view.connect('x', hello('x'));
    expect(view.hosts().map(({ hostId }) => hostId)).toEqual(['a']);
  });

  const rejected: readonly (readonly [story: string, sequence: number, shiftMs: number, reason: string])[] = [
    ['comes a second time', 5, 1000, 'sequence-back'],
    ['is older than the one before', 6, -1000, 'older-than-previous'],
    ['is from the future', 6, 60_000, 'in-future'],
  ];

  it.each(rejected)('counts a sample as rejected that %s, and goes on with what it had', (_story, sequence, shiftMs, reason) => {
    const view = newView('a');
    view.ingest(sampleOf('a', 5, [vmSample()]), Date.now());
    const verdict = view.ingest(sampleOf('a', sequence, [], Date.now() + shiftMs), Date.now());
    expect(verdict).toEqual({ ok: false, reason: expect.stringContaining(reason) });
    expect(view.host('a')).toMatchObject({ samplesAccepted: 1, trust: { rejected: { [reason]: 1 }, quarantine: null } });
    expect(view.vms()).toHaveLength(1);
  });

  it('does not believe a load that cannot be', () => {
    const view = newView('a');
    const verdict = view.ingest(sampleOf('a', 1, [vmSample({ cpuUsedCores: cores(400) })]), Date.now());
    expect(verdict).toEqual({ ok: false, reason: expect.stringContaining('implausible') });
    expect(view.snapshot(Date.now()).hosts).toEqual([]);
  });

  it('tells a host that is up from one that is silent, lost or never came', async () => {
    const view = newView('a', 'b');
    view.adopt({ hostId: 'c', joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
    view.ingest(sampleOf('a', 1), Date.now());
    expect(['a', 'b', 'c'].map((hostId) => statusOf(view, hostId))).toEqual(['up', 'silent', 'joined']);
    await vi.advanceTimersByTimeAsync(policy.sampleAgeMsMax + 1);
    expect(statusOf(view, 'a')).toBe('silent');
    view.ingest(sampleOf('a', 2), Date.now());
    view.disconnect('a');
    expect(statusOf(view, 'a')).toBe('silent');
  });

  it('counts the rounds over the line from zero again when a host was lost', () => {
    const view = newView('a');
    view.ingest(sampleOf('a', 1, [vmSample({ cpuUsedCores: cores(3.9) })]), Date.now());
    expect(view.nextRound(Date.now()).hosts).toMatchObject([{ roundsOverLine: 1 }]);
    expect(view.nextRound(Date.now()).hosts).toMatchObject([{ roundsOverLine: 2 }]);
    view.disconnect('a');
    expect(view.snapshot(Date.now()).hosts).toMatchObject([{ roundsOverLine: 0 }]);
  });
});

describe('what a VM uses that has come from another host', () => {
  const loaded = vmSample({ cpuUsedCores: cores(2) });
  const arrived = vmSample({ cpuUsedCores: null });
  const at = (seconds: number) => Date.now() + seconds * 1000;

  it.each([
    ['the host that it left', ['a', 'b']],
    ['the host that it came to', ['b', 'a']],
  ])('is known from there until it is measured, when %s speaks first', (_story, order) => {
    const view = newView('a', 'b');
    view.ingest(sampleOf('a', 1, [loaded]), Date.now());
    view.ingest(sampleOf('b', 1, [vmSample({ state: 'incoming', cpuUsedCores: null })]), Date.now());
    for (const hostId of order) view.ingest(sampleOf(hostId, 2, hostId === 'b' ? [arrived] : [], at(1)), at(1));
    expect(view.vms()).toMatchObject([{ hostId: 'b', cpuUsedCores: 2 }]);
  });

  it('is not known any more when it comes long after it has gone', () => {
    const view = newView('a', 'b');
    const lateMs = at(1) + policy.sampleAgeMsMax + 1;
    view.ingest(sampleOf('a', 1, [loaded]), Date.now());
    view.ingest(sampleOf('a', 2, [], at(1)), at(1));
    view.nextRound(lateMs);
    view.ingest(sampleOf('b', 1, [arrived], lateMs), lateMs);
    expect(view.vms()).toMatchObject([{ hostId: 'b', cpuUsedCores: 0 }]);
  });
});

describe('where the controller believes a VM to be', () => {
  it('is where it runs, not where it waits for memory, whichever sample came last', () => {
    const view = newView('a', 'b');
    view.ingest(sampleOf('a', 1, [vmSample()]), Date.now());
    view.ingest(sampleOf('b', 1, [vmSample({ state: 'incoming' })], Date.now() + 1), Date.now() + 1);
    expect(view.vms()).toMatchObject([{ vmId, hostId: 'a', state: 'running' }]);
  });

  it('is where it is halted for its last round, not where it waits for memory, whichever sample came last', () => {
    const view = newView('a', 'b');
    view.ingest(sampleOf('a', 1, [vmSample({ state: 'paused' })]), Date.now());
    view.ingest(sampleOf('b', 1, [vmSample({ state: 'incoming' })], Date.now() + 1), Date.now() + 1);
    expect(view.vms()).toMatchObject([{ vmId, hostId: 'a', state: 'paused' }]);
  });

  it('is the newest word when two hosts claim to run it, also when the older one is never heard again', () => {
    const view = newView('a', 'b');
    view.ingest(sampleOf('a', 1, [vmSample()]), Date.now());
    view.ingest(sampleOf('b', 1, [vmSample()], Date.now() + 1), Date.now() + 1);
    view.disconnect('a');
    expect(view.vms()).toMatchObject([{ vmId, hostId: 'b' }]);
  });

  it.each(['a', 'b'])('runs where a migration has put it, whatever a sample of host %s said in the switch-over', (hostId) => {
    const view = newView('a', 'b');
    view.ingest(sampleOf(hostId, 1, [vmSample({ state: 'paused' })]), Date.now());
    view.place(vmId, 'b', Date.now());
    expect(view.vms()).toMatchObject([{ hostId: 'b', state: 'running' }]);
    view.ingest(sampleOf('b', 2, [vmSample({ state: 'paused' })], Date.now() + 1), Date.now() + 1);
    expect(view.vms()).toMatchObject([{ hostId: 'b', state: 'paused' }]);
  });

  it('is known at once when a migration has ended, and again from the samples after it', () => {
    const view = newView('a', 'b');
    view.ingest(sampleOf('a', 1, [vmSample()]), Date.now());
    view.place(vmId, 'b', Date.now());
    expect(view.vms()).toMatchObject([{ hostId: 'b' }]);
    view.ingest(sampleOf('a', 2, [vmSample()], Date.now() + 1), Date.now() + 1);
    expect(view.vms()).toMatchObject([{ hostId: 'a' }]);
  });
});

describe('what the controller expects of VMs', () => {
  it('is learnt from the mean of each planning round, and is as long as the policy looks ahead', () => {
    const view = new ClusterView({ ...policy, forecast: { horizonMs: 600_000 } });
    view.adopt({ hostId: 'a', joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
    let atMs = 1_000_000;
    const round = () => {
      for (const used of [0.5, 1.5]) view.ingest(sampleOf('a', (atMs += 30_000), [vmSample({ cpuUsedCores: cores(used) })], atMs), atMs);
      return view.nextRound(atMs).vms[0]?.forecast;
    };
    expect(round()).toBeNull();
    for (let count = 0; count < 120; count += 1) round();
    const usual = { meanCores: 1, spreadCores: 0 };
    expect(round()).toEqual({ meanCores: 1, highCores: 1, horizonMs: 600_000, usual, confidencePercent: 100 });
    expect(view.forecasts()).toMatchObject({ horizonMs: 600_000, vms: 1, confidentVms: 1, seasonalVms: 0, hitPercent: 100 });
  });

  it('is forgotten of VMs that nobody has reported for a day', () => {
    const view = newView('a');
    for (let count = 0; count < 60; count += 1) {
      const atMs = 1_000_000 + count * 60_000;
      view.ingest(sampleOf('a', count, [vmSample()], atMs), atMs);
      view.nextRound(atMs);
    }
    expect(view.forecasts()).toMatchObject({ vms: 1 });
    view.nextRound(1_000_000 + 26 * 3_600_000);
    expect(view.forecasts()).toMatchObject({ vms: 0, hitPercent: null, errorOfNaivePercent: null });
  });
});

describe('a host that is not believed', () => {
  const clock = { now: 1_000_000 };
  const say = (view: ClusterView, hostId: string, sequence: number, vms = [vmSample()]) => {
    clock.now += 1000;
    return view.ingest(sampleOf(hostId, sequence, vms, clock.now), clock.now);
  };
  const isQuarantined = (view: ClusterView, hostId: string) => view.host(hostId)?.trust.quarantine !== null;

  it('is told to the planner, counts no round over the line, and is believed again after clean samples', () => {
    const view = newView('a');
    say(view, 'a', 1, [vmSample({ cpuUsedCores: cores(3.9) })]);
    expect(say(view, 'a', 2, [vmSample({ cpuUsedCores: cores(400) })])).toMatchObject({ ok: false });
    expect(view.nextRound(clock.now).hosts).toMatchObject([{ roundsOverLine: 0, quarantine: { code: 'implausible' } }]);
    for (let sequence = 3; sequence < 8; sequence += 1) say(view, 'a', sequence, [vmSample({ cpuUsedCores: cores(3.9) })]);
    expect(view.nextRound(clock.now).hosts).toMatchObject([{ roundsOverLine: 1, quarantine: null }]);
    expect(view.rejected()).toEqual({ implausible: 1 });
  });

  it('is each of two that run the same VM, as soon as both have said it again', () => {
    const view = newView('a', 'b');
    expect([say(view, 'a', 1), say(view, 'b', 1)]).toEqual([{ ok: true }, { ok: true }]);
    expect(say(view, 'a', 2)).toMatchObject({ ok: false, reason: expect.stringContaining('vm-on-two-hosts') as string });
    expect(['a', 'b'].map((hostId) => isQuarantined(view, hostId))).toEqual([true, true]);
  });

  it('is none that has got a VM from the other, whoever moved it', () => {
    const view = newView('a', 'b');
    for (const [hostId, sequence, vms] of [
      ['a', 1, [vmSample()]],
      ['b', 1, [vmSample()]],
      ['a', 2, []],
      ['b', 2, [vmSample()]],
    ] as const)
      expect(say(view, hostId, sequence, [...vms])).toEqual({ ok: true });
  });

  it('is none whose VM is being migrated', () => {
    const view = newView('a', 'b');
    const moving = new ClusterView(policy, (moved) => moved === vmId);
    for (const record of ['a', 'b'])
      moving.adopt({ hostId: record, joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
    const told = (one: ClusterView) => [say(one, 'a', 1), say(one, 'b', 1), say(one, 'a', 2)].map(({ ok }) => ok);
    expect(told(moving)).toEqual([true, true, true]);
    expect(told(view)).toEqual([true, true, false]);
  });
});
