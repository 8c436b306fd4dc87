import { describe, expect, test } from 'vitest';
import { examplePlan } from '#core/migration/autopilot-examples.ts';
import { exampleRequest } from '#core/migration/step-examples.ts';
import { begin } from '#core/migration/step.ts';
import type { Migration } from '#core/model/migration.ts';
import { Bench } from './bench.ts';
import { noWatcher } from './examples.ts';
import { JobWatch } from './job-watch.ts';
import { SimStore } from './store.ts';

async function began(kept: Partial<Migration> | null): Promise<readonly string[]> {
  const bench = new Bench({ dirtyMiBPerSecond: 1, workingSetMiB: 16 });
  const store = new SimStore(bench.time, noWatcher);
  const watch = new JobWatch(bench.world, store);
  const request = exampleRequest({ vmId: bench.guest.vmId, fromHostId: 'host1', toHostId: 'host2' });
  if (kept !== null) void store.saveMigration({ ...begin(request).migration, plan: examplePlan(), ...kept });
  void bench.migrate();
  await bench.run(2);
  expect(bench.stages).toContain('transfer');
  return watch.found.map(({ code }) => code);
}

describe('a transfer that begins', () => {
  test('is well when its migration is open and its method chosen, durably', async () => {
    expect(await began({})).toEqual([]);
  });

  test.each([
    ['was never asked for', null],
    ['was closed', { endedAtMs: 5 }],
    ['has no plan yet', { plan: null }],
  ] as const)('is found when its migration %s', async (_story, kept) => {
    expect(await began(kept)).toEqual(['job-unasked']);
  });
});
