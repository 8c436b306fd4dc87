import { expect, test } from 'vitest';
import { gibibyte } from './physics.ts';
import { synthetic } from './synthetic.ts';
import { meanOf } from './trace.ts';
import { meanShare, workloadOf } from './workload.ts';
import type { Workload } from './workload.ts';

const size = { hosts: 8, vmsPerHost: null };

function memoryShares({ hosts, vms }: Workload): readonly number[] {
  return hosts.map(({ hostId, memoryBytes }) => {
    const taken = vms.filter((vm) => vm.hostId === hostId).reduce((sum, vm) => sum + vm.memoryBytes, 0);
    return taken / memoryBytes;
  });
}

test('there are as many VMs as ask for the wanted share of the cores', () => {
  const { hosts, vms } = workloadOf(synthetic, size, 3);
  const wanted = vms.reduce((sum, vm) => sum + (meanOf(vm.trace) / 100) * vm.vcpus, 0);
  const share = wanted / hosts.reduce((sum, host) => sum + host.cpuCores, 0);
  expect(share).toBeGreaterThanOrEqual(meanShare);
  expect(share).toBeLessThan(meanShare + 0.07);
});

test('no host begins with more than nine tenths of its memory taken, and memory is not idle either', () => {
  for (const seed of [1, 2, 3]) {
    const shares = memoryShares(workloadOf(synthetic, size, seed));
    expect(Math.max(...shares)).toBeLessThanOrEqual(0.9);
    expect(meanOf(shares)).toBeGreaterThan(0.5);
  }
});

test('a seed changes placement, memory and traces, the same seed changes nothing', () => {
  const [one, two] = [workloadOf(synthetic, size, 1), workloadOf(synthetic, size, 2)];
  expect(workloadOf(synthetic, size, 1)).toEqual(one);
  const figures = ({ vms }: Workload) => vms.slice(0, 20).map((vm) => [vm.hostId, vm.memoryBytes / gibibyte, vm.trace[0]]);
  expect(figures(two)).not.toEqual(figures(one));
});

test('a cluster can be asked for a number of VMs, but not for more than its memory holds', () => {
  expect(workloadOf(synthetic, { hosts: 4, vmsPerHost: 10 }, 1).vms).toHaveLength(40);
  expect(() => workloadOf(synthetic, { hosts: 2, vmsPerHost: 60 }, 1)).toThrow('not enough memory');
});
