import { assert, boolean, constantFrom, array, double, integer, nat, option, property, record, shuffledSubarray, tuple } from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import type { Move } from '#core/model/plan.ts';
import { checkSnapshot } from '#core/checks/check-snapshot.ts';
import { defaultPolicy, directions, strategies } from '#core/model/policy.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { cores } from '#core/model/units.ts';
import { applied } from './applied-plan.ts';
import { applyMove } from './apply-move.ts';
import { boundsOf } from './bounds.ts';
import { anyPlacement, bestCandidate } from './candidate.ts';
import { Targets } from './targets.ts';
import { clusterOf, findHost } from './cluster.ts';
import { exampleEntry, exampleNowMs, exampleSnapshot, gibibyte } from './examples.ts';
import type { ExampleHost } from './examples.ts';
import { frozenHosts } from './freeze.ts';
import { isAbove, loadOf, noRelief, startLimit } from './line.ts';
import { makePlan } from './make-plan.ts';
import { scoreOf, totalsOf } from './score.ts';

// Thousands of plans: on a busy machine the default 5 s may not do.
vi.setConfig({ testTimeout: 30_000 });

const runs = { numRuns: 300 };

/** Half of the VMs have one. */
const forecast = option(
  record({
    meanCores: double({ min: 0, max: 2, noNaN: true }),
    above: double({ min: 0, max: 2, noNaN: true }),
    usual: record({ meanCores: double({ min: 0, max: 2, noNaN: true }), spreadCores: double({ min: 0, max: 2, noNaN: true }) }),
    confidencePercent: integer({ min: 0, max: 100 }),
  }).map(({ meanCores, above, usual, confidencePercent }) => ({
    meanCores: cores(meanCores),
    highCores: cores(meanCores + above),
    horizonMs: 1_800_000,
    usual: { meanCores: cores(usual.meanCores), spreadCores: cores(usual.spreadCores) },
    confidencePercent,
  })),
  { nil: null, freq: 2 },
);

const traffic = option(nat(400), { freq: 3 });
const percent = nat(100);

/** Clusters with hot, idle, stale and silent hosts, VMs of all sizes and states, migrations under way and a past. */
function snapshots(coresMax = 2.5): Arbitrary<Snapshot> {
  const vm = record({
    cores: double({ min: 0, max: coresMax, noNaN: true }),
    gib: integer({ min: 1, max: 16 }),
    delayCores: double({ min: 0, max: 0.5, noNaN: true }),
    netMib: traffic,
    diskMib: traffic,
    forecast,
    state: constantFrom('running' as const, 'running' as const, 'running' as const, 'paused' as const, 'shut-off' as const),
  });
  const host = record({
    cores: constantFrom(4, 8, 16),
    gib: constantFrom(32, 64),
    otherCores: double({ min: 0, max: 1, noNaN: true }),
    status: constantFrom('up' as const, 'up' as const, 'up' as const, 'up' as const, 'silent' as const),
    netMib: traffic,
    diskMib: traffic,
    pressure: option(record({ cpuSomePercent: percent, memorySomePercent: percent, ioSomePercent: percent })),
    ageMs: integer({ min: 0, max: 16_000 }),
    roundsOverLine: integer({ min: 0, max: 5 }),
    relieving: record({ cpu: boolean(), memory: boolean() }),
    quarantine: constantFrom(null, null, null, null, { code: 'implausible', message: 'no', sinceMs: 1, cleanSamplesLeft: 5 }),
    vms: array(vm, { maxLength: 7 }),
  });
  const facts = record({
    inFlight: array(tuple(nat(), nat()), { maxLength: 2 }),
    ledger: array(tuple(nat(), nat(3 * 3_600_000), constantFrom('moved' as const, 'stayed' as const)), { maxLength: 5 }),
    migrationsPerHostMax: integer({ min: 1, max: 3 }),
    movesPerPlanMax: integer({ min: 0, max: 8 }),
    balance: record({ usualMs: constantFrom(0, 600_000), copyCores: constantFrom(0, 1) }),
    strategy: constantFrom(...strategies),
    direction: constantFrom(...directions),
  });
  return tuple(array(host, { minLength: 1, maxLength: 8 }), facts).map(([hosts, { inFlight, ledger, ...policy }]) => {
    const examples: ExampleHost[] = hosts.map(({ ageMs, vms, ...more }, index) => ({
      ...more,
      id: `host-${index}`,
      sampledAtMs: exampleNowMs - ageMs,
      vms: vms.map((each, number) => ({ ...each, id: `vm-${index}-${number}`, vcpus: 4 })),
    }));
    const direction = policy.strategy === 'pack' ? 'push' : policy.direction;
    const balance = { ...defaultPolicy.balance, ...policy.balance };
    const plain = exampleSnapshot(examples, { policy: { ...policy, balance, direction, coolDownMs: 600_000 } });
    return withPast(plain, inFlight, ledger);
  });
}

function withPast(
  snapshot: Snapshot,
  inFlight: readonly (readonly [number, number])[],
  ledger: readonly (readonly [number, number, 'moved' | 'stayed'])[],
): Snapshot {
  const { vms, hosts } = snapshot;
  const pick = (index: number) => vms[index % Math.max(1, vms.length)];
  const flights = inFlight.flatMap(([vmIndex, hostIndex]) => {
    const vm = pick(vmIndex);
    const to = hosts[hostIndex % hosts.length];
    return vm === undefined || to === undefined || to.hostId === vm.hostId
      ? []
      : [{ vmId: vm.vmId, fromHostId: vm.hostId, toHostId: to.hostId }];
  });
  const unique = flights.filter((flight, index) => flights.findIndex((other) => other.vmId === flight.vmId) === index);
  // Some destinations report the half-copied VM already.
  const copies = vms.flatMap((vm) =>
    unique
      .filter((flight) => flight.vmId === vm.vmId && vm.state === 'running' && vm.memoryBytes > 8 * gibibyte)
      .map((flight) => ({ ...vm, hostId: flight.toHostId, state: 'incoming' as const, cpuUsedCores: cores(0) })),
  );
  return {
    ...snapshot,
    vms: [...vms, ...copies],
    inFlight: unique,
    ledger: ledger.flatMap(([vmIndex, agoMs, outcome]) => {
      const vm = pick(vmIndex);
      return vm === undefined ? [] : [exampleEntry(vm.vmId, agoMs, { outcome })];
    }),
  };
}

/** Where nothing moves but what a line of its source asks for. */
function reliefOnly(snapshot: Snapshot): Snapshot {
  const { policy } = snapshot;
  return { ...snapshot, policy: { ...policy, direction: 'push', strategy: policy.strategy === 'pack' ? 'lines' : policy.strategy } };
}

function withoutFlights(snapshot: Snapshot): Snapshot {
  return { ...snapshot, inFlight: [], vms: snapshot.vms.filter((vm) => vm.state !== 'incoming') };
}

describe('laws of planning', () => {
  it('the linter finds nothing in any plan, and the generator makes sound snapshots', () => {
    const verdicts = new Set<string>();
    const check = property(snapshots(), (snapshot) => {
      expect(checkSnapshot(snapshot)).toEqual([]);
      const plan = makePlan(snapshot);
      verdicts.add(plan.verdict);
      expect(checkPlan(snapshot, plan)).toEqual([]);
    });
    assert(check, { numRuns: 1_000 });
    expect([...verdicts].toSorted()).toEqual(['balanced', 'frozen', 'moves', 'no-beneficial-move']);
  });

  it('a cluster with nobody over a line gives an empty plan', () => {
    assert(
      property(snapshots(0.4), (snapshot) => {
        const start = startLimit(snapshot.policy);
        const calm = {
          ...reliefOnly(snapshot),
          hosts: snapshot.hosts.filter((host) => !isAbove(loadOf(host), start)).map((host) => ({ ...host, relieving: noRelief })),
        };
        expect(makePlan(calm).moves).toEqual([]);
      }),
      runs,
    );
  });

  it('moves a VM off a host that is neither over a start line nor on its way down to the stop line only for the sake of one that is', () => {
    assert(
      property(snapshots(), (snapshot) => {
        const { policy } = snapshot;
        const over = snapshot.hosts
          .filter((host) => {
            const { cpuPercent, memoryPercent } = loadOf(host);
            const cpu = cpuPercent > (host.relieving.cpu ? policy.cpuLine.stopPercent : policy.cpuLine.startPercent);
            return cpu || memoryPercent > (host.relieving.memory ? policy.memoryLine.stopPercent : policy.memoryLine.startPercent);
          })
          .map((host) => host.hostId);
        const { moves } = makePlan(reliefOnly(snapshot));
        for (const move of moves) {
          const served = move.forVmId === undefined ? move : moves.find(({ vmId }) => vmId === move.forVmId);
          expect(over).toContain(served?.fromHostId);
        }
      }),
      runs,
    );
  });

  it('the order of hosts, VMs, migrations and ledger does not matter', () => {
    const orders = snapshots().chain((snapshot) =>
      tuple(
        shuffledSubarray([...snapshot.hosts], { minLength: snapshot.hosts.length }),
        shuffledSubarray([...snapshot.vms], { minLength: snapshot.vms.length }),
        shuffledSubarray([...snapshot.inFlight], { minLength: snapshot.inFlight.length }),
        shuffledSubarray([...snapshot.ledger], { minLength: snapshot.ledger.length }),
      ).map(([hosts, vms, inFlight, ledger]) => ({ snapshot, shuffled: { ...snapshot, hosts, vms, inFlight, ledger } })),
    );
    assert(
      property(orders, ({ snapshot, shuffled }) => {
        expect(makePlan(shuffled)).toEqual(makePlan(snapshot));
      }),
      runs,
    );
  });

  it('planning leaves the snapshot as it was', () => {
    assert(
      property(snapshots(), (snapshot) => {
        const before = structuredClone(snapshot);
        makePlan(snapshot);
        expect(snapshot).toEqual(before);
      }),
      { numRuns: 100 },
    );
  });

  it('planning and applying again and again comes to rest, and moves no VM twice within its cool-down', () => {
    assert(
      property(snapshots(), (start) => {
        const policy = { ...start.policy, coolDownMs: start.policy.coolDownMsMax };
        let snapshot = withoutFlights({ ...start, policy });
        // Longer than `sustainedRounds`: an overload that the moves themselves made would show by then.
        const restRounds = 5;
        const moved = new Set<string>();
        let quietRounds = 0;
        for (let round = 0; round < 80 && quietRounds < restRounds; round += 1) {
          const plan = makePlan(snapshot);
          expect(checkPlan(snapshot, plan)).toEqual([]);
          quietRounds = plan.moves.length === 0 ? quietRounds + 1 : 0;
          for (const move of plan.moves) {
            expect(moved).not.toContain(move.vmId);
            moved.add(move.vmId);
          }
          snapshot = applied(snapshot, plan, 33_000);
        }
        expect(quietRounds).toBe(restRounds);
      }),
      runs,
    );
  });

  it('a host that a whole plan has relieved is not planned again on the loads the plan predicted', () => {
    assert(
      property(snapshots(), (snapshot) => {
        // What cools down stays so: a VM that may move again in the next round would be no sign of a wrong prediction.
        const policy = { ...snapshot.policy, movesPerPlanMax: 100, coolDownMs: snapshot.policy.coolDownMsMax };
        const unlimited = reliefOnly(withoutFlights({ ...snapshot, policy }));
        const plan = makePlan(unlimited);
        const ownMoves = ({ moves }: typeof plan) => moves.filter(({ forVmId }) => forVmId === undefined);
        const relieved = new Set(
          ownMoves(plan)
            .map((move) => move.fromHostId)
            .filter((hostId) =>
              plan.skipped.every((skip) => skip.hostId !== hostId || skip.code === 'not-running' || skip.code === 'cool-down'),
            ),
        );
        const again = makePlan(applied(unlimited, plan, 33_000));
        for (const move of ownMoves(again)) expect(relieved).not.toContain(move.fromHostId);
      }),
      runs,
    );
  });
});

/** One of them is of use only with the other. */
function areOne(move: Move, next: Move): boolean {
  return move.forVmId === next.vmId || next.forVmId === move.vmId || move.together?.vmIds.includes(next.vmId) === true;
}

describe('laws of the score', () => {
  it('the predicted score equals the score recomputed on the applied cluster', () => {
    let judged = 0;
    assert(
      property(snapshots(), (snapshot) => {
        const { policy } = snapshot;
        const cluster = clusterOf(snapshot, frozenHosts(snapshot));
        const totals = totalsOf(cluster.hosts, policy);
        for (const source of cluster.hosts) {
          const targets = cluster.hosts.filter((host) => host !== source);
          const vms = source.vms.filter((vm) => vm.state === 'running');
          const open = { cpuPercent: 0, memoryPercent: 0 };
          const full = { cpuPercent: 100, memoryPercent: 100 };
          const { costs } = boundsOf(snapshot);
          const search = { policy, totals, source, vms, targets: new Targets(targets), closed: [], costs };
          const best = bestCandidate({ ...search, goal: open, limit: full, placement: anyPlacement });
          if (best === null) continue;
          const after = applyMove(cluster, { vmId: best.vm.vmId, fromHostId: source.hostId, toHostId: best.target.hostId });
          if (!after.ok) throw new Error(after.reason);
          judged += 1;
          expect(best.scoreAfter).toBeCloseTo(scoreOf(totalsOf(after.cluster.hosts, policy)), 5);
        }
      }),
      runs,
    );
    expect(judged).toBeGreaterThan(100);
  });

  it('no host that has room is passed over: the chosen move is the best of all, judged one by one', () => {
    assert(
      property(snapshots(), (snapshot) => {
        const policy = { ...snapshot.policy, minimumGainPercent: -1e9 };
        const cluster = clusterOf(snapshot, frozenHosts(snapshot));
        const open = { cpuPercent: -1, memoryPercent: -1 };
        const full = { cpuPercent: 100, memoryPercent: 100 };
        for (const source of cluster.hosts) {
          const targets = cluster.hosts.filter((host) => host !== source);
          const vms = source.vms.filter((vm) => vm.state === 'running' && vm.cpuUsedCores > 0);
          const best = bestCandidate({
            policy,
            totals: totalsOf(cluster.hosts, policy),
            source,
            vms,
            targets: new Targets(targets),
            closed: [],
            goal: open,
            limit: full,
            placement: anyPlacement,
            costs: boundsOf(snapshot).costs,
          });
          const scores = vms.flatMap((vm) =>
            targets.flatMap((target) => {
              const after = applyMove(cluster, { vmId: vm.vmId, fromHostId: source.hostId, toHostId: target.hostId });
              return after.ok ? [scoreOf(totalsOf(after.cluster.hosts, policy))] : [];
            }),
          );
          expect(best?.scoreAfter ?? Infinity).toBeCloseTo(Math.min(Infinity, ...scores), 5);
        }
      }),
      runs,
    );
  });

  it('each move of a plan starts from the score that the one before it leaves, and lowers it, those that need each other together', () => {
    assert(
      property(snapshots(), (snapshot) => {
        const plan = makePlan(snapshot);
        let score = plan.scoreBefore;
        let begunAt = plan.scoreBefore;
        for (const [index, move] of plan.moves.entries()) {
          expect(move.scoreBefore).toBeCloseTo(score, 5);
          // A move that only makes room for another one may cost something, and so may a group that is apart for a while.
          const isOwn = move.forVmId === undefined && move.together === undefined;
          if (snapshot.policy.strategy !== 'pack' && isOwn) expect(move.scoreAfter).toBeLessThan(move.scoreBefore);
          score = move.scoreAfter;
          const next = plan.moves[index + 1];
          if (next !== undefined && areOne(move, next)) continue;
          if (snapshot.policy.strategy !== 'pack') expect(score).toBeLessThan(begunAt);
          begunAt = score;
        }
        expect(plan.scoreAfter).toBeCloseTo(score, 5);
      }),
      runs,
    );
  });

  it('applying a move gives a new cluster and keeps the sum of CPU', () => {
    assert(
      property(snapshots(), nat(), nat(), (snapshot, vmIndex, hostIndex) => {
        const cluster = clusterOf(snapshot, frozenHosts(snapshot));
        const vm = snapshot.vms[vmIndex % Math.max(1, snapshot.vms.length)];
        const target = cluster.hosts[hostIndex % Math.max(1, cluster.hosts.length)];
        if (vm === undefined || target === undefined) return;
        const before = structuredClone(cluster);
        const result = applyMove(cluster, { vmId: vm.vmId, fromHostId: vm.hostId, toHostId: target.hostId });
        expect(cluster).toEqual(before);
        if (!result.ok) return;
        const sum = (each: typeof cluster) => each.hosts.reduce((total, host) => total + host.cpuUsedCores, 0);
        expect(sum(result.cluster)).toBeCloseTo(sum(cluster), 6);
        expect(findHost(result.cluster, target.hostId)?.vms.map((moved) => moved.vmId)).toContain(vm.vmId);
      }),
      runs,
    );
  });
});
