import { describe, expect, test } from 'vitest';
import { SimDisk } from './disk.ts';
import { surroundings } from './examples.ts';
import { Streams } from './random.ts';
import { SimStore } from './store.ts';
import { VirtualTime } from './virtual-time.ts';

function setUp() {
  const time = new VirtualTime();
  const noted: string[] = [];
  const note = (what: string) => () => void noted.push(what);
  const watcher = {
    onPlan: note('plan'),
    onReceipt: note('receipt'),
    onLedger: note('ledger'),
    onMigration: note('migration'),
    onMode: note('mode'),
    onDrain: note('drain'),
    onMaintenance: note('maintenance'),
    onMigrationLost: note('migration lost'),
    onLedgerLost: note('ledger lost'),
  };
  return { time, noted, watcher, store: new SimStore(time, watcher) };
}

const entry = {
  migrationId: 'm1',
  vmId: 'v',
  fromHostId: 'a',
  toHostId: 'b',
  cause: 'balance',
  startedAtMs: 1,
  endedAtMs: 2,
  failureCode: null,
  sentBytes: null,
} as const;
const receipt = { migrationId: 'm1', sequence: 1, createdAtMs: 5, envelope: '{}' };

describe('the simulated store', () => {
  test('acknowledges a write a moment after it is durable', async () => {
    const { time, store } = setUp();
    const story: string[] = [];
    void store.saveMode('automatic').then(() => story.push('acknowledged'));
    expect(await store.mode()).toBe('automatic');
    expect(story).toEqual([]);
    await time.runUntil(1, surroundings.drain);
    expect(story).toEqual(['acknowledged']);
  });

  test('refuses a second receipt of a migration, and a second one with the same number', async () => {
    const { store, noted } = setUp();
    void store.saveReceipt(receipt);
    await expect(store.saveReceipt({ ...receipt, sequence: 2 })).rejects.toThrow('written before');
    await expect(store.saveReceipt({ ...receipt, migrationId: 'm2' })).rejects.toThrow('written before');
    expect(noted).toEqual(['receipt']);
  });

  test('counts the same outcome of the same migration once', () => {
    const { store, noted } = setUp();
    void store.appendLedger({ ...entry, outcome: 'moved' });
    void store.appendLedger({ ...entry, outcome: 'moved' });
    expect(store.allLedger()).toHaveLength(1);
    expect(noted).toEqual(['ledger']);
  });

  test('on a full disk refuses as SQLite does, changes nothing and still reads', async () => {
    const { time, noted, watcher } = setUp();
    const disk = new SimDisk(time, new Streams(1).stream('disk'));
    const store = new SimStore(time, watcher, disk);
    disk.condition = 'full';
    await expect(store.saveMode('automatic')).rejects.toMatchObject({
      code: 'internal',
      message: "Could not write the mode: database or disk is full. Check that the database's disk has room and works.",
    });
    await expect(store.saveReceipt(receipt)).rejects.toMatchObject({ code: 'internal' });
    await expect(store.nextControllerEpoch()).rejects.toMatchObject({ code: 'internal' });
    expect([await store.mode(), await store.receipt('m1'), noted]).toEqual([null, null, []]);
    disk.condition = 'ok';
    void store.nextControllerEpoch();
    void store.saveReceipt(receipt);
    expect(noted).toEqual(['receipt']);
  });

  test('on a torn disk takes back, in order, what its dead controller never heard of, and tells', async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 30; seed += 1) {
      const { time, watcher } = setUp();
      const lost: string[] = [];
      const disk = new SimDisk(time, new Streams(seed).stream('disk'));
      const store = new SimStore(time, { ...watcher, onLedgerLost: ({ migrationId }) => lost.push(migrationId) }, disk);
      disk.condition = 'torn';
      void store.saveMode('observe');
      await time.runUntil(5, surroundings.drain);
      void store.saveMode('automatic');
      void store.appendLedger({ ...entry, outcome: 'moved' });
      disk.lose();
      const [mode, entries] = [await store.mode(), store.allLedger().length];
      expect(lost).toEqual(entries === 1 ? [] : ['m1']);
      seen.add(`${mode} ${entries}`);
    }
    expect([...seen].toSorted()).toEqual(['automatic 0', 'automatic 1', 'observe 0']);
  });

  test('gives out copies: who changes one changes nothing here', async () => {
    const { store } = setUp();
    const host = {
      hostId: 'host1',
      joinedAtMs: 1,
      addresses: { underlay: '10.0.0.1', protected: '10.79.0.1', interface: 'eth0' },
      lastSeenAtMs: null,
      revokedAtMs: null,
    };
    void store.saveHost(host);
    host.addresses.underlay = '10.9.9.9';
    const [first] = await store.hosts();
    expect(first?.addresses?.underlay).toBe('10.0.0.1');
    expect((await store.hosts())[0]).not.toBe(first);
  });
});
