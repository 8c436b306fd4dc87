import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { bytes } from '#core/model/units.ts';
import { beginRecovery } from '#core/recovery/restart.ts';
import { newCluster } from './fake-cluster.ts';
import { definition, vmId } from './fakes.ts';
import { RecoveryOffers } from './recovery-offers.ts';

const gibibyte = 2 ** 30;
let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

/** Where a VM of 1 GiB would be started, which ran on `b` that has 2 GiB free, and `c` 8: with so much on its way to `b`. */
async function chosen(comingBytes: number, hostIds: readonly string[]) {
  const { parts, rooms, destination } = await newCluster(stop.signal);
  destination.offered = { memoryFreeBytes: bytes(2 * gibibyte) };
  const flights = { incomingBytes: (hostId: string) => bytes(hostId === 'b' ? comingBytes : 0) };
  const offers = new RecoveryOffers({ parts, lines: rooms.lines, rulesAgainst: () => [], flights }, stop.signal);
  const recovery = { ...beginRecovery(vmId, 'web1', 0), hostId: 'b', definition: definition() };
  return await offers.best(recovery, '<domain/>', hostIds);
}

describe('a host for a VM that is started again', () => {
  it('is the one that it ran on, where that has room', async () => {
    expect(await chosen(0, ['b', 'c'])).toEqual({ hostId: 'b' });
  });

  it('is another one where that room is for VMs on their way there', async () => {
    expect(await chosen(gibibyte, ['b', 'c'])).toEqual({ hostId: 'c' });
  });

  it('is none where no other is up, and the reason says for what the room is', async () => {
    expect(await chosen(gibibyte, ['b'])).toEqual({
      why: expect.stringMatching(/^no host can run it: b has 2 GiB free.*1 GiB for VMs on their way there/),
    });
  });
});
