import { describe, expect, it } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import type { Rule } from '#core/model/rule.ts';
import { isWithin, matchesPattern, weekdays } from '#core/model/rule.ts';
import { chooseTarget } from './choose-target.ts';
import { exampleEntry, exampleNowMs, exampleSnapshot } from './examples.ts';
import type { ExampleFacts, ExampleHost } from './examples.ts';
import { makePlan } from './make-plan.ts';

const hot: ExampleHost = {
  id: 'hot',
  vms: [
    { id: 'db-1', cores: 4 },
    { id: 'web-1', cores: 3 },
  ],
};
const idle: ExampleHost = { id: 'idle', vms: [{ id: 'web-2', cores: 0.1 }] };
const spare: ExampleHost = { id: 'spare', otherCores: 0.3, otherGib: 5 };

function plan(hosts: readonly ExampleHost[], facts: ExampleFacts) {
  const snapshot = exampleSnapshot(hosts, facts);
  const made = makePlan(snapshot);
  expect(checkPlan(snapshot, made)).toEqual([]);
  return { ...made, steps: made.moves.map((move) => `${move.vmName} ${move.fromHostId} > ${move.toHostId}`) };
}

function ruled(...rules: readonly Rule[]) {
  return plan([hot, idle, spare], { rules });
}

const withoutDb: Rule = { kind: 'ignore', name: 'db', vms: ['db-1'] };
const codes = (made: ReturnType<typeof plan>) => made.skipped.map((skip) => `${skip.vmName ?? skip.hostId}: ${skip.code}`);
const always = { fromMinute: 0, untilMinute: 1440, weekdays, utcOffsetMinutes: 0 };

describe('a rule and a host over its line', () => {
  it('without rules the best move is made', () => {
    expect(ruled().steps).toEqual(['web-1 hot > idle']);
  });

  it('anti-affinity sends the VM to the next best host, also behind a better one', () => {
    expect(ruled({ kind: 'anti-affinity', name: 'web', vms: ['web-*'] }, withoutDb).steps).toEqual(['web-1 hot > spare']);
  });

  it('the plan says which rule or cordon closed the better host, and nothing of the kind where the best one is open', () => {
    const apart = ruled({ kind: 'anti-affinity', name: 'web', vms: ['web-*'] }, withoutDb);
    expect(apart.moves[0]?.reason).toContain(
      'spare has the best room that is open to it: 3.8 % CPU and 7.8 % memory now, 41.3 % and 14.1 % with it; ' +
        'idle would have more, at 1.3 % CPU and 6.3 % memory, but rule web keeps web-1 apart from 1 VM on idle; hot comes down to',
    );
    const cordoned = plan([hot, { ...idle, cordoned: true }, spare], {});
    expect(cordoned.moves[0]?.reason).toContain('idle would have more, at 1.3 % CPU and 6.3 % memory, but idle is cordoned');
    expect(ruled(withoutDb).moves[0]?.reason).toContain('idle has the best room: ');
    const away = ruled({ kind: 'pin', name: 'rack', vms: ['web-1'], hosts: ['hot', 'idle'] }, withoutDb);
    expect(away.moves[0]?.reason).toContain('idle has the best room: ');
  });

  it('by balance it says so as well', () => {
    const facts = {
      policy: { strategy: 'balance' as const },
      rules: [{ kind: 'anti-affinity' as const, name: 'web', vms: ['web-*'] }, withoutDb],
    };
    const [move] = plan([hot, idle, spare], facts).moves;
    expect(move?.toHostId).toBe('spare');
    expect(move?.reason).toContain('but rule web keeps web-1 apart from 1 VM on idle');
  });

  it('a pin leaves the VM where it may be, and another one goes', () => {
    const made = ruled({ kind: 'pin', name: 'rack', vms: ['web-1'], hosts: ['hot'] });
    expect(made.steps).toEqual(['db-1 hot > idle']);
  });

  it('affinity keeps a pair together', () => {
    const made = ruled({ kind: 'affinity', name: 'pair', vms: ['db-1', 'web-1'] });
    expect(made.steps).toEqual([]);
    expect(codes(made)).toEqual(['db-1: no-target-cpu', 'web-1: no-target-cpu']);
    expect(made.skipped[0]?.reason).toBe(
      'db-1 has to move together with web-1, by rule pair: all 2 VMs use 7 cores, with which the best target would be at 88.8 % CPU, 75 % is the most',
    );
  });

  it('means VMs by their labels, and the linter sees the same', () => {
    const labelled = (vmId: string, labels: Readonly<Record<string, string>>) => ({
      vmId,
      slaClass: null,
      tenant: null,
      labels,
      activity: null,
    });
    const vmFacts = [labelled('web-1', { tier: 'web' }), labelled('web-2', { tier: 'web' }), labelled('db-1', { tier: 'db' })];
    const by = (...rules: readonly Rule[]) => plan([hot, idle, spare], { rules, vmFacts }).steps;
    expect(by({ kind: 'ignore', name: 'a', vms: ['label:tier=web'] })).toEqual(['db-1 hot > idle']);
    expect(by({ kind: 'ignore', name: 'a', vms: ['label:tier=we'] })).toEqual(['web-1 hot > idle']);
    expect(by({ kind: 'ignore', name: 'a', vms: ['label:tier'] })).toEqual([]);
    expect(by({ kind: 'anti-affinity', name: 'a', vms: ['label:tier=web'] }, withoutDb)).toEqual(['web-1 hot > spare']);
    expect(by({ kind: 'affinity', name: 'a', vms: ['label:tier=web'] }, withoutDb)).toEqual(['web-1 hot > idle']);
    const snapshot = exampleSnapshot([hot, idle, spare], {
      rules: [{ kind: 'anti-affinity', name: 'a', vms: ['label:tier=web'] }],
      vmFacts,
    });
    const made = makePlan({ ...snapshot, rules: [] });
    expect(checkPlan(snapshot, made).map(({ code }) => code)).toContain('rule-broken');
  });

  it('ignore, blackout and window keep VMs where they are, and say so', () => {
    const made = ruled({ kind: 'ignore', name: 'keep', vms: ['web-1'] }, { kind: 'blackout', name: 'night', vms: ['db-*'], when: always });
    expect(codes(made)).toEqual(['db-1: rule-window', 'web-1: rule-ignore']);
    expect(made.skipped[1]?.reason).toBe('web-1 stays: rule keep keeps it out of balancing');
    expect(ruled({ kind: 'window', name: 'day', vms: ['*'], when: always }).steps).toHaveLength(1);
  });

  it('a host that is cordoned or unfit, and a pair that was refused, are passed over', () => {
    expect(plan([hot, { ...idle, cordoned: true }, spare], {}).steps).toEqual(['web-1 hot > spare']);
    expect(plan([hot, { ...idle, unfit: 'its certificate has ended' }, spare], {}).steps).toEqual(['web-1 hot > spare']);
    const refusals = [
      { vmId: 'web-1', hostId: 'idle', code: 'cpu-incompatible' as const, reason: 'no AVX', untilMs: exampleNowMs + 60_000 },
    ];
    expect(plan([hot, idle, spare], { refusals, rules: [withoutDb] }).steps).toEqual(['web-1 hot > spare']);
    const alone = plan([hot, { ...idle, cordoned: true }], {});
    expect(codes(alone)).toEqual(['db-1: cordoned', 'web-1: cordoned']);
    const overdue = refusals.map((one) => ({ ...one, untilMs: exampleNowMs }));
    expect(plan([hot, idle, spare], { refusals: overdue }).steps).toEqual(['web-1 hot > idle']);
  });
});

describe('a VM placed against a rule', () => {
  const calm: ExampleHost = {
    id: 'a',
    vms: [
      { id: 'web-1', cores: 1 },
      { id: 'web-2', cores: 0.5 },
      { id: 'web-3', cores: 0.7 },
    ],
  };

  it('is moved although no host is over its line, with as few moves as it takes', () => {
    const apart = plan([calm, { id: 'b' }, { id: 'c' }], { rules: [{ kind: 'anti-affinity', name: 'web', vms: ['web-*'] }] });
    expect(apart.moves).toHaveLength(2);
    expect(new Set(apart.moves.map(({ toHostId }) => toHostId))).toEqual(new Set(['b', 'c']));
    expect(apart.summary).toContain('3 VMs are placed against rules: 2 moves');
    expect(apart.moves[0]?.reason).toContain('rule web keeps');
    const pinned = plan([calm, { id: 'b' }], { rules: [{ kind: 'pin', name: 'p', vms: ['web-2'], hosts: ['b'] }] });
    expect(pinned.steps).toEqual(['web-2 a > b']);
  });

  it('of a group that is split the fewer go to the more', () => {
    const other: ExampleHost = { id: 'b', vms: [{ id: 'web-4', cores: 0.2 }] };
    const made = plan([calm, other, { id: 'c' }], { rules: [{ kind: 'affinity', name: 'web', vms: ['web-*'] }] });
    expect(made.steps).toEqual(['web-4 b > a']);
  });

  it('waits for the end of its cool-down, and for an ignore rule for ever', () => {
    const pin: Rule = { kind: 'pin', name: 'p', vms: ['web-2'], hosts: ['b'] };
    const cooling = plan([calm, { id: 'b' }], { rules: [pin], ledger: [exampleEntry('web-2', 60_000)] });
    expect(cooling.steps).toEqual([]);
    expect(cooling.verdict).toBe('no-beneficial-move');
    expect(codes(cooling)).toEqual(['web-2: cool-down']);
    const ignored = plan([calm, { id: 'b' }], { rules: [pin, { kind: 'ignore', name: 'i', vms: ['*'] }] });
    expect(codes(ignored)).toEqual(['web-2: rule-ignore']);
  });

  it('says why when no allowed host can take it', () => {
    const made = plan([calm, { id: 'b', cordoned: true }, { id: 'c' }], {
      rules: [{ kind: 'pin', name: 'p', vms: ['web-2'], hosts: ['b'] }],
    });
    expect(made.skipped.map(({ reason }) => reason)).toEqual([
      'rule p keeps web-2 on b: not on a; no host that the rule allows has room and may take it now (b is cordoned: it takes no new VMs)',
    ]);
  });
});

describe('headroom', () => {
  const hosts: ExampleHost[] = [
    {
      id: 'a',
      gib: 24,
      vms: [
        { id: 'x', cores: 4, gib: 10 },
        { id: 'y', cores: 3, gib: 10 },
      ],
    },
    { id: 'b', vms: [{ id: 'large', cores: 0.1, gib: 50 }] },
    { id: 'c', gib: 72, vms: [{ id: 'other', cores: 0.1, gib: 20 }] },
  ];

  it('refuses the move after which a lost host would leave a VM without room, though the sum of free memory would do', () => {
    expect(plan(hosts, {}).steps).toEqual(['y a > c']);
    const kept = plan(hosts, { policy: { headroom: { hostFailures: 1 } } });
    expect(codes(kept)).toEqual(['x: headroom', 'y: headroom']);
    expect(kept.skipped[0]?.reason).toBe('with it on c the cluster could not lose its largest host: 50 GiB of VMs would find no room');
  });

  it('that is not there already forbids nothing that leaves it as it is', () => {
    const without = hosts.map((host) => (host.id === 'c' ? { ...host, gib: 60 } : host));
    expect(plan(without, { policy: { headroom: { hostFailures: 1 } } }).steps).toEqual(['y a > c']);
  });
});

describe('a destination nobody named', () => {
  it('is none that a rule forbids, and the refusal names the rule', () => {
    const rules: Rule[] = [{ kind: 'anti-affinity', name: 'web', vms: ['web-*'] }];
    const vm = { vmId: 'web-1', name: 'web-1', hostId: 'hot' };
    expect(chooseTarget(exampleSnapshot([hot, idle, spare], { rules }), vm)).toMatchObject({ ok: true, hostId: 'spare' });
    expect(chooseTarget(exampleSnapshot([hot, idle], { rules }), vm)).toEqual({
      ok: false,
      forbidden: { code: 'rule-anti-affinity', reason: 'rule web keeps web-1 apart from 1 VM on idle' },
    });
  });
});

describe('selectors and windows', () => {
  it.each<[string, string, boolean]>([
    ['web-*', 'web-1', true],
    ['web-*', 'web-', true],
    ['web-*', 'my-web-1', false],
    ['*-1', 'web-1', true],
    ['a*b*c', 'a-b-c', true],
    ['a*b*c', 'abc', true],
    ['a*b*c', 'acb', false],
    ['ab*ba', 'aba', false],
    ['a.b', 'axb', false],
    ['*', '', true],
  ])('%s and %s', (pattern, name, matches) => {
    expect(matchesPattern(pattern, name)).toBe(matches);
  });

  it.each<[string, string, boolean]>([
    // A Friday night, on a clock one hour ahead of UTC: 22:00 to 06:00 there is 21:00 to 05:00 UTC.
    ['2026-11-20T20:59:59Z', 'before it begins', false],
    ['2026-11-20T21:00:00Z', 'as it begins', true],
    ['2026-11-21T04:59:59Z', 'on the next morning', true],
    ['2026-11-21T05:00:00Z', 'as it ends', false],
    ['2026-11-21T22:00:00Z', 'on the next evening', false],
    ['2026-11-20T04:00:00Z', 'on the morning before', false],
  ])('%s is %s', (time, _what, within) => {
    const night = { fromMinute: 1320, untilMinute: 360, weekdays: ['fri' as const], utcOffsetMinutes: 60 };
    expect(isWithin(night, Date.parse(time))).toBe(within);
  });
});
