import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PlimsollError } from '#core/model/result.ts';
import { hypervisorOffer, runningVm, settings, vmDefinition } from './examples.ts';
import { type FakeWorld, fakeWorld } from './fakes.ts';
import { hostOffer } from './host-offer.ts';
import { Sampler } from './sampler.ts';

const going = new AbortController().signal;
const gibibyte = 2 ** 30;

beforeEach(() => void vi.useFakeTimers({ now: 10 }));
afterEach(() => void vi.useRealTimers());

function newHost(): { readonly world: FakeWorld; readonly sampler: Sampler; readonly offer: () => ReturnType<typeof hostOffer> } {
  const world = fakeWorld();
  const sampler = new Sampler(world.parts, settings, 'boot1');
  const asked = { definition: vmDefinition, text: '<domain/>' };
  return { world, sampler, offer: () => hostOffer(world.parts, settings.hostId, sampler.newest, asked, going) };
}

describe('what a host offers a VM', () => {
  it('is what its hypervisor says, its name, and the memory that nobody uses', async () => {
    const { world, sampler, offer } = newHost();
    world.hypervisor.vm = null;
    await sampler.take(going);
    expect(await offer()).toEqual({ ...hypervisorOffer, hostId: 'a', memoryFreeBytes: 3 * gibibyte, ownCopy: null });
  });

  it.each(['running', 'paused', 'incoming', 'crashed', 'shut-off'] as const)('tells that it has the VM already, %s', async (state) => {
    const { world, sampler, offer } = newHost();
    world.hypervisor.vm = runningVm({ state });
    await sampler.take(going);
    expect(await offer()).toMatchObject({ ownCopy: state });
  });

  it('says of its memory that it is not known when it was not measured, or not for long', async () => {
    const { sampler, offer } = newHost();
    expect(await offer()).toMatchObject({ memoryFreeBytes: null });
    await sampler.take(going);
    await vi.advanceTimersByTimeAsync(60_001);
    expect(await offer()).toMatchObject({ memoryFreeBytes: null });
  });

  it('is nothing, and never less, where more memory is used than it offers', async () => {
    const { world, offer } = newHost();
    const asked = { definition: vmDefinition, text: '<domain/>' };
    const reading = await world.parts.hostMeter.read(going);
    const full = reading && { ...reading, memoryUsedBytes: reading.capacity.memoryBytes, capacity: { ...reading.capacity } };
    expect(await hostOffer(world.parts, 'a', full, asked, going)).toMatchObject({ memoryFreeBytes: 0 });
    world.hypervisor.fault = new PlimsollError('hypervisor-unavailable', 'libvirtd is away');
    await expect(offer()).rejects.toMatchObject({ code: 'hypervisor-unavailable' });
  });
});
