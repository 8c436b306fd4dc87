import { expect, test } from 'vitest';
import { defaultPhysics } from './physics.ts';
import { play } from './play.ts';
import { entrantsNamed, noneName, peers, plimsollName } from './roster.ts';
import { synthetic } from './synthetic.ts';
import { tableLines } from './table.ts';
import type { Row } from './table.ts';
import { verdictOf } from './verdict.ts';
import { workloadOf } from './workload.ts';

function table(seed: number): readonly string[] {
  const workload = workloadOf(synthetic, { hosts: 6, vmsPerHost: null }, seed);
  const rows = entrantsNamed(null).map((entrant) => {
    const outcome = play(workload, entrant.create(), defaultPhysics, 3);
    return { name: entrant.name, outcomes: [{ ...outcome, cpuSeconds: 0 }] };
  });
  return tableLines(rows);
}

function exampleRow(name: string, overloadedHostHours: number, migratedGib: number, returns = 0): Row {
  const rest = { overloadedPercent: 0, unservedCoreHours: 0, migrations: 0, movesPerVmMax: 0, refusedSteps: 0, cpuSeconds: 0 };
  return { name, outcomes: [{ overloadedHostHours, migratedGib, returns, ...rest }] };
}

test('the same seed gives the same table, another seed another one', () => {
  expect(table(1)).toEqual(table(1));
  expect(table(2)).not.toEqual(table(1));
});

test('each peer stands in the table with its defaults and with its best settings', () => {
  expect(entrantsNamed(null)).toHaveLength(3 + 2 * peers.length);
  expect(entrantsNamed(['prox']).map(({ name }) => name)).toEqual(['proxmox', 'proxmox (best)', 'proxlb', 'proxlb (best)']);
  expect(entrantsNamed(['plimsoll p']).map(({ name }) => name)).toEqual(['plimsoll pack', 'plimsoll pull']);
  expect(() => entrantsNamed(['nobody'])).toThrow('no balancer is called nobody');
});

test('the verdict compares with the peer whose hosts are overloaded least', () => {
  const others = [exampleRow(noneName, 20, 0), exampleRow('calm', 9, 10), exampleRow('busy', 2, 100)];
  expect(verdictOf([exampleRow(plimsollName, 0.6, 50), ...others])?.isKept).toBe(true);
  expect(verdictOf([exampleRow(plimsollName, 0.7, 50), ...others])?.isKept).toBe(false);
  expect(verdictOf([exampleRow(plimsollName, 0.6, 51), ...others])?.isKept).toBe(false);
  expect(verdictOf([exampleRow(plimsollName, 0.6, 50, 1), ...others])?.isKept).toBe(false);
  expect(verdictOf(others)).toBeNull();
});
