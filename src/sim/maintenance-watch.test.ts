import type { Maintenance, MaintenancePhase } from '#core/model/maintenance.ts';
import { describe, expect, test } from 'vitest';
import { SimCluster } from './cluster.ts';
import { pairScenario, surroundings } from './examples.ts';
import { MaintenanceWatch } from './maintenance-watch.ts';

function maintenanceOf(phases: readonly MaintenancePhase[], changed: Partial<Maintenance> = {}): Maintenance {
  const hosts = phases.map((phase, index) => ({ hostId: `host${index + 1}`, phase, phaseSinceMs: 0, bootId: null, drainSinceMs: null }));
  const asked = { maintenanceId: 'm', parallel: 1, until: 'ready', by: 'anna', reason: '', startedAtMs: 0 } as const;
  return { ...asked, hosts, endedAtMs: null, outcome: null, ...changed };
}

/** What is found of these records, one after the other. `web` runs on host1, `mail` on host2. */
function found(...records: readonly Maintenance[]): readonly string[] {
  const { world } = new SimCluster(pairScenario(), surroundings);
  const watch = new MaintenanceWatch(world);
  for (const record of records) watch.saved(record);
  return watch.found.map(({ code, message }) => `${code}: ${message}`);
}

describe('the watch of maintenances', () => {
  test('finds nothing where hosts are away one after the other', () => {
    expect(found(maintenanceOf(['waiting', 'waiting']), maintenanceOf(['draining', 'waiting']))).toEqual([]);
    expect(
      found(maintenanceOf(['empty', 'waiting']), maintenanceOf(['restoring', 'waiting']), maintenanceOf(['done', 'draining'])),
    ).toEqual([]);
    const over = maintenanceOf(['done'], { endedAtMs: 5, outcome: 'done' });
    expect(found(over, maintenanceOf(['waiting'], { maintenanceId: 'next' }))).toEqual([]);
  });

  test.each<readonly [string, readonly Maintenance[]]>([
    ['host1, host2 are away at a time, asked for were 1', [maintenanceOf(['empty', 'draining'])]],
    ['host1 was passed over', [maintenanceOf(['waiting', 'draining'])]],
    ['host1 is draining after empty', [maintenanceOf(['empty']), maintenanceOf(['draining'])]],
    ['host1 is said to be empty, and web runs there', [maintenanceOf(['draining']), maintenanceOf(['empty'])]],
    ['one begins while another is under way', [maintenanceOf(['draining']), maintenanceOf(['waiting'], { maintenanceId: 'next' })]],
  ])('finds that %s', (message, records) => {
    expect(found(...records)).toEqual([`maintenance-untrue: ${message}`]);
  });
});
