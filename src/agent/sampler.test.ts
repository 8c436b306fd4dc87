import { expect, it } from 'vitest';
import { bytes, cores } from '#core/model/units.ts';
import type { VmSample, VmState } from '#core/model/vm.ts';
import { settings } from './examples.ts';
import { fakeWorld } from './fakes.ts';
import { Sampler } from './sampler.ts';

const going = new AbortController().signal;
const mebibyte = 2 ** 20;

function vmHolding(residentMib: number, state: VmState = 'running'): VmSample {
  return {
    vmId: '00000000-0000-4000-8000-000000000001',
    name: 'web1',
    state,
    vcpus: 1,
    cpuUsedCores: cores(0.5),
    cpuDelayCores: null,
    memoryBytes: bytes(96 * mebibyte),
    memoryResidentBytes: bytes(residentMib * mebibyte),
    netReceivedBytesPerSecond: null,
    netSentBytesPerSecond: null,
    diskReadBytesPerSecond: null,
    diskWrittenBytesPerSecond: null,
  };
}

/** What the host and its VM are said to hold, sample after sample, in MiB. */
async function told(readings: readonly (readonly VmSample[])[]) {
  const world = fakeWorld();
  const sampler = new Sampler(world.parts, { ...settings, memoryCapacityBytes: 1024 * mebibyte }, 'boot1');
  const all: (readonly [number, number | null])[] = [];
  for (const vms of readings) {
    world.hypervisor.sampleVms = () => Promise.resolve(vms);
    const { host, vms: sampled } = await sampler.take(going);
    all.push([host.memoryUsedBytes / mebibyte, sampled[0] === undefined ? null : sampled[0].memoryResidentBytes / mebibyte]);
  }
  return all;
}

it('a VM that runs holds what it held last when its hypervisor does not say, and all that it may use when it never did', async () => {
  expect(await told([[vmHolding(40)], [vmHolding(0)], [vmHolding(50)], [], [vmHolding(0)]])).toEqual([
    [40, 40],
    [40, 40],
    [50, 50],
    [0, null],
    [96, 96],
  ]);
});

it('one that does not run may hold nothing', async () => {
  expect(await told([[vmHolding(0, 'shut-off')]])).toEqual([[0, 0]]);
});
