import { describe, expect, test } from 'vitest';
import { surroundings } from './examples.ts';
import { SimStore } from './store.ts';
import { VirtualTime } from './virtual-time.ts';

function setUp() {
  const time = new VirtualTime();
  const noted: string[] = [];
  const note = (what: string) => () => void noted.push(what);
  const watcher = { onPlan: note('plan'), onReceipt: note('receipt'), onLedger: note('ledger'), onMigration: note('migration') };
  return { time, noted, store: new SimStore(time, watcher) };
}

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
    const entry = {
      migrationId: 'm1',
      vmId: 'v',
      fromHostId: 'a',
      toHostId: 'b',
      cause: 'balance',
      startedAtMs: 1,
      endedAtMs: 2,
      failureCode: null,
    } as const;
    void store.appendLedger({ ...entry, outcome: 'moved' });
    void store.appendLedger({ ...entry, outcome: 'moved' });
    expect(store.allLedger()).toHaveLength(1);
    expect(noted).toEqual(['ledger']);
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
