import { refusalOf } from '#core/model/result.ts';
import { describe, expect, test } from 'vitest';
import { Bench } from './bench.ts';
import { SimKeptImages } from './images.ts';

function setUp() {
  const bench = new Bench({ dirtyMiBPerSecond: 0, workingSetMiB: 0 });
  const host = bench.world.host('host1');
  const images = new SimKeptImages(bench.world, host);
  const { vmId } = bench.guest;
  const losePower = () => {
    for (const copy of host.copies) bench.world.killCopy(host, copy, 'unknown');
  };
  const told = (work: Promise<unknown>) =>
    work.then(
      () => 'done',
      (error: unknown) => refusalOf(error).message,
    );
  return { bench, images, vmId, losePower, told };
}

describe('a VM whose host loses its power', () => {
  test('while it is saved, is not alive again when that would have ended', async () => {
    const { bench, images, vmId, losePower, told } = setUp();
    const saved = told(images.save(vmId, () => undefined, bench.signal));
    await bench.run(0.3);
    expect(await bench.places()).toEqual(['paused', null]);
    losePower();
    await bench.run(10);
    expect(await saved).toMatch('has ended while it was saved');
    expect(await bench.places()).toEqual(['shut-off', null]);
  });

  test('while it is started from its image, is neither, and its image can still be taken back', async () => {
    const { bench, images, vmId, losePower, told } = setUp();
    const saved = told(images.save(vmId, () => undefined, bench.signal));
    await bench.run(10);
    expect(await saved).toBe('done');
    const restored = told(images.takeBack(vmId, bench.signal));
    await bench.run(0.3);
    losePower();
    await bench.run(10);
    expect(await restored).toMatch('has ended while it was restored');
    expect(await bench.places()).toEqual(['shut-off', null]);
    const again = told(images.takeBack(vmId, bench.signal));
    await bench.run(10);
    expect(await again).toBe('done');
    expect(await bench.places()).toEqual(['running', null]);
  });
});
