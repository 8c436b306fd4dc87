import { describe, expect, test } from 'vitest';
import { surroundings } from './examples.ts';
import { SimProcess } from './process.ts';
import { VirtualTime } from './virtual-time.ts';

class Counter {
  #count = 0;
  #listener: () => void = () => undefined;
  add(): Promise<number> {
    this.#count += 1;
    return Promise.resolve(this.#count);
  }
  onTick(listener: () => void): void {
    this.#listener = listener;
  }
  tick(): void {
    this.#listener();
  }
}

async function liveAndLog(time: VirtualTime, process: SimProcess, counter: Counter, story: string[]): Promise<void> {
  const clock = process.clock(time.clock());
  const port = process.port(counter);
  port.onTick(() => story.push('called'));
  try {
    for (;;) {
      await clock.sleep(10);
      story.push(`counted ${await port.add()}`);
    }
  } finally {
    story.push('cleaned up');
  }
}

describe('a process', () => {
  test('lives and works with its ports as with the real ones', async () => {
    const time = new VirtualTime();
    const counter = new Counter();
    const story: string[] = [];
    void liveAndLog(time, new SimProcess('alive'), counter, story);
    await time.runUntil(25, surroundings.drain);
    counter.tick();
    expect(story).toEqual(['counted 1', 'counted 2', 'called']);
  });

  test('runs not one line more once it is killed, no listener and no finally', async () => {
    const time = new VirtualTime();
    const counter = new Counter();
    const story: string[] = [];
    const process = new SimProcess('doomed');
    void liveAndLog(time, process, counter, story);
    time.after(15, () => process.kill());
    await time.runUntil(100, surroundings.drain);
    counter.tick();
    expect(story).toEqual(['counted 1']);
    expect(process.alive).toBe(false);
  });

  test('misses nothing while it stands still: everything comes in order, and at once, when it goes on', async () => {
    const time = new VirtualTime();
    const counter = new Counter();
    const story: string[] = [];
    const process = new SimProcess('paused');
    void liveAndLog(time, process, counter, story);
    await time.runUntil(15, surroundings.drain);
    process.pause();
    counter.tick();
    await time.runUntil(95, surroundings.drain);
    counter.tick();
    expect(story).toEqual(['counted 1']);
    expect(process.runs).toBe(false);
    process.goOn();
    await time.runUntil(96, surroundings.drain);
    expect(story).toEqual(['counted 1', 'called', 'called', 'counted 2']);
    await time.runUntil(120, surroundings.drain);
    expect(story.slice(4)).toEqual(['counted 3', 'counted 4']);
  });

  test('can be killed while it stands still, and then goes on no more', async () => {
    const time = new VirtualTime();
    const counter = new Counter();
    const story: string[] = [];
    const process = new SimProcess('doomed');
    void liveAndLog(time, process, counter, story);
    process.pause();
    await time.runUntil(50, surroundings.drain);
    process.kill();
    process.goOn();
    await time.runUntil(100, surroundings.drain);
    expect(story).toEqual([]);
  });

  test('tells who wants to know that it stands still', () => {
    const process = new SimProcess('paused');
    const told: boolean[] = [];
    const stop = process.onPause((paused) => told.push(paused));
    process.pause();
    process.pause();
    process.goOn();
    stop();
    process.pause();
    expect(told).toEqual([true, false]);
  });

  test('has its operating system act once at its death', () => {
    const process = new SimProcess('doomed');
    let closed = 0;
    process.atDeath(() => {
      closed += 1;
    });
    process.kill();
    process.kill();
    expect(closed).toBe(1);
  });
});
