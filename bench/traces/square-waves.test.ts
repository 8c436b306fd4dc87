/** A day of square waves on small clusters, under each strategy and direction: no VM comes back within the hour. */
import { expect, test, vi } from 'vitest';
import { defaultPolicy, directions, type Policy, strategies } from '#core/model/policy.ts';
import { Streams } from '#sim/random.ts';
import { Plimsoll } from './balancers/plimsoll.ts';
import { defaultPhysics, gibibyte } from './physics.ts';
import { play } from './play.ts';
import type { Outcome } from './tally.ts';
import type { Trace } from './trace.ts';
import type { Workload } from './workload.ts';

vi.setConfig({ testTimeout: 120_000 });

const clusters = 2;
const readings = 288;

/** Some hosts of four cores, and VMs that want all of their CPUs for half of a period of their own, and nearly nothing in the other half. */
function squareWaves(seed: number): Workload {
  const random = new Streams(seed).stream('waves');
  const below = (end: number) => Math.floor(random.fraction() * end);
  const hosts = Array.from({ length: 3 + below(3) }, (_, index) => ({ hostId: `host-${index}`, cpuCores: 4, memoryBytes: 32 * gibibyte }));
  const vms = hosts.flatMap(({ hostId }) =>
    Array.from({ length: 2 + below(3) }, (_, number) => ({
      vmId: `${hostId}-vm-${number}`,
      vcpus: 1 + below(2),
      memoryBytes: (1 + below(4)) * gibibyte,
      trace: wave(1 + below(12), 60 + below(41), below(8)),
      phaseSeconds: below(5) * 60,
      hostId,
    })),
  );
  return { hosts, vms };
}

function wave(halfReadings: number, highPercent: number, lowPercent: number): Trace {
  return Uint8Array.from({ length: readings }, (_, index) => (Math.floor(index / halfReadings) % 2 === 0 ? lowPercent : highPercent));
}

function daysUnder(policy: Policy): readonly Outcome[] {
  return Array.from({ length: clusters }, (_, index) => play(squareWaves(index + 1), new Plimsoll(policy), defaultPhysics, 24));
}

const ways = strategies.flatMap((strategy) =>
  directions.filter((direction) => strategy !== 'pack' || direction === 'push').map((direction) => [strategy, direction] as const),
);

test.each(ways)('by %s, %s', (strategy, direction) => {
  const days = daysUnder({ ...defaultPolicy, strategy, direction });
  expect(days.map(({ returns }) => returns)).toEqual(days.map(() => 0));
  // Half an hour, doubling to six, and anew after six quiet hours: more would have broken a cool-down.
  expect(Math.max(...days.map(({ movesPerVmMax }) => movesPerVmMax))).toBeLessThanOrEqual(9);
  expect(days.reduce((sum, { migrations }) => sum + migrations, 0)).toBeGreaterThan(0);
});

test('without what keeps it calm the same planner sends VMs back', () => {
  const restless = { ...defaultPolicy, coolDownMs: 0, coolDownMsMax: 0, returnMsMin: 0, sustainedRounds: 1 };
  const days = daysUnder(restless);
  expect(days.reduce((sum, { returns }) => sum + returns, 0)).toBeGreaterThan(10);
});
