/** Mistakes that were found in other balancers, each as a test of this one, under all strategies and directions. */
import { describe, expect, it } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import { acceptSample } from '#core/load/accept-sample.ts';
import { exampleSample, exampleVmSample } from '#core/load/examples.ts';
import { nextHostLoad, snapshotHostOf } from '#core/load/host-load.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { bytes, type Bytes, cores, type Cores, percentOf } from '#core/model/units.ts';
import { applied } from './applied-plan.ts';
import { exampleEntry, type ExampleHost, exampleSnapshot } from './examples.ts';
import { makePlan } from './make-plan.ts';
import { noRelief } from './line.ts';
import { hot, idle, ways } from './mistake-examples.ts';

describe.each(ways)('by %s, %s', (strategy, direction) => {
  const snapshotOf = (hosts: readonly ExampleHost[], policy: Partial<Policy> = {}): Snapshot =>
    exampleSnapshot(hosts, { policy: { strategy, direction, ...policy } });
  const planOf = (snapshot: Snapshot) => {
    const plan = makePlan(snapshot);
    expect(checkPlan(snapshot, plan)).toEqual([]);
    return plan;
  };

  it('CPU and memory are not swapped when a move is predicted (Incus)', () => {
    const snapshot = snapshotOf([
      {
        id: 'hot',
        cores: 8,
        gib: 64,
        vms: [
          { id: 'a', cores: 4, gib: 8 },
          { id: 'b', cores: 3.5, gib: 4 },
        ],
      },
      idle('cool'),
    ]);
    const [move] = planOf(snapshot).moves;
    const vm = snapshot.vms.find(({ vmId }) => vmId === move?.vmId);
    expect(move?.destination.cpuAfterPercent).toBeCloseTo(((vm?.cpuUsedCores ?? 0) / 8) * 100, 6);
    expect(move?.destination.memoryAfterPercent).toBeCloseTo(((vm?.memoryBytes ?? 0) / 2 ** 30 / 64) * 100, 6);
  });

  it('a host without a figure switches nothing off: it is left alone, and the others are relieved (Xen Orchestra)', () => {
    const snapshot = snapshotOf([hot, idle('cool'), idle('blind')]);
    const hosts = snapshot.hosts.map((host) => (host.hostId === 'blind' ? { ...host, cpuUsedCores: Number.NaN as Cores } : host));
    expect(planOf({ ...snapshot, hosts }).moves).toMatchObject([{ toHostId: 'cool' }]);
    const full = snapshot.hosts.map((host) => (host.hostId === 'cool' ? { ...host, memoryUsedBytes: Number.NaN as Bytes } : host));
    expect(makePlan({ ...snapshot, hosts: full }).moves.map(({ toHostId }) => toHostId)).not.toContain('cool');
  });

  it('the target is chosen anew for each VM, so not all go to one host (ProxLB)', () => {
    const vms = Array.from({ length: 12 }, (_, index) => ({ id: `vm-${index}`, cores: 1.2, gib: 1 }));
    const hosts = [{ id: 'hot', cores: 16, vms }, ...['x', 'y', 'z'].map((id) => ({ id, cores: 6, vms: [] }))];
    const { moves } = planOf(snapshotOf(hosts, { movesPerPlanMax: 10, cpuLine: { startPercent: 60, stopPercent: 40 } }));
    expect(moves.length).toBeGreaterThan(1);
    expect(new Set(moves.map(({ toHostId }) => toHostId)).size).toBeGreaterThan(1);
  });

  it('one hot host is relieved in a cluster of any size: the line does not fade (Proxmox VE)', () => {
    for (const others of [1, 9, 99]) {
      const hosts = [hot, ...Array.from({ length: others }, (_, index) => idle(`idle-${String(index).padStart(2, '0')}`))];
      expect(planOf(snapshotOf(hosts)).moves.length).toBeGreaterThan(0);
    }
  });

  it('what VMs really use decides, not what they were given (CloudStack)', () => {
    const promised = Array.from({ length: 3 }, (_, index) => ({ id: `big-${index}`, cores: 0.1, gib: 4, vcpus: 64 }));
    expect(planOf(snapshotOf([{ id: 'promised', vms: promised }, idle('cool')])).moves).toEqual([]);
  });

  it('cool-downs are kept in the ledger, so a restart forgets none (Xen Orchestra, PegaProx)', () => {
    const snapshot = snapshotOf([hot, idle('cool')]);
    const ledger = ['a', 'b', 'c'].map((vmId) => exampleEntry(vmId, 60_000));
    expect(planOf({ ...snapshot, ledger }).moves).toEqual([]);
  });

  it('a try that failed is no move: the VM may go where it did not get to, and its cool-down does not double (ProxBalance)', () => {
    const snapshot = snapshotOf([hot, idle('cool')], { coolDownMs: 60_000, coolDownMsMax: 3_600_000 });
    const failed = ['a', 'b', 'c'].flatMap((vmId) =>
      [300_000, 200_000, 100_000].map((agoMs) => exampleEntry(vmId, agoMs, { fromHostId: 'hot', toHostId: 'cool', outcome: 'stayed' })),
    );
    expect(planOf({ ...snapshot, ledger: failed }).moves).toHaveLength(1);
  });

  it('one bad sample does not set a mass migration going', () => {
    const quiet = exampleSample({ vms: [exampleVmSample('vm', 0.5)] }, { cpuUsedCores: cores(1) });
    const bad = exampleSample(
      { vms: [exampleVmSample('vm', 0.5)], sequence: quiet.sequence + 1, takenAtMs: quiet.takenAtMs + 3000 },
      { cpuUsedCores: cores(400) },
    );
    expect(acceptSample(quiet, bad, bad.takenAtMs)).toMatchObject({ ok: false });
    const peak = exampleSample(
      { vms: [exampleVmSample('vm', 0.5)], sequence: quiet.sequence + 1, takenAtMs: quiet.takenAtMs + 3000 },
      { cpuUsedCores: cores(8) },
    );
    const seen = snapshotHostOf(nextHostLoad(nextHostLoad(null, quiet, 15_000), peak, 15_000), {
      status: 'up',
      roundsOverLine: 0,
      relieving: noRelief,
      quarantine: null,
      cordoned: false,
      unfit: null,
    });
    expect(percentOf(seen?.cpuUsedCores ?? cores(0), seen?.capacity.cpuCores ?? cores(1))).toBeLessThan(80);
  });

  it('a host that is disabled is no target', () => {
    const closed: readonly Partial<ExampleHost>[] = [
      { cordoned: true },
      { unfit: 'its certificate has ended' },
      { status: 'silent' },
      { quarantine: { code: 'implausible', message: 'x', sinceMs: 1, cleanSamplesLeft: 3 } },
    ];
    for (const change of closed) expect(planOf(snapshotOf([hot, { ...idle('closed'), ...change }])).moves).toEqual([]);
  });

  it('nothing is planned for VMs that cannot move, and the plan says why', () => {
    const vms = [
      { id: 'paused', cores: 4, state: 'paused' as const },
      { id: 'busy', cores: 3.5 },
    ];
    const snapshot = snapshotOf([{ id: 'hot', cores: 8, vms }, idle('cool')]);
    const plan = planOf({ ...snapshot, inFlight: [{ vmId: 'busy', fromHostId: 'hot', toHostId: 'elsewhere' }] });
    expect(plan.moves).toEqual([]);
    expect(plan.skipped.length).toBeGreaterThan(0);
  });

  it('the only busy VM of a host is not moved round and round', () => {
    const hosts = [
      { id: 'x', cores: 4, vms: [{ id: 'whale', cores: 3.9 }] },
      { id: 'y', cores: 4, vms: [] },
      { id: 'z', cores: 4, vms: [] },
    ];
    let snapshot = snapshotOf(hosts, { coolDownMs: 0, coolDownMsMax: 0, returnMsMin: 0 });
    for (let round = 0; round < 5; round += 1) {
      const plan = planOf(snapshot);
      expect(plan.moves).toEqual([]);
      snapshot = applied(snapshot, plan, 60_000);
    }
  });

  it('planning moves nothing by itself: the snapshot is as it was (ProxLB)', () => {
    const snapshot = snapshotOf([hot, idle('cool')]);
    const before = structuredClone(snapshot);
    makePlan(snapshot);
    expect(snapshot).toEqual(before);
  });

  it('a forecast is never ignored in silence: by balance and by pull it decides the target, and the strategy says so (OpenNebula)', () => {
    const forecast = { meanCores: cores(7), highCores: cores(8), horizonMs: 1_800_000, confidencePercent: 100 };
    const soonBusy: ExampleHost = { id: 'a-soon', vms: [{ id: 'later', cores: 0, gib: 1, forecast }] };
    const [move] = planOf(snapshotOf([hot, soonBusy, { ...idle('b-calm'), vms: [{ id: 'steady', cores: 0.5, gib: 1 }] }])).moves;
    expect(move?.toHostId).toBe(strategy === 'balance' || direction === 'pull' ? 'b-calm' : 'a-soon');
  });
});

it('units cannot be mixed: bytes are no cores, and a bare number is neither (OpenStack Watcher)', () => {
  // @ts-expect-error -- memory against CPU
  expect(() => percentOf(bytes(1), cores(1))).not.toThrow();
  // @ts-expect-error -- a number of nobody knows what
  const wrong: Bytes = 1024;
  expect(wrong).toBe(1024);
});
