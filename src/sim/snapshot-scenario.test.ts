import { describe, expect, test } from 'vitest';
import { defaultPolicy } from '#core/model/policy.ts';
import type { Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import { bytes, cores } from '#core/model/units.ts';
import { noRelief } from '#core/planner/line.ts';
import { SimCluster } from './cluster.ts';
import { surroundings } from './examples.ts';
import { scenarioOfSnapshot } from './snapshot-scenario.ts';

const gibibyte = 2 ** 30;
const wish = { seed: 1, runForSeconds: 120, mode: 'automatic' } as const;

function host(hostId: string, change: Partial<SnapshotHost> = {}): SnapshotHost {
  return {
    hostId,
    status: 'up',
    capacity: { cpuCores: cores(4), memoryBytes: bytes(8 * gibibyte) },
    cpuUsedCores: cores(1),
    memoryUsedBytes: bytes(gibibyte),
    networkBytesPerSecond: null,
    diskBytesPerSecond: null,
    pressure: null,
    sampledAtMs: 1000,
    roundsOverLine: 0,
    relieving: noRelief,
    quarantine: null,
    cordoned: false,
    unfit: null,
    ...change,
  };
}

function vm(number: number, change: Partial<SnapshotVm> = {}): SnapshotVm {
  return {
    vmId: `00000000-0000-4000-8000-00000000000${number}`,
    name: `vm${number}`,
    hostId: 'a',
    state: 'running',
    vcpus: 2,
    cpuUsedCores: cores(1.5),
    cpuDelayCores: cores(0),
    memoryBytes: bytes(gibibyte),
    networkBytesPerSecond: null,
    diskBytesPerSecond: null,
    forecast: null,
    ...change,
  };
}

function snapshot(change: Partial<Snapshot> = {}): Snapshot {
  return {
    takenAtMs: 1000,
    policy: defaultPolicy,
    hosts: [host('a'), host('b')],
    vms: [vm(1), vm(2), vm(3)],
    inFlight: [],
    ledger: [],
    rules: [],
    refusals: [],
    vmFacts: [],
    bandwidths: [],
    automatic: false,
    ...change,
  };
}

describe('a saved cluster', () => {
  test('is played from where it was: an overloaded host loses VMs to the other', async () => {
    const { scenario } = scenarioOfSnapshot(snapshot(), wish);
    const cluster = new SimCluster(scenario, surroundings);
    await cluster.run();
    expect(cluster.store.allLedger()).toMatchObject([{ outcome: 'moved', cause: 'balance', fromHostId: 'a', toHostId: 'b' }]);
  });

  test('keeps its policy and its mode', () => {
    const policy = { ...defaultPolicy, movesPerPlanMax: 1, coolDownMs: 77_000 };
    const { cluster } = scenarioOfSnapshot(snapshot({ policy }), { ...wish, mode: 'observe' }).scenario;
    expect(cluster).toMatchObject({ mode: 'observe', policy: { movesPerPlanMax: 1, coolDownMs: 77_000 } });
  });

  test('keeps what its VMs send and read', () => {
    const busy = vm(1, { networkBytesPerSecond: 3 * 2 ** 20, diskBytesPerSecond: 2 ** 19 });
    const { vms } = scenarioOfSnapshot(snapshot({ vms: [busy, vm(2)] }), wish).scenario.cluster;
    expect(vms['vm1']).toMatchObject({ netMiBPerSecond: 3, diskMiBPerSecond: 0.5 });
    expect(vms['vm2']).toMatchObject({ netMiBPerSecond: 0, diskMiBPerSecond: 0 });
  });

  test('says what is left out and assumed', () => {
    const { scenario, assumed } = scenarioOfSnapshot(
      snapshot({
        hosts: [host('a'), host('b'), host('c', { status: 'silent' })],
        vms: [vm(1), vm(2, { state: 'shut-off' }), vm(3, { hostId: 'c' }), vm(4, { hostId: 'b', memoryBytes: bytes(9 * gibibyte) })],
        inFlight: [{ vmId: vm(1).vmId, fromHostId: 'a', toHostId: 'b' }],
      }),
      wish,
    );
    expect(Object.keys(scenario.cluster.vms)).toEqual(['vm1', 'vm4']);
    expect(scenario.cluster.hosts['b']?.memoryGiB).toBeGreaterThan(9);
    expect(assumed.join('\n')).toMatch(/1 host: not up[^]*2 VMs: not running[^]*1 host: less memory[^]*1 migration: under way/);
  });

  test('tells VMs of one name apart by their UUIDs', () => {
    const { scenario } = scenarioOfSnapshot(snapshot({ vms: [vm(1, { name: 'twin' }), vm(2, { name: 'twin' })] }), wish);
    expect(Object.keys(scenario.cluster.vms)).toEqual([vm(1).vmId, vm(2).vmId]);
  });

  test('without a host that is up is refused', () => {
    expect(() => scenarioOfSnapshot(snapshot({ hosts: [host('a', { status: 'silent' })] }), wish)).toThrow(
      expect.objectContaining({ code: 'input-invalid' }),
    );
  });
});
