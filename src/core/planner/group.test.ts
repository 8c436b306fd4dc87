import { array, assert, boolean, constantFrom, double, integer, property, record } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import type { Move, PlanDraft } from '#core/model/plan.ts';
import type { Rule } from '#core/model/rule.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { accountOf } from './account.ts';
import { applied } from './applied-plan.ts';
import { exampleEntry, exampleNowMs, exampleSnapshot } from './examples.ts';
import type { ExampleFacts, ExampleHost, ExampleVm } from './examples.ts';
import { makePlan } from './make-plan.ts';
import { recheck } from './recheck.ts';
import { ruleBookOf } from './rules.ts';

const strategies = ['lines', 'balance'] as const;
const pair: Rule = { name: 'pair', kind: 'affinity', vms: ['web', 'db'] };

/** Only the pair could leave, and `wide` alone takes both of it. */
const hosts: readonly ExampleHost[] = [
  {
    id: 'hot',
    vms: [
      { id: 'web', cores: 2, gib: 8, delayCores: 0.3 },
      { id: 'db', cores: 1.5, gib: 8, delayCores: 0.3 },
      { id: 'own', cores: 3.8, gib: 8 },
    ],
  },
  { id: 'small', gib: 12, vms: [{ id: 'wiki', cores: 0.1, gib: 1 }] },
  { id: 'wide', vms: [{ id: 'mail', cores: 1, gib: 4 }] },
];
const stays: Rule = { name: 'at-home', kind: 'pin', vms: ['own'], hosts: ['hot'] };

function planned(snapshot: Snapshot): PlanDraft {
  const plan = makePlan(snapshot);
  expect(checkPlan(snapshot, plan)).toEqual([]);
  return plan;
}

const steps = ({ moves }: PlanDraft) => moves.map((move) => `${move.vmName} ${move.fromHostId} > ${move.toHostId} in ${move.round}`);
const stayed = ({ skipped }: PlanDraft) => skipped.map(({ vmName, hostId, code }) => `${vmName ?? hostId}: ${code}`);

describe.each(strategies)('VMs that have to run together, by %s', (strategy) => {
  const withRules = (facts: ExampleFacts = {}, on = hosts) =>
    exampleSnapshot(on, { rules: [pair, stays], ...facts, policy: { strategy, ...facts.policy } });
  const by = (facts: ExampleFacts = {}, on = hosts) => planned(withRules(facts, on));

  it('leave a host that nothing else relieves together, for one that takes them all', () => {
    const plan = by();
    expect(steps(plan)).toEqual(['web hot > wide in 1', 'db hot > wide in 2']);
    for (const { together } of plan.moves) expect(together).toEqual({ rules: ['pair'], vmIds: ['web', 'db'] });
    expect(plan.moves[0]?.reason).toContain('hot is at 91.3 % CPU, over its start line of 80 %, and no VM may leave alone that helps');
    expect(plan.moves[0]?.reason).toContain('moves with db, because of the rule pair, to wide');
    expect(plan.moves[1]?.reason).toContain('moves with web, because of the rule pair, to wide');
    expect(plan.scoreAfter).toBeLessThan(plan.scoreBefore);
  });

  it('go in one round where the limits allow it', () => {
    expect(steps(by({ policy: { migrationsPerHostMax: 2 } }))).toEqual(['web hot > wide in 1', 'db hot > wide in 1']);
  });

  it('stay where a single move is enough, and where no host has room for all of them', () => {
    expect(steps(by({ rules: [pair] })).join()).toContain('own hot > ');
    const narrow = hosts.map((host) => (host.id === 'wide' ? { ...host, gib: 16 } : host));
    expect(by({}, narrow).moves).toEqual([]);
    expect(stayed(by({}, narrow))).toContain('web: no-target-memory');
  });

  it('stay when the plan may not have so many moves, and say so', () => {
    const plan = by({ policy: { movesPerPlanMax: 1 } });
    expect(plan.moves).toEqual([]);
    expect(stayed(plan)).toEqual(expect.arrayContaining(['web: limit-reached', 'db: limit-reached']));
    expect(plan.skipped.find(({ vmName }) => vmName === 'web')?.reason).toBe(
      'web has to move together with db, by rule pair: they are 2 VMs, and the plan may have 1 move more',
    );
  });

  const held: readonly (readonly [string, string, ExampleFacts])[] = [
    ['cool-down', 'cool-down', { ledger: [exampleEntry('db', 60_000)] }],
    ['a flight', 'limit-reached', { inFlight: [{ vmId: 'db', fromHostId: 'hot', toHostId: 'wide' }] }],
    ['an ignore rule', 'rule-ignore', { rules: [pair, stays, { name: 'keep', kind: 'ignore', vms: ['db'] }] }],
    ['a pin', 'rule-pin', { rules: [pair, stays, { name: 'here', kind: 'pin', vms: ['db'], hosts: ['hot', 'small'] }] }],
    ['a budget of the VM', 'budget-vm', { policy: { budgets: budgets({ vmMovesPerDay: 1 }) }, ledger: [old('db')] }],
    ['a budget of the cluster', 'budget-cluster', { policy: { budgets: budgets({ clusterMovesPerHour: 1 }) } }],
    ['a budget of bytes', 'budget-bytes', { policy: { budgets: budgets({ gibPerHour: 12 }) } }],
    [
      'a budget of their tenant',
      'budget-tenant',
      { policy: { budgets: budgets({ tenantMovesPerHour: 1 }) }, vmFacts: [ofTenant('web'), ofTenant('db')] },
    ],
    [
      'a refusal',
      'refused',
      { refusals: [{ vmId: 'db', hostId: 'wide', code: 'cpu-incompatible', reason: 'no AVX', untilMs: exampleNowMs + 1000 }] },
    ],
    ['rules that contradict', 'rule-anti-affinity', { rules: [pair, stays, { name: 'apart', kind: 'anti-affinity', vms: ['web', 'db'] }] }],
  ];

  it.each(held)('all stay for %s of one of them', (_what, code, more) => {
    const plan = by(more);
    expect(plan.moves.filter(({ together }) => together !== undefined)).toEqual([]);
    expect(plan.moves.map(({ vmName }) => vmName)).not.toContain('web');
    expect(plan.skipped.map((skip) => skip.code)).toContain(code);
  });

  it('all stay where the only host for them is cordoned, or one of them is paused', () => {
    const cordoned = hosts.map((host) => (host.id === 'wide' ? { ...host, cordoned: true } : host));
    expect(by({}, cordoned).moves).toEqual([]);
    expect(stayed(by({}, cordoned))).toContain('web: cordoned');
    const stop = (vm: ExampleVm) => (vm.id === 'db' ? { ...vm, state: 'paused' as const } : vm);
    const paused = hosts.map((host) => ({ ...host, vms: (host.vms ?? []).map(stop) }));
    expect(by({}, paused).moves).toEqual([]);
    expect(stayed(by({}, paused))).toContain('web: not-running');
  });

  it.each([2, 3, 4])('a group of %i, of which only one has been moved, is brought together again', (size) => {
    const group: Rule = { name: 'pair', kind: 'affinity', vms: ['g-*'] };
    const vms = Array.from({ length: size }, (_, index) => ({ id: `g-${index}`, cores: 3.6 / size, gib: 16 / size, delayCores: 0.1 }));
    const on = [{ id: 'hot', vms: [...vms, { id: 'own', cores: 3.8, gib: 8 }] }, ...hosts.slice(1)];
    let snapshot = withRules({ rules: [group, stays] }, on);
    const first = planned(snapshot);
    expect(first.moves).toHaveLength(size);
    // As the automatic mode does: the first round is made, the rest is planned anew.
    let plan: PlanDraft = first;
    for (let round = 0; round < 8 && plan.moves.length > 0; round += 1) {
      snapshot = applied(snapshot, { ...plan, moves: plan.moves.filter((move) => move.round === 1) }, 60_000);
      plan = planned(snapshot);
    }
    expect(snapshot.vms.filter(({ name }) => name.startsWith('g-')).map(({ hostId }) => hostId)).toEqual(vms.map(() => 'wide'));
    expect(plan.moves).toEqual([]);
  });

  describe('judged again before they start', () => {
    const snapshot = withRules();
    const plan = planned(snapshot);
    const account = accountOf(snapshot, plan.moves);
    const judge = (move: Move | undefined, now: Snapshot) => {
      if (move === undefined) throw new Error('no such move');
      const aim = account.aims[plan.moves.indexOf(move)] ?? null;
      return recheck(now, { move, aim, begun: { cpu: false, memory: false }, by: 'planner' });
    };
    const [first, second] = plan.moves;
    const arrived = applied(snapshot, { ...plan, moves: plan.moves.slice(0, 1) }, 60_000);

    it('the first may go, and the second after it, also when the first was relief enough', () => {
      expect(judge(first, snapshot)).toBeNull();
      expect(judge(second, arrived)).toBeNull();
    });

    it('none goes when one of the others cannot follow', () => {
      expect(judge(first, { ...snapshot, ledger: [exampleEntry('db', 60_000)] })).toMatchObject({ code: 'cool-down' });
      expect(judge(first, { ...snapshot, vms: snapshot.vms.filter(({ name }) => name !== 'db') })).toMatchObject({ code: 'vm-gone' });
      const filled = withRules({}, [...hosts.slice(0, 2), { id: 'wide', otherGib: 40, vms: [{ id: 'mail', cores: 1, gib: 4 }] }]);
      expect(judge(first, filled)).toMatchObject({ code: 'no-target-memory' });
      expect(judge(second, filled)?.reason).toContain('db moves with others or not at all');
    });
  });
});

describe('laws of groups', () => {
  const cluster = record({
    members: array(record({ cores: double({ min: 0.2, max: 1.5, noNaN: true }), gib: integer({ min: 1, max: 12 }) }), {
      minLength: 2,
      maxLength: 4,
    }),
    gone: integer({ min: 0, max: 2 }),
    own: double({ min: 3, max: 5, noNaN: true }),
    isPinned: boolean(),
    others: array(record({ otherCores: double({ min: 0, max: 5, noNaN: true }), gib: integer({ min: 8, max: 64 }) }), {
      minLength: 1,
      maxLength: 4,
    }),
    policy: record({
      strategy: constantFrom('lines', 'balance', 'pack'),
      movesPerPlanMax: integer({ min: 1, max: 6 }),
      migrationsPerHostMax: integer({ min: 1, max: 3 }),
      migrationsPerClusterMax: integer({ min: 1, max: 4 }),
      headroom: record({ hostFailures: constantFrom<0 | 1>(0, 0, 1) }),
    }),
  }).map(({ members, gone, own, isPinned, others, policy }) => {
    const vms = members.map((member, index) => ({ ...member, id: `g-${index}` }));
    const on: ExampleHost[] = [
      { id: 'hot', vms: [...vms.slice(gone), { id: 'own', cores: own, gib: 4 }] },
      ...others.map((host, index) => ({ ...host, id: `to-${index}`, vms: index === 0 ? vms.slice(0, gone) : [] })),
    ];
    const rules: Rule[] = [{ name: 'group', kind: 'affinity', vms: ['g-*'] }, ...(isPinned ? [stays] : [])];
    return exampleSnapshot(on, { rules, policy });
  });

  it('the linter finds nothing in any plan, and a group is never more apart in the end than it was', () => {
    let [relieved, gathered] = [0, 0];
    assert(
      property(cluster, (snapshot) => {
        const plan = planned(snapshot);
        const apart = ({ vms }: Snapshot) => new Set(vms.flatMap(({ name, hostId }) => (name.startsWith('g-') ? [hostId] : []))).size;
        const after = applied(snapshot, plan, 60_000);
        expect(apart(after)).toBeLessThanOrEqual(apart(snapshot));
        if (plan.moves.every(({ together }) => together === undefined)) return;
        expect(apart(after)).toBe(1);
        if (apart(snapshot) === 1) relieved += 1;
        else gathered += 1;
      }),
      { numRuns: 1000 },
    );
    expect(relieved).toBeGreaterThan(20);
    expect(gathered).toBeGreaterThan(5);
  });
});

describe('over however many rules', () => {
  it('VMs are one group', () => {
    const rules: Rule[] = [
      { name: 'b', kind: 'affinity', vms: ['two', 'three'] },
      { name: 'a', kind: 'affinity', vms: ['one', 'two'] },
      { name: 'alone', kind: 'affinity', vms: ['four', 'nobody'] },
    ];
    const snapshot = exampleSnapshot([{ id: 'h', vms: ['one', 'two', 'three', 'four'].map((id) => ({ id, cores: 1 })) }], { rules });
    const book = ruleBookOf(snapshot);
    expect(book.groupOf('one')).toEqual({ rules: ['a', 'b'], vmIds: ['one', 'three', 'two'] });
    expect(book.groupOf('four')).toBeNull();
  });
});

describe('the linter', () => {
  const snapshot = exampleSnapshot(hosts, { rules: [pair, stays] });
  const plan = makePlan(snapshot);
  const [first, second] = plan.moves;
  const codes = (moves: readonly Move[], on = snapshot) => checkPlan(on, { ...plan, moves }).map(({ code }) => code);

  it('lets the rule be broken between the first and the last move of the group, and nowhere else', () => {
    if (first === undefined || second === undefined) throw new Error('two moves were planned');
    expect(codes([first, second])).toEqual([]);
    expect(codes([first])).toContain('group-torn');
    expect(codes([first])).toContain('group-broken');
    const { together: _of, ...alone } = first;
    expect(codes([alone, second])).toContain('rule-broken');
    expect(codes([{ ...first, toHostId: 'small' }, second])).toContain('group-torn');
    expect(codes([first, { ...second, round: 3 }])).toContain('group-torn');
    const other = { ...first, together: { rules: ['at-home'], vmIds: ['web', 'db'] } };
    expect(codes([other, { ...second, together: other.together }])).toContain('rule-broken');
    expect(codes([first, { ...second, scoreAfter: first.scoreBefore + 1 }])).toContain('group-score');
  });

  it('knows no other rule that may be broken on the way', () => {
    const apart: Rule = { name: 'apart', kind: 'anti-affinity', vms: ['web', 'mail'] };
    expect(codes(plan.moves, { ...snapshot, rules: [...snapshot.rules, apart] })).toContain('rule-broken');
  });
});

function budgets(more: Partial<Snapshot['policy']['budgets']>): Snapshot['policy']['budgets'] {
  return { vmMovesPerDay: 0, tenantMovesPerHour: 0, clusterMovesPerHour: 0, gibPerHour: 0, ...more };
}

/** Moved long enough ago for no cool-down. */
function old(vmId: string) {
  return exampleEntry(vmId, 10 * 3_600_000);
}

function ofTenant(vmId: string) {
  return { vmId, slaClass: null, tenant: 'acme', activity: null };
}
