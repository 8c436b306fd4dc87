import { describe, expect, it } from 'vitest';
import type { Move, PlanDraft } from '#core/model/plan.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { weekdays } from '#core/model/rule.ts';
import { exampleEntry, exampleNowMs, exampleSnapshot } from '#core/planner/examples.ts';
import type { ExampleFacts, ExampleHost } from '#core/planner/examples.ts';
import { checkPlan } from './check-plan.ts';

function snapshot(facts: ExampleFacts = {}, roundsOverLine = 3): Snapshot {
  return exampleSnapshot(
    [
      {
        id: 'hot',
        roundsOverLine,
        vms: [
          { id: 'db', cores: 3 },
          { id: 'web', cores: 4 },
          { id: 'still', cores: 0, state: 'paused' },
        ],
      },
      { id: 'cool', vms: [{ id: 'wiki', cores: 1 }] },
      { id: 'busy', otherCores: 5 },
      { id: 'tiny', gib: 4 },
      { id: 'gone', status: 'silent' },
    ],
    facts,
  );
}

/** A sound move, written by hand: 7 of 8 cores and 12 of 64 GiB on the source, 1 core and 4 GiB on the target. */
const sound: Move = {
  vmId: 'db',
  vmName: 'db',
  fromHostId: 'hot',
  toHostId: 'cool',
  reason: 'hot is over its line',
  scoreBefore: 10,
  scoreAfter: 5,
  source: { hostId: 'hot', cpuBeforePercent: 87.5, cpuAfterPercent: 50, memoryBeforePercent: 18.75, memoryAfterPercent: 12.5 },
  destination: { hostId: 'cool', cpuBeforePercent: 12.5, cpuAfterPercent: 50, memoryBeforePercent: 6.25, memoryAfterPercent: 12.5 },
  cost: {
    bytes: 4 * 2 ** 30,
    bytesBy: 'memory',
    durationMs: null,
    downtimeMs: null,
    slaClass: 'standard',
    priceCoreSeconds: null,
    savedCoreSeconds: null,
  },
};

const always = { fromMinute: 0, untilMinute: 1440, weekdays, utcOffsetMinutes: 0 };

function draft(moves: readonly Move[], more: Partial<PlanDraft> = {}): PlanDraft {
  return {
    verdict: moves.length > 0 ? 'moves' : 'balanced',
    summary: 'a plan',
    scoreBefore: 10,
    scoreAfter: 5,
    moves,
    skipped: [],
    ...more,
  };
}

function codes(plan: PlanDraft, of = snapshot()): readonly string[] {
  return checkPlan(of, plan).map((violation) => violation.code);
}

describe('the linter of plans', () => {
  it('finds nothing in a sound plan', () => {
    expect(checkPlan(snapshot(), draft([sound]))).toEqual([]);
    expect(checkPlan(snapshot(), draft([]))).toEqual([]);
  });

  it('finds a host in use that is not believed, and one that is not named as such', () => {
    const quarantine = { code: 'implausible', message: '16 cores used of 8', sinceMs: 1, cleanSamplesLeft: 5 };
    const of = (hostId: string) => ({
      ...snapshot(),
      hosts: snapshot().hosts.map((host) => (host.hostId === hostId ? { ...host, quarantine } : host)),
    });
    const named = (hostId: string) => ({
      skipped: [{ hostId, vmId: null, vmName: null, code: 'quarantined' as const, reason: 'not believed' }],
    });
    expect(codes(draft([sound], named('hot')), of('hot'))).toEqual(['host-quarantined']);
    expect(codes(draft([sound], named('cool')), of('cool'))).toEqual(['host-quarantined']);
    expect(codes(draft([sound], named('tiny')), of('tiny'))).toEqual([]);
    expect(codes(draft([sound]), of('tiny'))).toEqual(['host-quarantined']);
    expect(codes(draft([sound], named('tiny')))).toEqual(['host-quarantined']);
  });

  it.each<[string, Partial<Move>]>([
    ['same-host', { toHostId: 'hot' }],
    ['host-unknown', { toHostId: 'nowhere' }],
    ['vm-unknown', { vmId: 'nobody' }],
    ['vm-not-running', { vmId: 'still' }],
    ['vm-not-on-source', { vmId: 'wiki' }],
    ['source-not-over-line', { vmId: 'wiki', fromHostId: 'cool', toHostId: 'tiny' }],
    ['host-stale', { toHostId: 'gone' }],
    ['target-over-line', { toHostId: 'busy' }],
    ['target-over-line', { toHostId: 'tiny' }],
    ['reason-missing', { reason: ' ' }],
    ['score-not-lower', { scoreAfter: 10 }],
    ['score-not-lower', { scoreAfter: Number.NaN }],
    ['prediction-wrong', { destination: { ...sound.destination, cpuAfterPercent: 12.5, memoryAfterPercent: 50 } }],
    ['prediction-wrong', { source: { ...sound.source, memoryAfterPercent: 12.5 / 1.024 } }],
  ])('finds %s', (code, wrong) => {
    expect(codes(draft([{ ...sound, ...wrong }]))).toContain(code);
  });

  it('finds a VM that is moved twice, and one that is in flight', () => {
    expect(codes(draft([sound, sound]))).toContain('vm-twice');
    const inFlight = [{ vmId: 'db', fromHostId: 'hot', toHostId: 'cool' }];
    expect(codes(draft([sound]), snapshot({ inFlight }))).toEqual(expect.arrayContaining(['vm-in-flight', 'limit-exceeded']));
  });

  it('sees a VM sent back to where it has just come from', () => {
    const policy = { coolDownMs: 0, coolDownMsMax: 0 };
    const from = (fromHostId: string, agoMs: number) => ({
      ledger: [exampleEntry('db', agoMs, { fromHostId, toHostId: 'hot' })],
      policy,
    });
    expect(codes(draft([sound]), snapshot(from('cool', 59 * 60_000)))).toEqual(['vm-returns']);
    expect(codes(draft([sound]), snapshot(from('cool', 61 * 60_000)))).toEqual([]);
    expect(codes(draft([sound]), snapshot(from('busy', 59 * 60_000)))).toEqual([]);
  });

  it('finds a VM in cool-down, and none whose cool-down is over', () => {
    expect(codes(draft([sound]), snapshot({ ledger: [exampleEntry('db', 29 * 60_000)] }))).toEqual(['vm-cooling']);
    expect(codes(draft([sound]), snapshot({ ledger: [exampleEntry('db', 31 * 60_000)] }))).toEqual([]);
    const twice = [exampleEntry('db', 31 * 60_000), exampleEntry('db', 70 * 60_000)];
    expect(codes(draft([sound]), snapshot({ ledger: twice }))).toEqual(['vm-cooling']);
  });

  it('finds a host whose load does not show its last move yet', () => {
    const ledger = [exampleEntry('other', 5_000, { toHostId: 'cool' })];
    expect(codes(draft([sound]), snapshot({ ledger }))).toEqual(['host-settling']);
  });

  it('finds a source that is not over its line long enough', () => {
    expect(codes(draft([sound]), snapshot({}, 2))).toEqual(['source-not-sustained']);
  });

  it('finds more moves than a plan may have, and moves in a cluster at its limit', () => {
    expect(codes(draft([sound]), snapshot({ policy: { movesPerPlanMax: 0 } }))).toEqual(['limit-exceeded']);
    const inFlight = [{ vmId: 'wiki', fromHostId: 'busy', toHostId: 'tiny' }];
    expect(codes(draft([sound]), snapshot({ inFlight, policy: { migrationsPerClusterMax: 1 } }))).toContain('limit-exceeded');
  });

  it('finds memory that was promised away, even if it is not in use', () => {
    const lazy = exampleSnapshot([
      {
        id: 'hot',
        vms: [
          { id: 'db', cores: 3 },
          { id: 'web', cores: 4 },
        ],
      },
      { id: 'cool', gib: 8, vms: [{ id: 'wiki', cores: 1, gib: 6 }] },
    ]);
    const hosts = lazy.hosts.map((host) =>
      host.hostId === 'cool' ? { ...host, memoryUsedBytes: 0 as typeof host.memoryUsedBytes } : host,
    );
    expect(codes(draft([sound]), { ...lazy, hosts })).toContain('target-without-memory');
  });

  it.each<[string, ExampleFacts]>([
    ['rule-broken', { rules: [{ kind: 'pin', name: 'r', vms: ['d*'], hosts: ['hot'] }] }],
    ['rule-broken', { rules: [{ kind: 'affinity', name: 'r', vms: ['db', 'web'] }] }],
    ['rule-broken', { rules: [{ kind: 'anti-affinity', name: 'r', vms: ['db', 'wiki'] }] }],
    ['vm-ignored', { rules: [{ kind: 'ignore', name: 'r', vms: ['*'] }] }],
    ['outside-window', { rules: [{ kind: 'blackout', name: 'r', vms: ['db'], when: always }] }],
    ['outside-window', { rules: [{ kind: 'window', name: 'r', vms: ['db'], when: { ...always, fromMinute: 600, untilMinute: 601 } }] }],
    ['pair-refused', { refusals: [{ vmId: 'db', hostId: 'cool', code: 'no-cpu', reason: 'r', untilMs: exampleNowMs + 1 }] }],
  ])('finds %s', (code, facts) => {
    expect(codes(draft([sound]), snapshot(facts))).toEqual([code]);
  });

  it('finds a target that is cordoned, and ends that are unfit', () => {
    const { hosts, ...rest } = snapshot();
    const withHost = (hostId: string, change: Partial<(typeof hosts)[number]>) =>
      codes(draft([sound]), { ...rest, hosts: hosts.map((host) => (host.hostId === hostId ? { ...host, ...change } : host)) });
    expect(withHost('cool', { cordoned: true })).toEqual(['target-cordoned']);
    expect(withHost('hot', { cordoned: true })).toEqual([]);
    expect(withHost('cool', { unfit: 'no certificate' })).toEqual(['host-unfit']);
    expect(withHost('hot', { unfit: 'no certificate' })).toEqual(['host-unfit']);
  });

  it('lets a move that mends a rule be made without need, but not one that trades one rule for another', () => {
    const calm = snapshot({ rules: [{ kind: 'anti-affinity', name: 'apart', vms: ['db', 'web'] }] }, 0);
    const mending = { ...sound, scoreAfter: 11 };
    expect(codes(draft([mending]), calm)).toEqual([]);
    expect(codes(draft([mending]), { ...calm, rules: [] })).toEqual(['score-not-lower', 'source-not-sustained']);
    const pinned = { ...calm, rules: [...calm.rules, { kind: 'pin', name: 'stay', vms: ['db'], hosts: ['hot'] } as const] };
    expect(codes(draft([mending]), pinned)).toContain('rule-broken');
  });

  it('finds a move after which a lost host would leave VMs without room', () => {
    const hosts: readonly ExampleHost[] = [
      { id: 'a', gib: 24, vms: [{ id: 'x', cores: 7, gib: 10 }] },
      { id: 'b', vms: [{ id: 'large', cores: 0.1, gib: 50 }] },
      { id: 'c', gib: 72, vms: [{ id: 'other', cores: 0.1, gib: 20 }] },
    ];
    const move = { ...sound, vmId: 'x', vmName: 'x', fromHostId: 'a', toHostId: 'c' };
    expect(codes(draft([move]), exampleSnapshot(hosts))).not.toContain('headroom-broken');
    expect(codes(draft([move]), exampleSnapshot(hosts, { policy: { headroom: { hostFailures: 1 } } }))).toContain('headroom-broken');
  });

  it('finds a verdict that does not go with the moves, and empty sentences', () => {
    expect(codes(draft([sound], { verdict: 'balanced' }))).toEqual(['verdict-wrong']);
    expect(codes(draft([], { verdict: 'moves' }))).toEqual(['verdict-wrong']);
    expect(codes(draft([], { summary: '' }))).toEqual(['reason-missing']);
    const skip = { hostId: 'hot', vmId: null, vmName: null, code: 'not-sustained' as const, reason: '' };
    expect(codes(draft([], { skipped: [skip] }))).toEqual(['reason-missing']);
  });
});
