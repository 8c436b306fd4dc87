import { emptyMemory } from '#core/access/ticket-gate.ts';
import { refusalOf } from '#core/model/result.ts';
import { describe, expect, test } from 'vitest';
import { SimAgentMemory } from './agent-memory.ts';
import { Bench } from './bench.ts';
import { SimDisk } from './disk.ts';
import { surroundings } from './examples.ts';
import { SimIdentity } from './identity.ts';
import { SimIncomingImages, SimKeptImages } from './images.ts';
import { Streams } from './random.ts';
import { VirtualTime } from './virtual-time.ts';

const state = { ...emptyMemory, controllerEpoch: 3, vmEpochs: { web: 2 } };

function setUp() {
  const time = new VirtualTime();
  return { time, disk: new SimDisk(time, new Streams(1).stream('disk')) };
}

describe("a host's full disk", () => {
  test('refuses what its agent wants to remember, as the real file does, and keeps what was there', async () => {
    const { time, disk } = setUp();
    const memory = new SimAgentMemory(disk);
    void memory.save(state);
    disk.condition = 'full';
    await expect(memory.save({ ...state, controllerEpoch: 4 })).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringMatching(/agent-memory.json cannot be written: ENOSPC/) as string,
    });
    await time.runUntil(10, surroundings.drain);
    expect(await memory.load()).toEqual(state);
  });

  test('refuses a new key', async () => {
    const { disk } = setUp();
    disk.condition = 'full';
    const identity = new SimIdentity(disk, 'host1', new Streams(1).stream('host1'));
    expect(refusalOf(await identity.request().catch((error: unknown) => error)).message).toMatch(/ENOSPC/);
  });

  test('has no room for the image of a VM: the VM runs on', async () => {
    const bench = new Bench({ dirtyMiBPerSecond: 0, workingSetMiB: 0 });
    const host = bench.world.host('host1');
    bench.world.disk('host1').condition = 'full';
    const saved = new SimKeptImages(bench.world, host)
      .save(bench.guest.vmId, () => undefined, bench.signal)
      .catch((error: unknown) => refusalOf(error));
    await bench.run(5);
    expect(await saved).toMatchObject({ code: 'hypervisor-failed', message: 'No space left on device' });
    expect(await bench.places()).toEqual(['running', null]);
    const incoming = new SimIncomingImages(bench.world, host);
    void incoming.offer('another', bench.signal);
    await bench.run(1);
    await expect(incoming.open('another', { sha256: 'ab', bytes: 1 }, bench.signal)).rejects.toThrow('ENOSPC');
  });
});

describe("a host's torn disk", () => {
  test('has forgotten, or not, what its dead agent was writing', async () => {
    const seen = new Set<number>();
    for (let seed = 1; seed <= 20; seed += 1) {
      const time = new VirtualTime();
      const disk = new SimDisk(time, new Streams(seed).stream('disk'));
      disk.condition = 'torn';
      const memory = new SimAgentMemory(disk);
      void memory.save(state);
      await time.runUntil(10, surroundings.drain);
      void memory.save({ ...state, controllerEpoch: 4 });
      disk.lose();
      seen.add((await memory.load()).controllerEpoch);
    }
    expect(seen).toEqual(new Set([3, 4]));
  });
});
