import { describe, expect, it } from 'vitest';
import type { Move, MoveCost, PlanDraft } from '#core/model/plan.ts';
import { defaultPolicy, type SlaClass } from '#core/model/policy.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { weekdays } from '#core/model/rule.ts';
import { cores } from '#core/model/units.ts';
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

const priced: MoveCost = {
  bytes: 4 * 2 ** 30,
  bytesBy: 'memory',
  durationMs: null,
  downtimeMs: null,
  slaClass: 'standard',
  priceCoreSeconds: null,
  savedCoreSeconds: null,
};

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
  cost: priced,
};

const always = { fromMinute: 0, untilMinute: 1440, weekdays, utcOffsetMinutes: 0 };

/** One round for each move, unless it says its own. */
function draft(given: readonly Move[], more: Partial<PlanDraft> = {}): PlanDraft {
  const moves = given.map((move, index) => ({ round: index + 1, ...move }));
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

  it('finds a cost that is not so, a class that forbids the move, and one that is not worth it', () => {
    const costs = (change: Partial<MoveCost>, of = snapshot()) => codes(draft([{ ...sound, cost: { ...priced, ...change } }]), of);
    const { cost: _cost, ...unpriced } = sound;
    expect(codes(draft([unpriced]))).toEqual(['cost-wrong']);
    expect(costs({ bytes: 1 })).toEqual(['cost-wrong']);
    expect(costs({ durationMs: 5 })).toEqual(['cost-wrong']);
    expect(costs({ slaClass: 'batch' })).toEqual(['cost-wrong']);
    expect(costs({ savedCoreSeconds: 41, priceCoreSeconds: 40 })).toEqual([]);
    expect(costs({ savedCoreSeconds: 39, priceCoreSeconds: 40 })).toEqual(['saves-too-little']);
    expect(costs({ savedCoreSeconds: 41, priceCoreSeconds: 8 })).toEqual(['saves-too-little']);
    const slaClass = 'fixed';
    const classes = (moves: SlaClass['moves']) => ({ ...defaultPolicy.classes, fixed: { downtimeMsMax: 0, costFactor: 1, moves } });
    const vmFacts = [{ vmId: 'db', slaClass, tenant: null, activity: null }];
    expect(costs({ slaClass }, snapshot({ vmFacts, policy: { classes: classes('never') }, automatic: false }))).toEqual(['class-forbids']);
    expect(costs({ slaClass }, snapshot({ vmFacts, policy: { classes: classes('approve-only') } }))).toEqual(['class-forbids']);
    expect(costs({ slaClass }, snapshot({ vmFacts, policy: { classes: classes('approve-only') }, automatic: false }))).toEqual([]);
  });

  it('finds a copy that takes too long, and a VM that would stand still for longer than its class bears', () => {
    const factors = { total: 1, downtime: 1, bytes: 1 };
    const bandwidths = [{ hostA: 'cool', hostB: 'hot', bytesPerSecond: 2 ** 20, measuredAtMs: exampleNowMs, factors }];
    const durationMs = 4 * 1024 * 1000 + 120;
    const slow = { ...sound, cost: { ...priced, durationMs } };
    expect(codes(draft([slow]), snapshot({ bandwidths }))).toEqual(['copy-too-long']);
    expect(codes(draft([slow]), snapshot({ bandwidths, policy: { forecast: { horizonMs: 5_000_000 } } }))).toEqual([]);
    const used = 64 * 2 ** 20;
    const activity = { measuredAtMs: 1, measuredForMs: 1, usedBytes: used, dirtyBytesPerSecond: used, workingSetBytes: used };
    const vmFacts = [{ vmId: 'db', slaClass: 'critical', tenant: null, activity }];
    expect(codes(draft([slow]), snapshot({ bandwidths, vmFacts }))).toEqual(expect.arrayContaining(['downtime-over-class', 'cost-wrong']));
  });

  it('finds every budget that is exceeded, by what was spent before and by the plan itself', () => {
    const none = { vmMovesPerDay: 0, tenantMovesPerHour: 0, clusterMovesPerHour: 0, gibPerHour: 0 };
    const ledger = [exampleEntry('db', 5 * 3_600_000), exampleEntry('other', 60_000, { sentBytes: 2 ** 30 })];
    const vmFacts = ['db', 'other'].map((vmId) => ({ vmId, slaClass: null, tenant: 'acme', activity: null }));
    const spent = (budgets: Partial<typeof none>) =>
      codes(draft([sound]), snapshot({ ledger, vmFacts, policy: { budgets: { ...none, ...budgets }, coolDownMs: 0 } }));
    expect(spent({})).toEqual([]);
    expect([spent({ vmMovesPerDay: 1 }), spent({ vmMovesPerDay: 2 })]).toEqual([['budget-exceeded'], []]);
    expect([spent({ tenantMovesPerHour: 1 }), spent({ tenantMovesPerHour: 2 })]).toEqual([['budget-exceeded'], []]);
    expect([spent({ clusterMovesPerHour: 1 }), spent({ clusterMovesPerHour: 2 })]).toEqual([['budget-exceeded'], []]);
    expect([spent({ gibPerHour: 4.9 }), spent({ gibPerHour: 5 })]).toEqual([['budget-exceeded'], []]);
    const twice = codes(draft([sound, sound]), snapshot({ policy: { budgets: { ...none, clusterMovesPerHour: 1 } } }));
    expect(twice).toContain('budget-exceeded');
  });

  it('finds a verdict that does not go with the moves, and empty sentences', () => {
    expect(codes(draft([sound], { verdict: 'balanced' }))).toEqual(['verdict-wrong']);
    expect(codes(draft([], { verdict: 'moves' }))).toEqual(['verdict-wrong']);
    expect(codes(draft([], { summary: '' }))).toEqual(['reason-missing']);
    const skip = { hostId: 'hot', vmId: null, vmName: null, code: 'not-sustained' as const, reason: '' };
    expect(codes(draft([], { skipped: [skip] }))).toEqual(['reason-missing']);
  });

  it('knows what the threshold rule may do: at once, but only above its one line', () => {
    const by = (roundsOverLine: number) => snapshot({ policy: { strategy: 'threshold' } }, roundsOverLine);
    expect(codes(draft([sound]), by(1))).toEqual([]);
    const relieving = { ...snapshot({ policy: { strategy: 'threshold', cpuLine: { startPercent: 90, stopPercent: 60 } } }) };
    const hosts = relieving.hosts.map((host) => ({ ...host, relieving: { cpu: true, memory: false } }));
    expect(codes(draft([sound]), { ...relieving, hosts })).toEqual(['source-not-over-line']);
  });

  it('knows what a host may take that nobody pushed: only far from the mean, and only what brings the two closer', () => {
    const line = { startPercent: 90, stopPercent: 80 };
    const of = (policy: ExampleFacts['policy']) => snapshot({ policy: { cpuLine: line, ...policy } });
    const forecast = { meanCores: cores(3), highCores: cores(4), horizonMs: 1_800_000, confidencePercent: 50 };
    const watched = (plain: Snapshot) => ({ ...plain, vms: plain.vms.map((vm) => ({ ...vm, forecast })) });
    const by = (policy: ExampleFacts['policy']) => codes(draft([sound]), watched(of(policy)));
    expect(codes(draft([sound]), of({ direction: 'pull' }))).toEqual(['pull-unfounded']);
    expect(by({ direction: 'push' })).toEqual(['source-not-over-line']);
    expect(by({ direction: 'pull' })).toEqual([]);
    expect(by({ direction: 'both' })).toEqual([]);
    expect(by({ direction: 'pull', pull: { belowPercent: 10, marginPercent: 15 } })).toEqual(['pull-unfounded']);
    expect(by({ direction: 'pull', pull: { belowPercent: 30, marginPercent: 60 } })).toEqual(['pull-unfounded']);
    expect(by({ direction: 'pull', cpuLine: { startPercent: 90, stopPercent: 40 } })).toEqual(['pull-too-much']);
    // Over its line as well: by pull alone that is no reason.
    const full = codes(draft([sound]), snapshot({ policy: { direction: 'pull', pull: { belowPercent: 10, marginPercent: 15 } } }));
    expect(full).toEqual(['pull-unfounded']);
  });
});

describe('the linter of plans that empty hosts', () => {
  const forecast = { meanCores: cores(1), highCores: cores(1), horizonMs: 1_800_000, confidencePercent: 100 };
  const vm = (id: string) => ({ id, cores: 1, forecast });
  const calm: readonly ExampleHost[] = [
    { id: 'few', vms: [vm('one'), vm('two')] },
    { id: 'many', vms: ['a', 'b', 'c'].map(vm) },
    { id: 'empty', vms: [] },
  ];
  const packed = (facts: ExampleFacts = {}, hosts = calm) =>
    exampleSnapshot(hosts, { ...facts, policy: { strategy: 'pack', ...facts.policy } });
  const step = (vmId: string, fromHostId: string, toHostId: string, used: readonly [number, number]): Move => {
    const [from, to] = used;
    const change = (hostId: string, before: number, after: number) => ({
      hostId,
      cpuBeforePercent: before * 12.5,
      cpuAfterPercent: after * 12.5,
      memoryBeforePercent: before * 6.25,
      memoryAfterPercent: after * 6.25,
    });
    const ends = { source: change(fromHostId, from, from - 1), destination: change(toHostId, to, to + 1) };
    return { ...sound, vmId, vmName: vmId, fromHostId, toHostId, reason: 'emptied', scoreBefore: 5, scoreAfter: 6, ...ends };
  };
  const whole = [step('one', 'few', 'many', [2, 3]), step('two', 'few', 'many', [1, 4])] as const;

  it('finds nothing in one that empties a whole host into one in use, and only by that strategy', () => {
    // 5 of 8 cores are 62.5 %.
    const line = { startPercent: 80, stopPercent: 70 };
    expect(checkPlan(packed({ policy: { cpuLine: line } }), draft(whole))).toEqual([]);
    expect(codes(draft(whole), packed())).toEqual(['pack-overfull']);
    const byLines = codes(draft(whole), packed({ policy: { cpuLine: line, strategy: 'lines' } }));
    expect(new Set(byLines)).toEqual(new Set(['score-not-lower', 'source-not-over-line', 'source-not-sustained']));
  });

  it('finds a host that is begun and not ended, unless the plan is full', () => {
    expect(codes(draft(whole.slice(0, 1)), packed())).toEqual(['pack-half']);
    expect(codes(draft(whole.slice(0, 1)), packed({ policy: { movesPerPlanMax: 1 } }))).toEqual([]);
  });

  it('finds an empty host that is filled', () => {
    const wrong = [step('one', 'few', 'empty', [2, 0]), step('two', 'few', 'many', [1, 3])];
    expect(codes(draft(wrong), packed())).toEqual(['pack-to-empty']);
  });

  it('finds packing beside relief, beside a migration, and where a host is not known', () => {
    const plan = draft(whole.slice(0, 1));
    const one = { policy: { movesPerPlanMax: 1, migrationsPerHostMax: 4 } };
    const hot: ExampleHost = { id: 'hot', vms: [{ id: 'whale', cores: 7.5 }] };
    const silent: ExampleHost = { id: 'silent', status: 'silent', vms: [vm('x')] };
    const inFlight = [{ vmId: 'gone', fromHostId: 'empty', toHostId: 'elsewhere' }];
    expect(codes(plan, packed(one, [...calm, hot]))).toEqual(['pack-not-at-rest']);
    expect(codes(plan, packed(one, [...calm, silent]))).toEqual(['pack-not-at-rest']);
    expect(codes(plan, packed({ ...one, inFlight }))).toEqual(['pack-not-at-rest']);
  });

  it('finds a target whose VMs are expected to want more than its fill limit', () => {
    const bursts = { ...vm('one'), forecast: { ...forecast, highCores: cores(4.1) } };
    const hosts = calm.map((host) => (host.id === 'few' ? { ...host, vms: [bursts, vm('two')] } : host));
    expect(codes(draft(whole.slice(0, 1)), packed({ policy: { movesPerPlanMax: 1 } }, hosts))).toEqual(['pack-overfull']);
    const unwatched = calm.map((host) => (host.id === 'few' ? { ...host, vms: [{ id: 'one', cores: 1, vcpus: 4 }, vm('two')] } : host));
    expect(codes(draft(whole.slice(0, 1)), packed({ policy: { movesPerPlanMax: 1 } }, unwatched))).toEqual(['pack-overfull']);
  });

  it('finds hosts left in use that could not lose one without those that are emptied', () => {
    const line = { startPercent: 80, stopPercent: 70 };
    const found = codes(draft(whole), packed({ policy: { cpuLine: line, headroom: { hostFailures: 1 } } }));
    expect(found).toEqual(['pack-without-headroom']);
  });
});

describe('the linter of rounds', () => {
  const other = (more: Partial<Move>): Move => ({ ...sound, ...more });

  it('finds moves without a round, and a host that gives and takes in one', () => {
    const plan = { ...draft([sound]), moves: [sound] };
    expect(codes(plan)).toEqual(['round-wrong']);
    const back = other({ vmId: 'web', vmName: 'web', fromHostId: 'cool', toHostId: 'hot', round: 1 });
    expect(codes(draft([{ ...sound, round: 1 }, back]))).toContain('round-wrong');
  });

  it('finds more moves of a host, and of the cluster, than may be made at one time', () => {
    const two = [{ ...sound, round: 1 }, other({ vmId: 'web', vmName: 'web', round: 1 })];
    expect(codes(draft(two))).toContain('round-too-wide');
    expect(codes(draft(two), snapshot({ policy: { migrationsPerHostMax: 2 } }))).not.toContain('round-too-wide');
    expect(codes(draft(two), snapshot({ policy: { migrationsPerHostMax: 2, migrationsPerClusterMax: 1 } }))).toContain('round-too-wide');
  });

  it('finds a target that would hold too much while the VMs of a round are on their way', () => {
    const tight = { policy: { migrationsPerHostMax: 2, cpuLine: { startPercent: 45, stopPercent: 40 } } };
    expect(codes(draft([sound]), snapshot(tight))).toContain('round-overfull');
    expect(codes(draft([sound]))).not.toContain('round-overfull');
  });

  it('finds a VM that is moved for the sake of one that has nothing of it', () => {
    expect(codes(draft([{ ...sound, forVmId: 'web' }]))).toContain('help-unfounded');
  });
});
