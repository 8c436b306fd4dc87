import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytes } from '#core/model/units.ts';
import type { VmView } from '#core/model/vm.ts';
import { runningVm } from './examples.ts';
import { affordable, turnPeriodMs } from './look-budget.ts';

const gibibyte = 2 ** 30;

function vmOf(memoryGib: number, vmId = `${memoryGib}`): VmView {
  return runningVm({ vmId, memoryBytes: bytes(memoryGib * gibibyte) });
}

function chosen(...sizesGib: readonly number[]): readonly number[] {
  return affordable(sizesGib.map((size) => vmOf(size))).map(({ memoryBytes }) => memoryBytes / gibibyte);
}

describe('the budget for looks at memory', () => {
  it('lets a small VM be looked at nearly all the time, and a large one every few minutes', () => {
    // Of each GiB 512 pages of 4 KiB, twice for each of two looks: 8 MiB, which are 8 s at 1 MiB/s.
    expect([0.125, 0.75, 1, 64].map((size) => turnPeriodMs(vmOf(size)))).toEqual([6000, 6000, 8000, 512_000]);
  });

  it('goes to the smallest VMs, as many as can be looked at twice in five minutes', () => {
    expect(chosen(64, 4, 1, 8)).toEqual([1, 4, 8]);
    expect(chosen(16, 8, 8, 1)).toEqual([1, 8, 8]);
    expect(chosen(...Array.from({ length: 40 }, () => 0.5))).toHaveLength(25);
  });

  it('goes to one VM at least, however large', () => {
    expect(chosen(64)).toEqual([64]);
    expect(chosen(96, 64)).toEqual([64]);
    expect(chosen()).toEqual([]);
  });

  it('is never exceeded, whatever VMs there are', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.01, max: 512, noNaN: true })), (sizes) => {
        const vms = affordable(sizes.map((size, index) => vmOf(size, `vm${index}`)));
        for (const vm of vms)
          expect((vm.memoryBytes / gibibyte) * 8 * 2 ** 20).toBeLessThanOrEqual((turnPeriodMs(vm) / 1000) * 2 ** 20 * 1.0001);
        const cycleMs = vms.reduce((total, vm) => total + turnPeriodMs(vm), 0);
        if (vms.length > 1) expect(cycleMs).toBeLessThanOrEqual(150_000);
      }),
    );
  });
});
