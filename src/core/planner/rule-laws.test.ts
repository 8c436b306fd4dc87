import { assert, constantFrom, array, double, integer, nat, option, property, record, subarray, tuple } from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import { directions, strategies } from '#core/model/policy.ts';
import type { Rule } from '#core/model/rule.ts';
import { weekdays } from '#core/model/rule.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { applied } from './applied-plan.ts';
import { exampleNowMs, exampleSnapshot } from './examples.ts';
import { isAbove, loadOf, startLimit } from './line.ts';
import { makePlan } from './make-plan.ts';
import { ruleBookOf } from './rules.ts';

vi.setConfig({ testTimeout: 30_000 });

const runs = { numRuns: 300 };
const hostIds = ['host-0', 'host-1', 'host-2', 'host-3', 'host-4', 'host-5'];
/** A name tells a VM's service and its number: rules mean both. */
const selectors = ['web-*', 'db-*', '*-1', 'web-0', 'db-2', 'web-3', '*'];

const rule: Arbitrary<Rule> = record({
  kind: constantFrom('pin', 'affinity', 'affinity', 'affinity', 'anti-affinity', 'anti-affinity', 'pin', 'ignore', 'blackout', 'window'),
  vms: subarray(selectors, { minLength: 1, maxLength: 2 }),
  hosts: subarray(hostIds, { minLength: 1 }),
  fromMinute: nat(1439),
  untilMinute: integer({ min: 1, max: 1440 }),
  days: subarray([...weekdays], { minLength: 1 }),
  utcOffsetMinutes: integer({ min: -840, max: 840 }),
}).map(({ kind, vms, hosts, days, ...times }): Rule => {
  const base = { name: `${kind}-${vms.join('-')}`, vms };
  if (kind === 'pin') return { ...base, kind, hosts };
  if (kind === 'blackout' || kind === 'window') return { ...base, kind, when: { ...times, weekdays: days } };
  return { ...base, kind };
});

function clusters(coresMax: number): Arbitrary<Snapshot> {
  const vm = record({
    service: constantFrom('web', 'db', 'job', 'mail'),
    cores: double({ min: 0, max: coresMax, noNaN: true }),
    gib: integer({ min: 1, max: 12 }),
    state: constantFrom('running' as const, 'running' as const, 'running' as const, 'paused' as const, 'shut-off' as const),
  });
  const host = record({
    cores: constantFrom(8, 16),
    gib: constantFrom(32, 64),
    otherCores: double({ min: 0, max: 1, noNaN: true }),
    status: constantFrom('up' as const, 'up' as const, 'up' as const, 'up' as const, 'silent' as const),
    cordoned: constantFrom(false, false, false, true),
    unfit: constantFrom(null, null, null, null, 'its certificate has ended'),
    roundsOverLine: integer({ min: 0, max: 5 }),
    vms: array(vm, { maxLength: 6 }),
  });
  const facts = record({
    rules: array(rule, { maxLength: 5 }),
    refusals: array(tuple(nat(), nat(5), constantFrom(-1, 60_000)), { maxLength: 4 }),
    flight: option(tuple(nat(), nat()), { nil: null }),
    hostFailures: constantFrom<0 | 1>(0, 0, 1),
    movesPerPlanMax: integer({ min: 0, max: 8 }),
    strategy: constantFrom(...strategies),
    direction: constantFrom(...directions),
  });
  return tuple(array(host, { minLength: 1, maxLength: 6 }), facts).map(([hosts, { rules, refusals, flight, hostFailures, ...wishes }]) => {
    let number = 0;
    const examples = hosts.map(({ vms, ...more }, index) => ({
      ...more,
      id: `host-${index}`,
      vms: vms.map(({ service, ...each }) => ({ ...each, id: `${service}-${(number += 1)}` })),
    }));
    const direction = wishes.strategy === 'pack' ? 'push' : wishes.direction;
    const policy = { ...wishes, direction, migrationsPerHostMax: 4, coolDownMs: 600_000, headroom: { hostFailures } };
    const plain = exampleSnapshot(examples, { policy, rules: unique(rules) });
    const pick = (index: number) => plain.vms[index % Math.max(1, plain.vms.length)];
    const [flying, to] = flight === null ? [] : [pick(flight[0]), plain.hosts[flight[1] % plain.hosts.length]];
    const inFlight =
      flying === undefined || to === undefined || to.hostId === flying.hostId
        ? []
        : [{ vmId: flying.vmId, fromHostId: flying.hostId, toHostId: to.hostId }];
    const refused = refusals.flatMap(([vmIndex, hostIndex, leftMs]) => {
      const one = pick(vmIndex);
      const pair = { hostId: `host-${hostIndex}`, code: 'cpu-incompatible' as const, reason: 'no AVX', untilMs: exampleNowMs + leftMs };
      return one === undefined ? [] : [{ vmId: one.vmId, ...pair }];
    });
    return { ...plain, inFlight, refusals: refused };
  });
}

function unique(rules: readonly Rule[]): readonly Rule[] {
  return rules.filter((one, index) => rules.findIndex((other) => other.name === one.name) === index);
}

/** How often rules are broken in the whole cluster, by the rule book. */
function breaches(snapshot: Snapshot): number {
  const book = ruleBookOf(snapshot);
  return snapshot.vms.reduce((sum, vm) => sum + book.broken(vm, vm.hostId, book.where), 0);
}

describe('laws of rules', () => {
  it('the linter finds nothing in any plan, whatever rules, cordons, refusals and headroom there are', () => {
    let moves = 0;
    assert(
      property(clusters(3), (snapshot) => {
        const plan = makePlan(snapshot);
        expect(checkPlan(snapshot, plan)).toEqual([]);
        moves += plan.moves.length;
      }),
      { numRuns: 1000 },
    );
    expect(moves).toBeGreaterThan(80);
  });

  it('a plan never breaks a rule more often than it was', () => {
    assert(
      property(clusters(3), (snapshot) => {
        const before = breaches({ ...snapshot, inFlight: [] });
        const plan = makePlan({ ...snapshot, inFlight: [] });
        expect(breaches(applied({ ...snapshot, inFlight: [] }, plan, 33_000))).toBeLessThanOrEqual(before);
      }),
      runs,
    );
  });

  it('with every rule kept and no host over its line nothing is planned', () => {
    let calm = 0;
    assert(
      property(clusters(0.4), (snapshot) => {
        const book = ruleBookOf(snapshot);
        if (snapshot.hosts.some((host) => isAbove(loadOf(host), startLimit(snapshot.policy)))) return;
        if (snapshot.vms.some((vm) => book.brokenRule(vm, book.where) !== null)) return;
        calm += 1;
        const { policy } = snapshot;
        const strategy = policy.strategy === 'pack' ? 'lines' : policy.strategy;
        const plan = makePlan({ ...snapshot, policy: { ...policy, strategy, direction: 'push' } });
        expect(plan.moves).toEqual([]);
        expect(plan.verdict).not.toBe('no-beneficial-move');
      }),
      { numRuns: 1000 },
    );
    expect(calm).toBeGreaterThan(50);
  });

  it('VMs that are ignored never move, and no VM of a cluster in a blackout', () => {
    const always = { fromMinute: 0, untilMinute: 1440, weekdays, utcOffsetMinutes: 0 };
    assert(
      property(clusters(3), (snapshot) => {
        const ignore: Rule = { kind: 'ignore', name: 'zz', vms: ['web-*', 'db-1'] };
        const plan = makePlan({ ...snapshot, rules: [...snapshot.rules, ignore] });
        for (const move of plan.moves) expect(move.vmName).not.toMatch(/^web-|^db-1$/);
        const blackout: Rule = { kind: 'blackout', name: 'zz', vms: ['*'], when: always };
        expect(makePlan({ ...snapshot, rules: [blackout] }).moves).toEqual([]);
      }),
      runs,
    );
  });

  it('the order of rules and refusals does not matter', () => {
    assert(
      property(clusters(3), (snapshot) => {
        const turned = { ...snapshot, rules: snapshot.rules.toReversed(), refusals: snapshot.refusals.toReversed() };
        expect(makePlan(turned)).toEqual(makePlan(snapshot));
      }),
      runs,
    );
  });

  it('planning and applying again and again comes to rest, and mends on its way what can be mended', () => {
    let mended = 0;
    assert(
      property(clusters(1), (start) => {
        let snapshot: Snapshot = { ...start, inFlight: [], policy: { ...start.policy, coolDownMs: start.policy.coolDownMsMax } };
        const before = breaches(snapshot);
        let quietRounds = 0;
        for (let round = 0; round < 60 && quietRounds < 5; round += 1) {
          const plan = makePlan(snapshot);
          expect(checkPlan(snapshot, plan)).toEqual([]);
          quietRounds = plan.moves.length === 0 ? quietRounds + 1 : 0;
          snapshot = applied(snapshot, plan, 33_000);
        }
        expect(quietRounds).toBe(5);
        mended += before - breaches(snapshot);
      }),
      runs,
    );
    expect(mended).toBeGreaterThan(50);
  });
});
