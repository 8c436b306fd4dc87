/** Laws of classes, budgets and costs over random clusters, under both strategies. */
import { array, assert, constantFrom, double, integer, nat, option, property, record, shuffledSubarray, tuple } from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import { checkSnapshot } from '#core/checks/check-snapshot.ts';
import { defaultPolicy } from '#core/model/policy.ts';
import type { PairBandwidth, Snapshot, VmFacts } from '#core/model/snapshot.ts';
import { applied } from './applied-plan.ts';
import { exampleEntry, exampleNowMs, exampleSnapshot, gibibyte } from './examples.ts';
import { makePlan } from './make-plan.ts';

// Thousands of plans: on a busy machine the default 5 s may not do.
vi.setConfig({ testTimeout: 60_000 });

const mebibyte = 2 ** 20;

/** Hot and idle hosts; VMs of all classes, some looked at; some pairs measured, some of them slow; a busy past. */
function snapshots(): Arbitrary<Snapshot> {
  const vm = record({
    cores: double({ min: 0, max: 2.5, noNaN: true }),
    gib: integer({ min: 1, max: 24 }),
    slaClass: constantFrom(null, null, 'critical', 'batch', 'fixed', 'asked', 'gone'),
    tenant: constantFrom(null, 'acme', 'initech'),
    activity: option(record({ usedShare: double({ min: 0.05, max: 1, noNaN: true }), mibPerSecond: integer({ min: 0, max: 400 }) })),
  });
  const host = record({ cores: constantFrom(4, 8), otherCores: double({ min: 0, max: 1, noNaN: true }), vms: array(vm, { maxLength: 6 }) });
  const facts = record({
    bandwidths: array(tuple(nat(), nat(), constantFrom(1, 8, 60, 400), double({ min: 0.5, max: 3, noNaN: true })), { maxLength: 8 }),
    assumedMib: constantFrom(0, 0, 50),
    ledger: array(
      tuple(nat(), nat(30 * 3_600_000), constantFrom('moved' as const, 'stayed' as const), option(integer({ min: 0, max: 20 }))),
      {
        maxLength: 8,
      },
    ),
    inFlight: array(tuple(nat(), nat()), { maxLength: 1 }),
    vmMovesPerDay: constantFrom(0, 1, 2, 24),
    tenantMovesPerHour: constantFrom(0, 1, 2),
    clusterMovesPerHour: constantFrom(0, 2, 4),
    gibPerHour: constantFrom(0, 8, 40),
    strategy: constantFrom('lines' as const, 'balance' as const),
    automatic: constantFrom(true, false),
  });
  return tuple(array(host, { minLength: 2, maxLength: 7 }), facts).map(([hosts, given]) => {
    const { vmMovesPerDay, tenantMovesPerHour, clusterMovesPerHour, gibPerHour, strategy, automatic } = given;
    const vms = hosts.flatMap((each, at) => each.vms.map((one, number) => ({ ...one, id: `vm-${at}-${number}` })));
    const plain = exampleSnapshot(
      hosts.map(({ vms: own, ...more }, at) => ({
        ...more,
        id: `host-${at}`,
        vms: own.map(({ cores, gib }, number) => ({ cores, gib, id: `vm-${at}-${number}`, vcpus: 4 })),
      })),
      {
        automatic,
        policy: {
          strategy,
          cpuLine: { startPercent: 60, stopPercent: 45 },
          coolDownMs: 600_000,
          movesPerPlanMax: 8,
          migrationsPerHostMax: 2,
          budgets: { vmMovesPerDay, tenantMovesPerHour, clusterMovesPerHour, gibPerHour },
          assumedBandwidthBytesPerSecond: given.assumedMib * mebibyte,
          classes: {
            ...defaultPolicy.classes,
            fixed: { downtimeMsMax: 0, costFactor: 1, moves: 'never' },
            asked: { downtimeMsMax: 400, costFactor: 2, moves: 'approve-only' },
          },
        },
      },
    );
    const vmFacts = vms.map(({ id, gib, slaClass, tenant, activity }): VmFacts => {
      const used = (activity?.usedShare ?? 0) * gib * gibibyte;
      const rate = Math.min(used, (activity?.mibPerSecond ?? 0) * mebibyte);
      const looked = {
        measuredAtMs: exampleNowMs,
        measuredForMs: 20_000,
        usedBytes: used,
        dirtyBytesPerSecond: rate,
        workingSetBytes: used / 4 + rate / 2,
      };
      return { vmId: id, slaClass, tenant, activity: activity === null ? null : looked };
    });
    return { ...plain, vmFacts, bandwidths: pairsOf(hosts.length, given.bandwidths), ...pastOf(plain, given) };
  });
}

function pairsOf(hosts: number, drawn: readonly (readonly [number, number, number, number])[]): readonly PairBandwidth[] {
  const pairs = new Map<string, PairBandwidth>();
  for (const [one, other, mib, factor] of drawn) {
    const [hostA = '', hostB = ''] = [`host-${one % hosts}`, `host-${other % hosts}`].toSorted();
    if (hostA === hostB) continue;
    const factors = { total: factor, downtime: factor, bytes: 1 };
    pairs.set(`${hostA} ${hostB}`, { hostA, hostB, bytesPerSecond: mib * mebibyte, measuredAtMs: exampleNowMs, factors });
  }
  return [...pairs.values()];
}

interface Past {
  readonly ledger: readonly (readonly [number, number, 'moved' | 'stayed', number | null])[];
  readonly inFlight: readonly (readonly [number, number])[];
}

function pastOf({ vms, hosts }: Snapshot, { ledger, inFlight }: Past): Pick<Snapshot, 'ledger' | 'inFlight'> {
  const pick = (index: number) => vms[index % Math.max(1, vms.length)];
  return {
    ledger: ledger.flatMap(([index, agoMs, outcome, gib]) => {
      const vm = pick(index);
      return vm === undefined ? [] : [exampleEntry(vm.vmId, agoMs, { outcome, sentBytes: gib === null ? null : gib * gibibyte })];
    }),
    inFlight: inFlight.flatMap(([index, to]) => {
      const [vm, host] = [pick(index), hosts[to % hosts.length]];
      if (vm === undefined || host === undefined || host.hostId === vm.hostId) return [];
      return [{ vmId: vm.vmId, fromHostId: vm.hostId, toHostId: host.hostId }];
    }),
  };
}

describe('classes, budgets and costs', () => {
  it('no plan breaks one, and each keeps something where it is', () => {
    const seen = new Set<string>();
    let moves = 0;
    assert(
      property(snapshots(), (snapshot) => {
        expect(checkSnapshot(snapshot)).toEqual([]);
        const plan = makePlan(snapshot);
        expect(checkPlan(snapshot, plan)).toEqual([]);
        moves += plan.moves.length;
        for (const { code } of plan.skipped) seen.add(code);
      }),
      { numRuns: 3_000 },
    );
    expect(moves).toBeGreaterThan(500);
    expect([...seen]).toEqual(
      expect.arrayContaining([
        'class-never',
        'class-approve-only',
        'downtime-limit',
        'copy-too-long',
        'budget-vm',
        'budget-tenant',
        'budget-cluster',
        'budget-bytes',
      ]),
    );
  });

  it('of equal clusters equal plans are made, in whatever order they are told', () => {
    const orders = snapshots().chain((snapshot) =>
      tuple(
        shuffledSubarray([...snapshot.vmFacts], { minLength: snapshot.vmFacts.length }),
        shuffledSubarray([...snapshot.bandwidths], { minLength: snapshot.bandwidths.length }),
        shuffledSubarray([...snapshot.ledger], { minLength: snapshot.ledger.length }),
      ).map(([vmFacts, bandwidths, ledger]) => ({ snapshot, shuffled: { ...snapshot, vmFacts, bandwidths, ledger } })),
    );
    assert(
      property(orders, ({ snapshot, shuffled }) => {
        expect(makePlan(shuffled)).toEqual(makePlan(snapshot));
      }),
      { numRuns: 300 },
    );
  });

  it('planning and applying comes to rest, and what was spent stays spent', () => {
    assert(
      property(snapshots(), (start) => {
        const policy = { ...start.policy, coolDownMs: start.policy.coolDownMsMax };
        let snapshot: Snapshot = { ...start, policy, inFlight: [] };
        let quietRounds = 0;
        for (let round = 0; round < 60 && quietRounds < 5; round += 1) {
          const plan = makePlan(snapshot);
          expect(checkPlan(snapshot, plan)).toEqual([]);
          quietRounds = plan.moves.length === 0 ? quietRounds + 1 : 0;
          snapshot = applied(snapshot, plan, 33_000);
        }
        expect(quietRounds).toBe(5);
      }),
      { numRuns: 300 },
    );
  });

  it('where nothing is known and nothing limited, plans are those of a planner that never heard of it', () => {
    assert(
      property(snapshots(), (snapshot) => {
        const budgets = { vmMovesPerDay: 0, tenantMovesPerHour: 0, clusterMovesPerHour: 0, gibPerHour: 0 };
        const policy = { ...snapshot.policy, budgets, assumedBandwidthBytesPerSecond: 0 };
        const unknown: Snapshot = { ...snapshot, policy, vmFacts: [], bandwidths: [] };
        for (const { cost, vmId } of makePlan(unknown).moves) {
          const { memoryBytes } = snapshot.vms.find((vm) => vm.vmId === vmId) ?? { memoryBytes: 0 };
          expect(cost).toMatchObject({ bytes: memoryBytes, bytesBy: 'memory', durationMs: null, downtimeMs: null, slaClass: 'standard' });
        }
        const generous = {
          ...snapshot.policy.budgets,
          vmMovesPerDay: 1000,
          tenantMovesPerHour: 1000,
          clusterMovesPerHour: 1000,
          gibPerHour: 1e9,
        };
        expect(makePlan({ ...unknown, policy: { ...policy, budgets: generous } })).toEqual(makePlan(unknown));
      }),
      { numRuns: 300 },
    );
  });
});
