/** Each watcher must be able to find something, and finds nothing where all is well. */
import { encodeBase64 } from '#core/access/base64.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { Migration } from '#core/model/migration.ts';
import type { Move, Plan } from '#core/model/plan.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Line } from '#core/ports.ts';
import { describe, expect, test } from 'vitest';
import { SimCluster } from './cluster.ts';
import { CopyWatch } from './copy-watch.ts';
import { migrateWeb, pairScenario, surroundings } from './examples.ts';
import { Copy } from './guest.ts';
import { breachesAtRest } from './invariants-end.ts';
import { planBreaches } from './plan-watch.ts';
import { RecordWatch } from './record-watch.ts';
import { WireWatch } from './wire-watch.ts';

async function movedOnce(): Promise<SimCluster> {
  const cluster = new SimCluster(pairScenario({ events: [migrateWeb] }), surroundings);
  await cluster.run();
  return cluster;
}

const wallMsMax = 60_000;
const codesOf = (breaches: readonly { readonly code: string }[]) => breaches.map(({ code }) => code);

/** A host's line, on which a controller says things and the host answers. */
function lineOf(wire: WireWatch, hostId = 'host1') {
  let listener: (message: unknown) => void = () => undefined;
  const quiet: Line = {
    send: () => undefined,
    onMessage: (wanted) => {
      listener = wanted;
    },
    onClose: () => undefined,
    close: () => undefined,
  };
  const line = wire.tap(hostId, quiet);
  line.onMessage(() => undefined);
  let count = 0;
  const tell = (controllerEpoch: number, name: string, args: unknown) => {
    count += 1;
    const commandId = String(count);
    listener({ type: 'command', commandId, controllerEpoch, name, args, timeoutMs: 1000 });
    return commandId;
  };
  const answer = (commandId: string, ok = true) => line.send({ type: 'reply', commandId, ok, value: {} });
  return { line, tell, answer, obey: (...order: Parameters<typeof tell>) => answer(tell(...order)) };
}

const ticket = (ticketId: string, vmEpoch: number, toHostId = 'host2') => ({
  ticket: {
    payload: encodeBase64(new TextEncoder().encode(JSON.stringify({ ticketId, vmId: 'web', vmEpoch, fromHostId: 'host1', toHostId }))),
    signature: '',
  },
});

describe('the watch of what agents obey', () => {
  test('finds an agent that obeys a controller that was replaced, not one that refuses it', () => {
    const wire = new WireWatch(() => 0);
    const { tell, answer, obey } = lineOf(wire);
    obey(2, 'channel.list', {});
    answer(tell(1, 'channel.list', {}), false);
    obey(2, 'channel.list', {});
    expect(wire.found).toEqual([]);
    lineOf(wire).obey(1, 'channel.list', {});
    expect(codesOf(wire.found)).toEqual(['stale-epoch']);
  });

  test('does not blame an agent for what came before it knew better', () => {
    const wire = new WireWatch(() => 0);
    const { tell, answer, obey } = lineOf(wire);
    const slow = tell(1, 'channel.list', {});
    obey(2, 'channel.list', {});
    answer(slow);
    expect(wire.found).toEqual([]);
  });

  test('finds orders about a VM that a newer one has overtaken', () => {
    const wire = new WireWatch(() => 0);
    const { obey } = lineOf(wire);
    obey(1, 'ticket.accept', ticket('a', 3));
    obey(1, 'vm.resume', { vmId: 'web', vmEpoch: 3 });
    expect(wire.found).toEqual([]);
    obey(1, 'vm.resume', { vmId: 'web', vmEpoch: 2 });
    obey(1, 'vm.start', { vmId: 'web', vmEpoch: 3 });
    obey(1, 'ticket.accept', ticket('b', 3));
    expect(codesOf(wire.found)).toEqual(['stale-epoch', 'stale-epoch', 'stale-epoch']);
  });

  test('finds a ticket that is accepted twice or by a stranger, and a transfer that is begun twice', () => {
    const wire = new WireWatch(() => 0);
    lineOf(wire).obey(1, 'ticket.accept', ticket('a', 1));
    lineOf(wire, 'host2').obey(1, 'ticket.accept', ticket('a', 1));
    lineOf(wire).obey(1, 'transfer.start', { migrationId: 'm', vmId: 'web' });
    expect(wire.found).toEqual([]);
    lineOf(wire, 'host3').obey(1, 'ticket.accept', ticket('a', 1));
    lineOf(wire).obey(1, 'transfer.start', { migrationId: 'm', vmId: 'web' });
    lineOf(wire).obey(1, 'ticket.accept', ticket('a', 2));
    expect(codesOf(wire.found)).toEqual(['ticket-reused', 'ticket-reused', 'ticket-reused']);
  });

  test('remembers watches that could have been stopped, and forgets those of a line that broke', () => {
    const wire = new WireWatch(() => 0);
    const { line, obey } = lineOf(wire);
    obey(1, 'witness.start', { watchId: 'a' });
    obey(1, 'witness.start', { watchId: 'b' });
    obey(1, 'witness.stop', { watchId: 'a' });
    expect(wire.watchesLeft).toEqual([{ hostId: 'host1', watchId: 'b' }]);
    line.send({ type: 'hello' });
    expect(wire.watchesLeft).toEqual([]);
  });
});

describe('the watch of copies', { timeout: wallMsMax }, () => {
  test('follows a VM, and finds one that goes on with memory of the past', async () => {
    const { world } = await movedOnce();
    const watch = new CopyWatch(world);
    const { vmId } = world.guest('web');
    const [old] = world.copiesOf(vmId);
    if (!old) throw new Error('web runs nowhere');
    expect(watch.look()).toEqual([]);
    old.copy.state = 'paused';
    world.host('host1').add(new Copy(world.guest('web'), 'running'));
    expect(watch.look()).toEqual([]);
    expect(watch.homeChanges).toEqual([{ vmId, fromHostId: 'host2', toHostId: 'host1' }]);
    old.copy.state = 'running';
    expect(codesOf(watch.look())).toEqual(['stale-copy']);
  });

  test('does not call a start after a death a way from host to host', async () => {
    const { world } = await movedOnce();
    const watch = new CopyWatch(world);
    const [old] = world.copiesOf(world.guest('web').vmId);
    watch.look();
    old?.copy.die();
    watch.look();
    world.host('host1').add(new Copy(world.guest('web'), 'running'));
    expect(watch.look()).toEqual([]);
    expect(watch.homeChanges).toEqual([]);
  });
});

describe('the watch of records', { timeout: wallMsMax }, () => {
  test('finds a closed record that is opened or changed, and not one that is written again', async () => {
    const [migration] = (await movedOnce()).store.allMigrations();
    if (!migration) throw new Error('nothing was moved');
    const watch = new RecordWatch();
    const save = (changes: Partial<Migration>) => watch.saved({ ...migration, ...changes });
    save({ endedAtMs: null, phase: 'copying' });
    save({});
    save({});
    expect(watch.found).toEqual([]);
    save({ phase: 'failed' });
    save({ endedAtMs: null, phase: 'copying' });
    expect(codesOf(watch.found)).toEqual(['record-changed', 'record-changed']);
  });

  test('finds what the store has lost', async () => {
    const { store } = await movedOnce();
    const watch = new RecordWatch();
    for (const migration of store.allMigrations()) watch.saved(migration);
    for (const entry of store.allLedger()) watch.entered(entry);
    expect(watch.lostFrom(store)).toEqual([]);
    const [entry] = store.allLedger();
    const [migration] = store.allMigrations();
    if (!entry || !migration) throw new Error('nothing was moved');
    watch.entered({ ...entry, migrationId: 'lost' });
    watch.saved({ ...migration, request: { ...migration.request, migrationId: 'lost' } });
    expect(codesOf(watch.lostFrom(store))).toEqual(['record-lost', 'record-lost']);
  });
});

describe('the judge of plans', { timeout: wallMsMax }, () => {
  const load = { hostId: 'host1', cpuBeforePercent: 90, cpuAfterPercent: 50, memoryBeforePercent: 10, memoryAfterPercent: 5 };

  async function judged(
    changes: Partial<Move>,
    sampledAtMs: number | null = null,
    moves = 1,
    verdict: Plan['verdict'] = 'moves',
    wishes: Partial<Policy> = {},
  ) {
    const { world, store, policy, time } = await movedOnce();
    const { vmId } = world.guest('mail');
    const move: Move = {
      vmId,
      vmName: 'mail',
      fromHostId: 'host2',
      toHostId: 'host1',
      reason: 'host2 is full',
      scoreBefore: 5,
      scoreAfter: 1,
      source: load,
      destination: load,
      ...changes,
    };
    const plan: Plan = {
      planId: 'p',
      parentPlanId: null,
      createdAtMs: time.nowMs,
      expiresAtMs: time.nowMs + 1000,
      verdict,
      summary: 'a plan',
      scoreBefore: 5,
      scoreAfter: 1,
      moves: Array.from({ length: moves }, () => move),
      skipped: [],
    };
    return codesOf(
      planBreaches({ world, store, policy: { ...policy, ...wishes }, sampledAtMs: () => sampledAtMs ?? time.elapsedMs }, plan),
    );
  }

  test('has nothing against a sound plan', async () => expect(await judged({})).toEqual([]));
  test('finds a VM that cools down, by the durable ledger', async () => expect(await judged({ vmId: webId })).toEqual(['plan-unlawful']));
  test('finds hosts that have not sent a sample for long', async () => expect(await judged({}, 1)).toHaveLength(2));
  test('finds a move to where the VM is', async () => expect(await judged({ toHostId: 'host2' })).toHaveLength(1));
  test('finds a move that helps nobody', async () => expect(await judged({ scoreAfter: 5 })).toHaveLength(1));
  test('lets a move that empties a host cost something, but fill nobody above the stop line', async () => {
    const pack = { strategy: 'pack' } as const;
    expect(await judged({ scoreAfter: 6 }, null, 1, 'moves', pack)).toEqual([]);
    expect(await judged({ scoreAfter: 6, destination: { ...load, cpuAfterPercent: 61 } }, null, 1, 'moves', pack)).toHaveLength(1);
  });
  test('finds a VM that is moved twice', async () => expect(await judged({}, null, 2)).toHaveLength(1));
  test('finds more moves than are allowed', async () => expect(await judged({}, null, 5)).toHaveLength(5));
  test('finds a verdict that does not fit', async () => expect(await judged({}, null, 1, 'balanced')).toHaveLength(1));
});

const webId = '00000000-0000-4000-8000-000000000001';

describe('a cluster at rest', { timeout: wallMsMax }, () => {
  async function rested() {
    const cluster = await movedOnce();
    const { world, store, policy } = cluster;
    const homeChanges = [{ vmId: webId, fromHostId: 'host1', toHostId: 'host2' }];
    const facts = {
      world,
      store,
      policy,
      homeChanges,
      watchesLeft: [],
      restartable: new Set<string>(),
      sampledAtMs: () => cluster.time.elapsedMs,
    };
    return { ...facts, cluster, look: (changes: object = {}) => codesOf(breachesAtRest({ ...facts, ...changes })) };
  }

  test('has each VM once, and nothing left behind', async () => {
    const { look } = await rested();
    expect(look()).toEqual([]);
  });

  test('is not whole without a VM that nothing has killed, or that is to be started again', async () => {
    const { look, world } = await rested();
    const [home] = world.copiesOf(webId);
    home?.copy.die();
    expect(look()).toEqual(['not-whole']);
    world.casualties.add(webId);
    expect(look()).toEqual([]);
    expect(look({ restartable: new Set(['web']) })).toEqual(['not-whole']);
  });

  test('has no copy that waits or is paused, no throttle, no exemption, no SA and no watch', async () => {
    const { look, world, cluster } = await rested();
    const [host, web] = [world.host('host1'), world.guest('web')];
    const copy = new Copy(web, 'incoming');
    host.add(copy);
    expect(look()).toEqual(['left-behind']);
    host.remove(copy);
    const [home] = world.copiesOf(webId);
    if (home) home.copy.throttlePercent = 10;
    host.filter.exempt('10.0.0.2', cluster.time.nowMs + 1000);
    expect(look({ watchesLeft: [{ hostId: 'host1', watchId: 'a' }] })).toEqual(['left-behind', 'left-behind', 'left-behind']);
  });

  test('hears of every host', async () => {
    const { look } = await rested();
    expect(look({ sampledAtMs: () => null })).toEqual(['not-whole', 'not-whole']);
  });

  test('has closed every migration', async () => {
    const { look, store } = await rested();
    const [migration] = store.allMigrations();
    if (migration) void store.saveMigration({ ...migration, endedAtMs: null });
    expect(look()).toEqual(['not-closed']);
  });

  test('has a ledger that says where each VM went: no way more, no way less, and doubt where it says so', async () => {
    const { look, store } = await rested();
    const other = { vmId: webId, fromHostId: 'host2', toHostId: 'host1' };
    expect(look({ homeChanges: [] })).toEqual(['ledger-untrue']);
    const [entry] = store.allLedger();
    if (!entry) throw new Error('nothing was moved');
    const doubted: LedgerEntry = { ...entry, ...other, migrationId: 'other', outcome: 'unclear' };
    const homeChanges = [{ vmId: webId, fromHostId: 'host1', toHostId: 'host2' }, other];
    expect(look({ homeChanges })).toEqual(['ledger-untrue']);
    void store.appendLedger(doubted);
    expect(look({ homeChanges })).toEqual([]);
    expect(look()).toEqual([]);
  });
});
