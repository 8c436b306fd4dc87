import { array, assert, double, integer, property, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HostRates } from '#core/model/sample.ts';
import type { VmSample } from '#core/model/vm.ts';
import type { Bytes, Cores } from '#core/model/units.ts';
import { exampleSample, exampleVmSample, gibibyte } from './examples.ts';
import { cpuUsedCores, nextHostLoad, snapshotHostOf, snapshotVmsOf, vmCpuCores } from './host-load.ts';
import type { HostLoad } from './host-load.ts';
import { smooth } from './smoothing.ts';

const halfLifeMs = 15_000;

/** One sample every 3 s, each with the host's CPU and its VMs. */
function fed(
  readings: readonly { readonly cpu: number | null; readonly vms?: readonly VmSample[] }[],
  start: HostLoad | null = null,
): HostLoad {
  let load = start;
  for (const { cpu, vms = [] } of readings) {
    const takenAtMs = load === null ? 0 : load.mark.takenAtMs + 3_000;
    load = nextHostLoad(load, exampleSample({ takenAtMs, vms }, { cpuUsedCores: cpu as Cores | null }), halfLifeMs);
  }
  if (load === null) throw new Error('no reading was given');
  return load;
}

const facts = {
  status: 'up',
  roundsOverLine: 0,
  relieving: { cpu: false, memory: false },
  quarantine: null,
  cordoned: false,
  unfit: null,
} as const;

describe('smoothing', () => {
  it('forgets half of the past in one half-life, in one step or in many', () => {
    const start = smooth(null, 0, 0, halfLifeMs);
    expect(smooth(start, 8, 15_000, halfLifeMs)?.value).toBeCloseTo(4);
    let many = start;
    for (const atMs of [1_000, 4_000, 4_100, 11_000, 15_000]) many = smooth(many, 8, atMs, halfLifeMs);
    expect(many?.value).toBeCloseTo(4);
  });

  it('takes nothing from a reading that is not newer or not a number', () => {
    const start = { value: 3, atMs: 1_000 };
    expect(smooth(start, 9, 1_000, halfLifeMs)).toBe(start);
    expect(smooth(start, 9, 500, halfLifeMs)).toBe(start);
    expect(smooth(start, Number.NaN, 2_000, halfLifeMs)).toBe(start);
    expect(smooth(start, 9, 2_000, 0)?.value).toBe(9);
  });

  it('stays between the least and the greatest reading', () => {
    const reading = tuple(double({ min: 0, max: 64, noNaN: true }), integer({ min: 1, max: 60_000 }));
    assert(
      property(array(reading, { minLength: 1, maxLength: 30 }), integer({ min: 0, max: 60_000 }), (readings, halfLife) => {
        let state = null;
        let atMs = 0;
        for (const [value, stepMs] of readings) {
          atMs += stepMs;
          state = smooth(state, value, atMs, halfLife);
        }
        const values = readings.map(([value]) => value);
        expect(state?.value).toBeGreaterThanOrEqual(Math.min(...values) - 1e-9);
        expect(state?.value).toBeLessThanOrEqual(Math.max(...values) + 1e-9);
      }),
    );
  });
});

describe('load of a host', () => {
  it('is not moved over its line by one bad sample', () => {
    const load = fed([{ cpu: 2 }, { cpu: 2 }, { cpu: 8 }]);
    expect(cpuUsedCores(load)).toBeCloseTo(2.78, 1);
    const sustained = fed(
      Array.from({ length: 15 }, () => ({ cpu: 8 })),
      load,
    );
    expect(cpuUsedCores(sustained)).toBeGreaterThan(7);
  });

  it('is not known before the first rate, which is not the same as idle', () => {
    const load = fed([{ cpu: null }]);
    expect(cpuUsedCores(load)).toBeNull();
    expect(snapshotHostOf(load, facts)).toBeNull();
  });

  it('is kept when the agent restarts and has no rates in its first sample', () => {
    const before = fed([{ cpu: 6, vms: [exampleVmSample('vm', 4, { vcpus: 4 })] }]);
    const after = fed([{ cpu: null, vms: [exampleVmSample('vm', null, { vcpus: 4 })] }], before);
    expect(cpuUsedCores(after)).toBeCloseTo(6);
    expect(snapshotVmsOf(after)[0]?.cpuUsedCores).toBeCloseTo(4);
  });

  it('falls at once when a VM leaves, instead of showing an overload that is over', () => {
    const before = fed([{ cpu: 7, vms: [exampleVmSample('vm', 4), exampleVmSample('stays', 2)] }]);
    const after = fed([{ cpu: 3, vms: [exampleVmSample('stays', 2)] }], before);
    expect(cpuUsedCores(after)).toBeCloseTo(3);
  });

  it('shows a VM that arrives with the load it had on its old host', () => {
    const source = fed([{ cpu: 4, vms: [exampleVmSample('vm', 3)] }]);
    const before = fed([{ cpu: 1 }]);
    const sample = exampleSample({ takenAtMs: 3_000, vms: [exampleVmSample('vm', null)] }, { cpuUsedCores: 4 as Cores });
    const carried = nextHostLoad(before, sample, halfLifeMs, vmCpuCores(source));
    expect(cpuUsedCores(carried)).toBeCloseTo(4);
    expect(snapshotVmsOf(carried)[0]?.cpuUsedCores).toBeCloseTo(3);
    const uncarried = nextHostLoad(before, sample, halfLifeMs);
    expect(cpuUsedCores(uncarried)).toBeLessThan(2);
  });

  it('shows a VM that was on its way here with the load it had, not with what receiving it took', () => {
    const source = fed([{ cpu: 4, vms: [exampleVmSample('vm', 3)] }]);
    const receiving = fed([{ cpu: 1 }, { cpu: 1.6, vms: [exampleVmSample('vm', 0.6, { state: 'incoming' })] }]);
    expect(cpuUsedCores(receiving)).toBeCloseTo(1);
    const sample = exampleSample({ takenAtMs: 6_000, vms: [exampleVmSample('vm', 1.1)] }, { cpuUsedCores: 2.1 as Cores });
    const arrived = nextHostLoad(receiving, sample, halfLifeMs, vmCpuCores(source));
    expect(snapshotVmsOf(arrived)[0]?.cpuUsedCores).toBeCloseTo(3);
    expect(cpuUsedCores(arrived)).toBeCloseTo(4);
  });

  describe('while it takes part in a migration', () => {
    const busy = (cpu: number, vm: number, delayCores = 0) => ({
      cpu,
      vms: [
        exampleVmSample('vm', vm, { cpuDelayCores: delayCores as Cores }),
        exampleVmSample('other', 2, { cpuDelayCores: delayCores as Cores }),
      ],
    });
    /** `copied`: whether each sample comes within the migration. */
    const during = (readings: readonly ReturnType<typeof busy>[], copied: ReadonlySet<string> | null) => {
      let load = fed([busy(5.5, 3), busy(5.5, 3), busy(5.5, 3)]);
      for (const { cpu, vms } of readings) {
        const takenAtMs = load.mark.takenAtMs + 3_000;
        load = nextHostLoad(load, exampleSample({ takenAtMs, vms }, { cpuUsedCores: cpu as Cores }), halfLifeMs, new Map(), copied);
      }
      return load;
    };
    /** The copy takes 1.5 cores of the kernel, 0.8 in QEMU, and the others wait for them. */
    const copying = Array.from({ length: 40 }, () => busy(7.8, 3.8, 0.5));

    it('takes nothing that the copy burns for load, and all of it without that; that others wait for it is so', () => {
      const held = during(copying, new Set(['vm']));
      expect(cpuUsedCores(held)).toBeCloseTo(5.5);
      expect(snapshotVmsOf(held).map(({ cpuUsedCores: own }) => own)).toEqual([3, 2]);
      expect(snapshotVmsOf(held)[1]?.cpuDelayCores).toBeCloseTo(0.5, 1);
      expect(cpuUsedCores(during(copying, null))).toBeGreaterThan(7.7);
    });

    it('still sees other VMs that grow, and load that falls', () => {
      const grown = copying.map(({ cpu, vms }) => ({
        cpu: cpu + 1,
        vms: vms.map((vm) => (vm.vmId === 'other' ? { ...vm, cpuUsedCores: 3 as Cores } : vm)),
      }));
      expect(cpuUsedCores(during(grown, new Set(['vm'])))).toBeCloseTo(6.5, 1);
      const less = Array.from({ length: 40 }, () => busy(3.2, 1));
      expect(cpuUsedCores(during(less, new Set(['vm'])))).toBeCloseTo(3.2, 1);
    });
  });

  it('gives the planner cores as cores and bytes as bytes', () => {
    const load = nextHostLoad(
      null,
      exampleSample({ vms: [exampleVmSample('vm', 1.5)] }, { cpuUsedCores: 2 as Cores, memoryUsedBytes: (10 * gibibyte) as Bytes }),
      halfLifeMs,
    );
    expect(
      snapshotHostOf(load, {
        status: 'up',
        roundsOverLine: 2,
        relieving: { cpu: true, memory: false },
        quarantine: null,
        cordoned: false,
        unfit: null,
      }),
    ).toMatchObject({
      hostId: 'host-a',
      cpuUsedCores: 2,
      memoryUsedBytes: 10 * gibibyte,
      sampledAtMs: 1_000_000,
      roundsOverLine: 2,
    });
    expect(snapshotVmsOf(load)).toEqual([
      {
        vmId: 'vm',
        name: 'vm',
        hostId: 'host-a',
        state: 'running',
        vcpus: 2,
        cpuUsedCores: 1.5,
        cpuDelayCores: 0,
        memoryBytes: 4 * gibibyte,
        networkBytesPerSecond: null,
        diskBytesPerSecond: null,
        forecast: null,
      },
    ]);
  });
});

describe('traffic of a host', () => {
  const rates = (net: number | null, disk: number | null): HostRates => ({
    cpuStealCores: null,
    netReceivedBytesPerSecond: net,
    netSentBytesPerSecond: net,
    diskReadBytesPerSecond: disk,
    diskWrittenBytesPerSecond: disk,
  });
  const vmWith = (vmId: string, net: number | null) =>
    exampleVmSample(vmId, 0, {
      netReceivedBytesPerSecond: net,
      netSentBytesPerSecond: net,
      diskReadBytesPerSecond: 5,
      diskWrittenBytesPerSecond: 10,
    });
  const next = (
    load: HostLoad | null,
    own: HostRates | undefined,
    vms: readonly VmSample[] = [],
    copied: ReadonlySet<string> | null = null,
  ) => {
    const takenAtMs = load === null ? 0 : load.mark.takenAtMs + 3_000;
    const host = { cpuUsedCores: 0 as Cores, ...(own === undefined ? {} : { rates: own }) };
    return nextHostLoad(load, exampleSample({ takenAtMs, vms }, host), halfLifeMs, new Map(), copied);
  };
  const seen = (load: HostLoad) => {
    const { networkBytesPerSecond: network, diskBytesPerSecond: disk } = snapshotHostOf(load, facts) ?? {};
    return { network, disk };
  };

  it('counts both directions, of the host and of its VMs', () => {
    const load = next(null, rates(50, 20), [vmWith('vm', 30)]);
    expect(seen(load)).toEqual({ network: 100, disk: 40 });
    expect(snapshotVmsOf(load)[0]).toMatchObject({ networkBytesPerSecond: 60, diskBytesPerSecond: 15 });
  });

  it('is not known where an agent does not measure it, or no longer does, and is kept over a first reading', () => {
    expect(seen(next(null, undefined))).toEqual({ network: null, disk: null });
    expect(seen(next(null, rates(null, 7)))).toEqual({ network: null, disk: 14 });
    const known = next(null, rates(50, 20));
    expect(seen(next(known, rates(null, null)))).toEqual({ network: 100, disk: 40 });
    expect(seen(next(known, undefined))).toEqual({ network: null, disk: null });
  });

  it('a VM that leaves takes its part along at once, and one that talks inside the host leaves it no less than nothing', () => {
    const before = next(null, rates(50, 20), [vmWith('vm', 30)]);
    expect(seen(next(before, rates(20, 12.5))).network).toBeCloseTo(40);
    const inside = next(null, rates(10, 20), [vmWith('vm', 30)]);
    expect(seen(inside).network).toBe(20);
    expect(seen(next(inside, rates(0, 12.5))).network).toBe(0);
  });

  it('a copy of a migration is no traffic that would stay', () => {
    const before = next(null, rates(50, 20), [vmWith('vm', 30)]);
    expect(seen(next(before, rates(5_000, 20), [vmWith('vm', 30)], new Set(['vm']))).network).toBe(100);
    expect(seen(next(before, rates(5_000, 20), [vmWith('vm', 30)])).network).toBeGreaterThan(1_000);
  });

  it('what a VM does that is on its way here is not known', () => {
    const load = next(null, rates(50, 20), [{ ...vmWith('vm', 30), state: 'incoming' }]);
    expect(snapshotVmsOf(load)[0]).toMatchObject({ networkBytesPerSecond: null, diskBytesPerSecond: null });
  });
});
