import { expect, test } from 'vitest';
import { exampleView, firstSteps } from '#bench/traces/examples.ts';
import { defaultPolicy } from '#core/model/policy.ts';
import { Plimsoll } from './plimsoll.ts';

const hot = ['a: x=8/4/8 y=4 z=3', 'b: w=4', 'c: v=2'];

test('the product relieves the host over its line, and nobody else', () => {
  const first = firstSteps(new Plimsoll(), hot);
  expect(first?.steps.length).toBeGreaterThan(0);
  for (const step of first?.steps ?? []) expect(step).toContain(': a -> ');
});

test('the product plans by its lines each minute, on samples that come more often, and by balance as soon as a host is short', () => {
  expect((firstSteps(new Plimsoll({ ...defaultPolicy, strategy: 'lines' }), hot)?.atSeconds ?? 1) % 60).toBe(0);
  expect(firstSteps(new Plimsoll(), hot)?.atSeconds).toBe(5);
});

test('the product leaves an even cluster alone', () => {
  expect(firstSteps(new Plimsoll(), ['a: x=6/4/8 y=3', 'b: w=8/4/8', 'c: v=9/4/12'])).toBeNull();
});

test('what is under way is not asked for again, and what has moved rests', () => {
  const balancer = new Plimsoll();
  const first = firstSteps(balancer, hot);
  const vmId = first?.steps[0]?.split(':')[0] ?? '';
  const underWay = [{ vmId, fromHostId: 'a', toHostId: 'c', startedAtSeconds: 0 }];
  const ended = [{ vmId, fromHostId: 'a', toHostId: 'c', startedAtSeconds: 0, endedAtSeconds: 60, outcome: 'moved' as const }];
  const atSeconds = (first?.atSeconds ?? 0) + 60;
  const moved = (more: object) => balancer.plan(exampleView(hot, { atSeconds, ...more })).map((step) => step.vmId);
  expect(moved({ underWay })).not.toContain(vmId);
  expect(moved({ atSeconds: atSeconds + 60, ended })).not.toContain(vmId);
});

test('what a host has spent on a VM that is gone is not taken for its load', () => {
  const balancer = new Plimsoll({ ...defaultPolicy, smoothingHalfLifeMs: 1000 });
  const first = balancer.plan(exampleView(['a: x=4/4/8 w=4/4/8 y=7/4/8', 'b: z=1'], { atSeconds: 5 }));
  expect(first).toEqual([{ vmId: 'y', fromHostId: 'a', toHostId: 'b' }]);
  const underWay = first.map((step) => ({ ...step, startedAtSeconds: 5 }));
  balancer.plan(exampleView(['a: x=4/4/8 w=4/4/8 y=7/4/8', 'b: z=1'], { atSeconds: 10, underWay }));
  const ended = first.map((step) => ({ ...step, startedAtSeconds: 5, endedAtSeconds: 12, outcome: 'moved' as const }));
  const [a, b] = exampleView(['a: x=4/4/8 w=4/4/8', 'b: z=1 y=7/4/8']).hosts;
  if (a === undefined || b === undefined) throw new Error('there are two hosts');
  // In the mean of the last seconds y is still on a, and the work of its copy on both.
  const hosts = [
    { ...a, cpuUsedCores: 16 },
    { ...b, cpuUsedCores: 3 },
  ];
  expect(balancer.plan({ ...exampleView([], { atSeconds: 15, ended }), hosts })).toEqual([]);
});
