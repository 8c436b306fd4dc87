import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Policy } from '#core/model/policy.ts';
import { bytes } from '#core/model/units.ts';
import {
  FakeAgent,
  fakeParts,
  guardState,
  ipsec,
  type MemoryStore,
  otherVmId,
  policy,
  refuse,
  runningVm,
  settings,
  silence,
  tokens,
  vmId,
} from './fakes.ts';
import { openRooms } from './rooms.ts';

let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 1000 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

const wish = { vmId, vmName: 'web1', fromHostId: 'a', toHostId: 'b', cause: 'operator', askedBy: 'anna', ...ipsec, planId: null } as const;
const outcome = { totalMs: 900, downtimeMs: 50, memorySentBytes: 1000, iterations: 2 };

async function newExecutor(options: { readonly store?: MemoryStore; readonly changes?: Partial<Policy> } = {}) {
  const parts = fakeParts(options.store);
  const own = { ...settings, policy: { ...policy, ...options.changes } };
  const { executor, receipts } = await openRooms(parts, own, tokens, stop.signal);
  const source = new FakeAgent(parts, 'a', runningVm());
  const destination = new FakeAgent(parts, 'b');
  const end = async (migrationId: string) => {
    for (let tries = 0; tries < 100 && executor.current(migrationId); tries += 1) await vi.advanceTimersByTimeAsync(1000);
    return parts.store.records.get(migrationId);
  };
  const started = async () => (await executor.start(wish)).request.migrationId;
  const arrive = () => {
    [source.vm, destination.vm] = [null, runningVm()];
    source.answers['transfer.status'] = () => ({ status: { kind: 'completed', outcome, channel: null, decisions: [], attempts: 1 } });
  };
  return { parts, executor, receipts, source, destination, end, started, arrive };
}

describe('a migration', () => {
  it('is carried out, with one ledger entry, one good receipt, and its channel closed on both hosts', async () => {
    const { parts, executor, receipts, source, destination, end, started, arrive } = await newExecutor();
    const migrationId = await started();
    await vi.advanceTimersByTimeAsync(1000);
    expect(executor.current(migrationId)?.phase).toBe('copying');
    arrive();
    expect(await end(migrationId)).toMatchObject({ phase: 'done', failure: null });
    expect(parts.store.ledger).toMatchObject([{ migrationId, outcome: 'moved' }]);
    expect(await receipts.read(migrationId)).toMatchObject({ valid: true, statement: { outcome: 'moved', sequence: 1 } });
    expect([source.asked.at(-1), destination.asked.at(-1)]).toEqual(['channel.close', 'channel.close']);
    expect(source.asked.filter((name) => name === 'transfer.start')).toHaveLength(1);
  });

  const refused: readonly (readonly [story: string, spoil: (world: Awaited<ReturnType<typeof newExecutor>>) => unknown, code: string])[] = [
    ['the source is down', ({ source }) => source.line.close('gone'), 'host-down'],
    ['the destination is down', ({ destination }) => destination.line.close('gone'), 'host-down'],
    ['the source does not have the VM', ({ source }) => (source.vm = null), 'vm-unknown'],
    ['the VM is not running', ({ source }) => (source.vm = runningVm({ state: 'paused' })), 'vm-not-running'],
    ['the hypervisor is at work on the VM', ({ source }) => (source.vm = runningVm({ jobActive: true })), 'vm-busy'],
    ['the destination has no room', ({ destination }) => (destination.offered = { memoryFreeBytes: bytes(0) }), 'no-memory'],
    ['the destination has the VM', ({ destination }) => (destination.offered = { ownCopy: 'running' }), 'destination-has-vm'],
    ['the ticket is refused', ({ destination }) => (destination.answers['ticket.accept'] = refuse('stale-epoch')), 'stale-epoch'],
    ['charon is away', ({ source }) => (source.answers['channel.establish'] = refuse('ipsec-unavailable')), 'ipsec-unavailable'],
    ['the source lies about its proof', ({ source }) => (source.answers['channel.probe'] = () => ({ facts: 'fine' })), 'message-invalid'],
    ['the plain probes came through', ({ destination }) => letPlainThrough(destination), 'proof-failed'],
    [
      'the destination goes silent while it listens',
      ({ destination }) => (destination.answers['channel.listen'] = () => silence),
      'command-timeout',
    ],
    ['the source starts nothing', ({ source }) => (source.answers['transfer.start'] = refuse('proof-missing')), 'proof-missing'],
    ['the destination is lost before the start', loseAfterProof, 'host-down'],
  ];

  it.each(refused)('stays where it was when %s', async (_story, spoil, code) => {
    const world = await newExecutor();
    spoil(world);
    const migrationId = await world.started();
    expect(await world.end(migrationId)).toMatchObject({ phase: 'failed', failure: { code } });
    expect(world.parts.store.ledger).toMatchObject([{ outcome: 'stayed', failureCode: code }]);
    expect(world.source.asked).not.toContain('transfer.status');
    expect(world.executor.inFlight()).toEqual([]);
  });

  it('is judged by the hosts, not by the answer, when the answer to its start is lost', async () => {
    const { source, destination, started, end } = await newExecutor();
    source.answers['transfer.start'] = () => {
      [source.vm, destination.vm] = [null, runningVm()];
      return silence;
    };
    expect(await end(await started())).toMatchObject({ phase: 'done' });
  });

  it('waits for a source whose line is lost while it copies, and then asks both hosts', async () => {
    const { source, started, end, executor } = await newExecutor();
    const migrationId = await started();
    await vi.advanceTimersByTimeAsync(1000);
    source.line.close('link-lost');
    await vi.advanceTimersByTimeAsync(30_000);
    expect(executor.current(migrationId)?.phase).toBe('resolving');
    source.dial();
    expect(await end(migrationId)).toMatchObject({ phase: 'failed', failure: { code: 'host-down' } });
  });
});

/** The proof is good and on record; then the line goes. */
function loseAfterProof({ parts: { store }, destination }: Awaited<ReturnType<typeof newExecutor>>): void {
  const { saveMigration } = store;
  store.saveMigration = async (migration) => {
    await saveMigration(migration);
    if (migration.phase === 'secured') destination.line.close('gone');
  };
}

function letPlainThrough(agent: FakeAgent): void {
  const guard = guardState(0);
  const facts = { hostId: 'b', peerHostId: 'a', certificateSha256: null, before: null, after: null, guardBefore: guard, guardAfter: guard };
  agent.answers['channel.heard'] = () => ({ facts: { ...facts, protectedProbes: 8, plainProbes: 4 } });
}

describe('the limits', () => {
  it('hold per VM, per pair, per host and per cluster, and a dry run meets the same ones', async () => {
    const { executor, started } = await newExecutor({ changes: { migrationsPerHostMax: 2 } });
    await started();
    const other = { ...wish, vmId: otherVmId, vmName: 'web2' };
    await expect(executor.start(wish)).rejects.toMatchObject({ code: 'vm-busy' });
    await expect(executor.start({ ...other, toHostId: 'a' })).rejects.toMatchObject({ code: 'destination-same-as-source' });
    await expect(executor.start(other)).rejects.toMatchObject({ code: 'migration-limit', message: expect.stringContaining('one channel') });
    await expect(executor.start({ ...other, fromHostId: 'b', toHostId: 'a' })).rejects.toMatchObject({ code: 'migration-limit' });
    await executor.start({ ...other, toHostId: 'c' });
    await expect(executor.start({ ...other, vmId: 'x', fromHostId: 'd', toHostId: 'e' })).rejects.toMatchObject({
      code: 'migration-limit',
    });
    expect(() => executor.mustBeFree({ ...other, vmId: 'x' })).toThrow(expect.objectContaining({ code: 'migration-limit' }));
  });

  it('hold per host', async () => {
    const { executor, started } = await newExecutor();
    await started();
    const other = { ...wish, vmId: otherVmId, vmName: 'web2' };
    await expect(executor.start({ ...other, toHostId: 'c' })).rejects.toMatchObject({ code: 'migration-limit' });
    await executor.start({ ...other, fromHostId: 'c', toHostId: 'd' });
  });

  it('count a migration from the moment it is asked for: the same VM twice at once is moved once', async () => {
    const { executor } = await newExecutor();
    const both = await Promise.allSettled([executor.start(wish), executor.start(wish)]);
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(executor.inFlight()).toHaveLength(1);
  });

  it('are free again when a start could not be made durable', async () => {
    const { executor, parts, started } = await newExecutor();
    parts.store.failing.add('saveMigration');
    await expect(executor.start(wish)).rejects.toThrow('disk full');
    expect(executor.inFlight()).toEqual([]);
    parts.store.failing.clear();
    await started();
  });
});

describe('a store that fails for a while', () => {
  it('holds everything back until the record is durable', async () => {
    const { parts, source, started, end, arrive } = await newExecutor();
    const migrationId = await started();
    parts.store.failing.add('saveMigration');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(source.asked).not.toContain('transfer.start');
    parts.store.failing.clear();
    await vi.advanceTimersByTimeAsync(2000);
    expect(source.asked).toContain('transfer.start');
    arrive();
    expect(await end(migrationId)).toMatchObject({ phase: 'done' });
  });

  it.each(['saveReceipt', 'lastReceipt', 'appendLedger', 'saveMigration'] as const)(
    'at the end (%s) leaves the migration open, and it is closed once when the store is back',
    async (call) => {
      const { parts, executor, started, end, arrive } = await newExecutor();
      const migrationId = await started();
      await vi.advanceTimersByTimeAsync(1000);
      arrive();
      parts.store.failing.add(call);
      await vi.advanceTimersByTimeAsync(5000);
      expect(parts.store.records.get(migrationId)?.endedAtMs).toBeNull();
      expect(executor.inFlight()).toHaveLength(1);
      parts.store.failing.clear();
      expect(await end(migrationId)).toMatchObject({ phase: 'done' });
      expect([parts.store.ledger.length, parts.store.receipts.length]).toEqual([1, 1]);
    },
  );
});
