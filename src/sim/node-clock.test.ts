import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { surroundings } from './examples.ts';
import { NodeClock } from './node-clock.ts';
import { VirtualTime } from './virtual-time.ts';

async function at(ms: number, act: (time: VirtualTime, clock: NodeClock) => void = () => undefined) {
  const time = new VirtualTime();
  const clock = new NodeClock(time);
  await time.runUntil(ms, surroundings.drain);
  act(time, clock);
  return { time, clock };
}

describe('the clocks of a node', () => {
  test('are those of the world as long as nobody touches them', async () => {
    const { time, clock } = await at(1234);
    expect([clock.nowMs, clock.monotonicMs]).toEqual([time.nowMs, time.elapsedMs]);
  });

  test('jump on the wall and nowhere else', async () => {
    const { time, clock } = await at(1000, (_, one) => one.jump(3_600_000));
    expect(clock.nowMs).toBe(time.nowMs + 3_600_000);
    expect(clock.monotonicMs).toBe(1000);
    clock.jump(-3_600_500);
    expect(clock.nowMs).toBe(time.nowMs - 500);
  });

  test('drift together from now on, and a wait takes as long as this node thinks', async () => {
    const { time, clock } = await at(10_000, (_, one) => one.drift(100_000));
    expect(clock.monotonicMs).toBe(10_000);
    let woke = -1;
    const sleeper = async () => {
      await clock.clock().sleep(1100);
      woke = time.elapsedMs;
    };
    void sleeper();
    await time.runUntil(20_000, surroundings.drain);
    expect(woke).toBe(11_000);
    expect(clock.monotonicMs).toBe(21_000);
    expect(clock.nowMs - time.nowMs).toBe(1000);
  });

  test('never go back in monotonic time, however the drift changes', async () => {
    const changes = fc.array(fc.tuple(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: -100_000, max: 100_000 })), { maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(changes, async (steps) => {
        const { time, clock } = await at(0);
        let before = clock.monotonicMs;
        for (const [waitMs, ppm] of steps) {
          await time.runUntil(time.elapsedMs + waitMs, surroundings.drain);
          expect(clock.monotonicMs).toBeGreaterThanOrEqual(before);
          before = clock.monotonicMs;
          clock.drift(ppm);
          expect(clock.monotonicMs).toBeGreaterThanOrEqual(before);
        }
      }),
      { numRuns: 50 },
    );
  });
});
