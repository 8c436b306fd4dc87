import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Cluster } from './cluster.ts';
import { defaultPhysics, gibibyte, migrationSeconds } from './physics.ts';
import { synthetic } from './synthetic.ts';
import { workloadOf } from './workload.ts';
import type { Workload, WorkloadVm } from './workload.ts';

const unlimited = { perHostMax: Infinity, perClusterMax: Infinity };

function exampleVm(vmId: string, hostId: string, percent: number, more: Partial<WorkloadVm> = {}): WorkloadVm {
  return { vmId, hostId, vcpus: 4, memoryBytes: 8 * gibibyte, trace: Uint8Array.of(percent), phaseSeconds: 0, ...more };
}

/** Hosts of 4 cores and 16 GiB. */
function exampleCluster(vms: readonly WorkloadVm[], limits = unlimited): Cluster {
  const hosts = ['a', 'b', 'c'].map((hostId) => ({ hostId, cpuCores: 4, memoryBytes: 16 * gibibyte }));
  return new Cluster({ hosts, vms }, defaultPhysics, limits);
}

test('a host that is asked for more than it has shares its cores, and its use is no more than they are', () => {
  const cluster = exampleCluster([exampleVm('x', 'a', 100), exampleVm('y', 'a', 50)]);
  cluster.advance(60);
  const [host] = cluster.view().hosts;
  expect(host?.cpuUsedCores).toBeCloseTo(4);
  expect(host?.vms.map((vm) => vm.cpuUsedCores)).toEqual([expect.closeTo(8 / 3), expect.closeTo(4 / 3)]);
  expect(host?.vms.map((vm) => vm.cpuDelayCores)).toEqual([expect.closeTo(4 / 3), expect.closeTo(2 / 3)]);
  const outcome = cluster.tally.outcome(0);
  expect(outcome.unservedCoreHours).toBeCloseTo(2 / 60);
  expect(outcome.overloadedHostHours).toBeCloseTo(1 / 60);
  expect(outcome.overloadedPercent).toBeCloseTo(100 / 3);
});

test('a migration takes its bytes divided by the bandwidth, to the moment, and the demand stays on the source till then', () => {
  const cluster = exampleCluster([exampleVm('x', 'a', 50)]);
  const seconds = migrationSeconds(8 * gibibyte, defaultPhysics);
  cluster.request([{ vmId: 'x', fromHostId: 'a', toHostId: 'b' }]);
  cluster.advance(60);
  const view = cluster.view();
  expect(view.ended).toEqual([
    { vmId: 'x', fromHostId: 'a', toHostId: 'b', startedAtSeconds: 0, endedAtSeconds: seconds, outcome: 'moved' },
  ]);
  const [a, b] = view.hosts;
  const { sourceCores, destinationCores } = defaultPhysics;
  expect(a?.cpuUsedCores).toBeCloseTo(((2 + sourceCores) * seconds) / 60);
  expect(b?.cpuUsedCores).toBeCloseTo((destinationCores * seconds + 2 * (60 - seconds)) / 60);
  expect(cluster.tally.outcome(0)).toMatchObject({ migrations: 1, migratedGib: 10 });
});

test('memory of a destination is taken from the start, and a step that would overcommit it is refused and counted', () => {
  const cluster = exampleCluster([exampleVm('x', 'a', 10), exampleVm('y', 'b', 10), exampleVm('z', 'c', 10)]);
  cluster.request([
    { vmId: 'x', fromHostId: 'a', toHostId: 'b' },
    { vmId: 'z', fromHostId: 'c', toHostId: 'b' },
  ]);
  expect(cluster.view().hosts.map(({ memoryUsedBytes }) => memoryUsedBytes / gibibyte)).toEqual([8, 16, 8]);
  expect(cluster.tally.outcome(0).refusedSteps).toBe(1);
  cluster.advance(60);
  expect(cluster.view().hosts.map(({ memoryUsedBytes }) => memoryUsedBytes / gibibyte)).toEqual([0, 16, 8]);
});

test('a step of a VM that is not there, that moves already or that stays where it is is refused', () => {
  const cluster = exampleCluster([exampleVm('x', 'a', 10)]);
  cluster.request([
    { vmId: 'x', fromHostId: 'b', toHostId: 'c' },
    { vmId: 'x', fromHostId: 'a', toHostId: 'a' },
    { vmId: 'x', fromHostId: 'a', toHostId: 'b' },
    { vmId: 'x', fromHostId: 'a', toHostId: 'c' },
  ]);
  expect(cluster.tally.outcome(0).refusedSteps).toBe(3);
});

test('steps above the balancer’s own limits wait for their turn', () => {
  const cluster = exampleCluster([exampleVm('x', 'a', 10), exampleVm('y', 'a', 10)], { perHostMax: 1, perClusterMax: 4 });
  cluster.request(['x', 'y'].map((vmId) => ({ vmId, fromHostId: 'a', toHostId: 'b' })));
  expect(cluster.view().underWay.map(({ startedAtSeconds }) => startedAtSeconds)).toEqual([0, null]);
  cluster.advance(60);
  const seconds = migrationSeconds(8 * gibibyte, defaultPhysics);
  expect(cluster.view().ended.map(({ endedAtSeconds }) => endedAtSeconds)).toEqual([seconds, 2 * seconds]);
});

test('a VM that is back on a host within an hour has returned', () => {
  const cluster = exampleCluster([exampleVm('x', 'a', 10)]);
  const there = [{ vmId: 'x', fromHostId: 'a', toHostId: 'b' }];
  const back = [{ vmId: 'x', fromHostId: 'b', toHostId: 'a' }];
  cluster.request(there);
  cluster.advance(1800);
  cluster.request(back);
  cluster.advance(1800);
  expect(cluster.tally.outcome(0)).toMatchObject({ returns: 1, movesPerVmMax: 2 });
  cluster.advance(3600);
  cluster.request(there);
  cluster.advance(1800);
  expect(cluster.tally.outcome(0)).toMatchObject({ returns: 1, movesPerVmMax: 3 });
});

test('readings hold for five minutes, shifted by the phase of the VM', () => {
  const trace = Uint8Array.of(10, 30);
  const cluster = exampleCluster([exampleVm('x', 'a', 0, { trace }), exampleVm('y', 'b', 0, { trace, phaseSeconds: 120 })]);
  cluster.advance(240);
  cluster.view();
  cluster.advance(60);
  const used = () => cluster.view().hosts.map(({ cpuUsedCores }) => cpuUsedCores);
  expect(used()).toEqual([expect.closeTo(0.4), expect.closeTo(1.2), 0]);
  cluster.advance(60);
  expect(used()).toEqual([expect.closeTo(1.2), expect.closeTo(1.2), 0]);
});

/** Anything that a balancer could ask for, at random. */
const anySteps = fc.array(fc.tuple(fc.nat(), fc.nat(2), fc.integer({ min: 1, max: 200 })), { maxLength: 40 });

test('whatever is asked for, memory is never overcommitted, no VM is lost and the demand is served or not, but never more', () => {
  const workload: Workload = workloadOf(synthetic, { hosts: 3, vmsPerHost: 12 }, 1);
  fc.assert(
    fc.property(anySteps, (wishes) => {
      const cluster = new Cluster(workload, defaultPhysics, { perHostMax: 3, perClusterMax: 4 });
      let usedCoreSeconds = 0;
      for (const [vmNumber, hostNumber, seconds] of wishes) {
        const vms = cluster.view().hosts.flatMap(({ hostId, vms: here }) => here.map(({ vmId }) => ({ vmId, hostId })));
        const vm = vms[vmNumber % vms.length];
        cluster.request([{ vmId: vm?.vmId ?? '', fromHostId: vm?.hostId ?? '', toHostId: workload.hosts[hostNumber]?.hostId ?? '' }]);
        cluster.advance(seconds);
        const view = cluster.view();
        expect(view.hosts.flatMap(({ vms: here }) => here)).toHaveLength(workload.vms.length);
        for (const host of view.hosts) {
          expect(host.memoryUsedBytes).toBeLessThanOrEqual(host.memoryBytes);
          expect(host.cpuUsedCores).toBeLessThanOrEqual(host.cpuCores + 1e-9);
          for (const { cpuUsedCores } of host.vms) usedCoreSeconds += cpuUsedCores * seconds;
        }
      }
      // Migrations shift where demand is served, never how much there is.
      const still = new Cluster(workload, defaultPhysics, unlimited);
      still.advance(wishes.reduce((sum, [, , seconds]) => sum + seconds, 0));
      const wanted = still.tally.servedCoreHours + still.tally.outcome(0).unservedCoreHours;
      expect(cluster.tally.servedCoreHours + cluster.tally.outcome(0).unservedCoreHours).toBeCloseTo(wanted, 6);
      expect(usedCoreSeconds / 3600).toBeCloseTo(cluster.tally.servedCoreHours, 6);
    }),
    { numRuns: 50 },
  );
});
