import { expect, test } from 'vitest';
import type { DrainResource } from '#wire/placement-api.ts';
import { printDrain } from './drain-printer.ts';

const stay = (vmName: string, code: DrainResource['stays'][number]['code'], passing: boolean) => ({
  vmId: vmName,
  vmName,
  hostId: 'host1',
  code,
  reason: `why ${vmName} stays`,
  passing,
});

const drain: DrainResource = {
  hostId: 'host1',
  phase: 'draining',
  phaseSinceMs: 1000,
  startedAtMs: 1000,
  by: 'anna',
  reason: 'new disk',
  waiting: 1,
  moving: [],
  away: [],
  stays: [stay('web', 'stale-sample', true), stay('db', 'rule-pin', false)],
  unseen: null,
  settled: false,
};

test('what only waits for the next sample is counted and shown as waiting, not as what cannot leave', () => {
  const lines = printDrain(drain, 6000).split('\n');
  expect(lines).toContain('VMs:      0 moving, 2 waiting, 0 moved away, 1 staying');
  const [waits, stuck] = [lines.indexOf('Waits:'), lines.indexOf('Cannot be moved:')];
  expect(lines[waits + 2]).toMatch(/^web +stale-sample +why web stays$/);
  expect(lines[stuck + 2]).toMatch(/^db +rule-pin +why db stays$/);
});

test('where nothing waits there is no such list', () => {
  expect(printDrain({ ...drain, stays: [stay('db', 'rule-pin', false)] }, 6000)).not.toContain('Waits:');
});
