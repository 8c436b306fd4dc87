import { describe, expect, test } from 'vitest';
import { DecisionLog } from './decision-log.ts';
import { surroundings } from './examples.ts';
import { VirtualTime } from './virtual-time.ts';

function setUp() {
  const time = new VirtualTime();
  const log = new DecisionLog(time);
  return { time, log, port: log.port('host1', (message) => message === 'told elsewhere') };
}

describe('the decision log', () => {
  test('writes one line per decision, virtual seconds first, without ids', async () => {
    const { time, log, port } = setUp();
    await time.runUntil(12_040, surroundings.drain);
    port.info('line is up', { hostId: 'host1', planId: 'abc', failure: null });
    port.info('told elsewhere');
    log.note('plan', 'balanced');
    expect(log.text).toBe('   12.0  host1        line is up: hostId=host1\n   12.0  plan         balanced\n');
  });

  test('tells a complaint once a minute, and other things every time', async () => {
    const { time, log, port } = setUp();
    const complain = () => {
      port.warn('not reached');
      port.info('tries');
    };
    complain();
    for (const atMs of [30_000, 59_999]) {
      await time.runUntil(atMs, surroundings.drain);
      complain();
    }
    await time.runUntil(60_000, surroundings.drain);
    port.warn('not reached');
    expect(log.lines.filter((line) => line.includes('tries'))).toHaveLength(3);
    expect(log.lines.filter((line) => line.includes('not reached'))).toEqual([
      '    0.0  host1        ! not reached',
      '   60.0  host1        ! not reached (2 times more since 0.0 s)',
    ]);
  });
});
