import { describe, expect, test } from 'vitest';
import { surroundings } from './examples.ts';
import { VirtualTime } from './virtual-time.ts';

const { drain } = surroundings;

describe('virtual time', () => {
  test('fires timers in the order of their time, and of their making within a millisecond', async () => {
    const time = new VirtualTime();
    const fired: string[] = [];
    const note = (name: string) => () => fired.push(`${name} at ${time.elapsedMs}`);
    time.after(20, note('late'));
    time.after(5, note('first'));
    time.after(5, note('second'));
    time.after(4.2, note('rounded up'));
    await time.runUntil(100, drain);
    expect(fired).toEqual(['first at 5', 'second at 5', 'rounded up at 5', 'late at 20']);
    expect(time.elapsedMs).toBe(100);
  });

  test('keeps the order of a thousand timers that are set and cancelled at random', async () => {
    const time = new VirtualTime();
    const fired: number[] = [];
    const cancels = Array.from({ length: 1000 }, (_, index) => time.after((index * 7919) % 997, () => fired.push((index * 7919) % 997)));
    for (const [index, cancel] of cancels.entries()) if (index % 3 === 0) cancel();
    await time.runUntil(1000, drain);
    expect(fired).toHaveLength(666);
    expect(fired).toEqual(fired.toSorted((a, b) => a - b));
  });

  test('keeps their order when most of them are cancelled, some of them again, and more are set', async () => {
    const time = new VirtualTime();
    const fired: (readonly [atMs: number, order: number])[] = [];
    const set = (order: number) => {
      const atMs = (order * 7919) % 997;
      return time.after(atMs, () => fired.push([atMs, order]));
    };
    const cancels = Array.from({ length: 5000 }, (_, order) => set(order));
    for (const [order, cancel] of cancels.entries()) if (order % 5 > 0) [cancel, cancel].forEach((again) => again());
    for (let order = 5000; order < 6000; order += 1) set(order);
    await time.runUntil(1000, drain);
    expect(fired).toHaveLength(2000);
    expect(fired).toEqual(fired.toSorted(([a, first], [b, second]) => a - b || first - second));
  });

  test('lets everything that follows from one timer happen before the next one fires', async () => {
    const time = new VirtualTime();
    const story: string[] = [];
    const walk = async () => {
      await time.sleep(10);
      for (let step = 0; step < 50; step += 1) await Promise.resolve();
      story.push('fifty reactions later');
    };
    void walk();
    time.after(10, () => story.push('next timer'));
    await time.runUntil(10, drain);
    expect(story).toEqual(['fifty reactions later', 'next timer']);
  });

  test('ends a sleep early with the reason of its signal, and never wakes it again', async () => {
    const time = new VirtualTime();
    const stop = new AbortController();
    const outcome = time.sleep(50, stop.signal).then(
      () => 'slept',
      (error: unknown) => String(error),
    );
    time.after(10, () => stop.abort(new Error('enough')));
    await time.runUntil(10, drain);
    expect(await outcome).toBe('Error: enough');
    await time.runUntil(100, drain);
    expect(time.eventsTotal).toBe(1);
  });

  test('rejects a sleep whose signal has aborted before it begins', async () => {
    const time = new VirtualTime();
    await expect(time.sleep(5, AbortSignal.abort(new Error('before')))).rejects.toThrow('before');
  });

  test('stops with an error when something loops without letting time pass', async () => {
    const time = new VirtualTime();
    const again = () => void time.after(0, again);
    again();
    await expect(time.runUntil(1, () => Promise.resolve())).rejects.toThrow('stands still');
  });

  test('looks at the world after every timer', async () => {
    const time = new VirtualTime();
    time.after(1, () => undefined);
    time.after(2, () => undefined);
    const looks: number[] = [];
    await time.runUntil(5, drain, () => looks.push(time.elapsedMs));
    expect(looks).toEqual([0, 1, 2]);
  });
});
