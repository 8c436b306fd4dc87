/** The watch must be able to find what it looks for, and blames nobody for what could not be known. */
import type { Migration } from '#core/model/migration.ts';
import type { Rule } from '#core/model/rule.ts';
import { describe, expect, test } from 'vitest';
import { SimCluster } from './cluster.ts';
import { migrateWeb, pairScenario, surroundings } from './examples.ts';
import { PlacementWatch } from './placement-watch.ts';

const wallMsMax = 60_000;

/** `web` has gone to host2, where `mail` is. */
async function movedOnce() {
  const cluster = new SimCluster(pairScenario({ events: [migrateWeb], runForSeconds: 120 }), surroundings);
  await cluster.run();
  const { world, store, policy, time } = cluster;
  const watch = new PlacementWatch({ world, store, policy, sampledAtMs: () => time.elapsedMs });
  const [migration] = store.allMigrations();
  if (migration === undefined) throw new Error('nothing was moved');
  watch.look(world.guests);
  /** Another one like it. */
  const again = (changed: Partial<Migration['request']>): void => {
    const request = { ...migration.request, migrationId: 'again', fromHostId: 'host2', toHostId: 'host1', ...changed };
    watch.saved({ ...migration, request, phase: 'asked', endedAtMs: null });
    watch.saved({ ...migration, request, phase: 'checked', endedAtMs: null });
  };
  const codes = () => watch.found.map(({ code }) => code);
  return { cluster, world, store, watch, again, codes };
}

const pin: Rule = { kind: 'pin', name: 'home', vms: ['web'], hosts: ['host2'] };

describe('the watch of what operators were told', { timeout: wallMsMax }, () => {
  test('finds a move against a pin or to a cordoned host, by whoever asked, as long as that stands', async () => {
    const { watch, again, codes } = await movedOnce();
    watch.ruleStands(pin);
    watch.cordonStands('host1');
    again({});
    expect(codes()).toEqual(['rule-broken', 'rule-broken']);
    watch.ruleMayGo('home');
    watch.cordonMayGo('host1');
    again({ migrationId: 'third' });
    expect(codes()).toHaveLength(2);
  });

  test('does not hold a rule against a move that was asked for before it stood', async () => {
    const { watch, again, codes, store } = await movedOnce();
    const [migration] = store.allMigrations();
    if (migration === undefined) throw new Error('nothing was moved');
    const request = { ...migration.request, migrationId: 'again', fromHostId: 'host2', toHostId: 'host1' };
    watch.saved({ ...migration, request, phase: 'asked', endedAtMs: null });
    watch.ruleStands(pin);
    watch.saved({ ...migration, request, phase: 'checked', endedAtMs: null });
    expect(codes()).toEqual([]);
    again({ migrationId: 'third' });
    expect(codes()).toEqual(['rule-broken']);
  });

  test('finds a VM that leaves those it runs together with, once everybody has to know where they are, and not while a host is emptied', async () => {
    const { cluster, watch, again, codes } = await movedOnce();
    watch.ruleStands({ kind: 'affinity', name: 'together', vms: ['web', 'ma*'] });
    again({});
    expect(codes()).toEqual([]);
    await cluster.runFor(70);
    again({ migrationId: 'third', cause: 'drain' });
    expect(codes()).toEqual([]);
    again({ migrationId: 'fourth', cause: 'balance' });
    expect(codes()).toEqual(['rule-broken']);
  });

  test('finds that balancing moves what is to be left alone, and lets people do so', async () => {
    const { watch, again, codes } = await movedOnce();
    watch.ruleStands({ kind: 'ignore', name: 'pets', vms: ['w*'] });
    again({ cause: 'operator' });
    again({ migrationId: 'third', cause: 'drain' });
    expect(codes()).toEqual([]);
    again({ migrationId: 'fourth', cause: 'balance' });
    expect(codes()).toEqual(['ignored-moved']);
  });

  test('finds a host that is called drained with a VM on it, or on its way there', async () => {
    const { watch, codes, store } = await movedOnce();
    const drain = { phaseSinceMs: 0, startedAtMs: 0, by: 'anna', reason: '' };
    watch.drainSaved({ ...drain, hostId: 'host2', phase: 'draining' });
    watch.drainSaved({ ...drain, hostId: 'host1', phase: 'drained' });
    expect(codes()).toEqual([]);
    watch.drainSaved({ ...drain, hostId: 'host2', phase: 'drained' });
    expect(codes()).toEqual(['drain-untrue', 'drain-untrue']);
    const [migration] = store.allMigrations();
    if (migration !== undefined)
      void store.saveMigration({ ...migration, request: { ...migration.request, toHostId: 'host1' }, endedAtMs: null });
    watch.drainSaved({ ...drain, hostId: 'host1', phase: 'drained' });
    expect(codes()).toHaveLength(3);
  });
});
