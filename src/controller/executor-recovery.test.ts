import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { begin } from '#core/migration/step.ts';
import type { Migration, Phase } from '#core/model/migration.ts';
import { FakeAgent, fakeParts, ipsec, MemoryStore, plan, runningVm, settings, silence, tokens, vmId } from './fakes.ts';
import { openRooms } from './rooms.ts';

let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

const wish = { vmId, vmName: 'web1', fromHostId: 'a', toHostId: 'b', cause: 'operator', askedBy: 'anna', ...ipsec, planId: null } as const;
const request = { ...wish, migrationId: 'm1', vmEpoch: 3, askedAtMs: 900_000 };
const ended = { channel: null, decisions: [], attempts: 1 };
const completed = { kind: 'completed', ...ended, outcome: { totalMs: 900, downtimeMs: 50, memorySentBytes: 1000, iterations: 2 } };

async function newController(store = new MemoryStore()) {
  const parts = fakeParts(store);
  const { executor } = await openRooms(parts, settings, tokens, stop.signal);
  const source = new FakeAgent(parts, 'a', runningVm());
  const destination = new FakeAgent(parts, 'b');
  const end = async (migrationId: string) => {
    for (let tries = 0; tries < 100 && executor.current(migrationId); tries += 1) await vi.advanceTimersByTimeAsync(1000);
    return store.records.get(migrationId);
  };
  return { executor, store, source, destination, end };
}

/** What a controller that died in this phase left behind. */
function leftIn(phase: Phase): MemoryStore {
  const store = new MemoryStore();
  const migration: Migration = { ...begin(request).migration, phase, plan: phase === 'asked' || phase === 'checked' ? null : plan };
  store.records.set('m1', migration);
  return store;
}

describe('a migration that another controller left open', () => {
  it.each(['asked', 'checked'] as const)('when %s is given up: nothing was sent', async (phase) => {
    const { executor, store, source, end } = await newController(leftIn(phase));
    await executor.takeUp();
    expect(await end('m1')).toMatchObject({ phase: 'failed', failure: { code: 'controller-restarted' } });
    expect(store.ledger).toMatchObject([{ outcome: 'stayed' }]);
    expect(source.asked).not.toContain('transfer.start');
  });

  it('when secured, and it was not chosen how to send it, is given up: nothing was sent', async () => {
    const store = leftIn('secured');
    store.records.set('m1', { ...begin(request).migration, phase: 'secured' });
    const { executor, source, destination, end } = await newController(store);
    await executor.takeUp();
    expect(await end('m1')).toMatchObject({ phase: 'failed', plan: null, failure: { code: 'controller-restarted' } });
    expect(store.ledger).toMatchObject([{ outcome: 'stayed' }]);
    expect(source.asked).not.toContain('transfer.start');
    expect([source.asked.at(-1), destination.asked.at(-1)]).not.toContain('vm.find');
  });

  it.each(['secured', 'copying', 'resolving'] as const)('when %s counts as stayed if the VM runs on its source', async (phase) => {
    const { executor, store, source, end } = await newController(leftIn(phase));
    source.answers['transfer.status'] = () => ({ status: { kind: 'unknown' } });
    await executor.takeUp();
    expect(await end('m1')).toMatchObject({ phase: 'failed' });
    expect(store.ledger).toMatchObject([{ outcome: 'stayed' }]);
    expect(source.asked).not.toContain('transfer.start');
  });

  it.each(['secured', 'copying', 'resolving', 'verifying'] as const)('when %s counts as moved if the VM has arrived', async (phase) => {
    const { executor, store, source, destination, end } = await newController(leftIn(phase));
    [source.vm, destination.vm] = [null, runningVm()];
    source.answers['transfer.status'] = () => ({ status: completed });
    await executor.takeUp();
    expect(await end('m1')).toMatchObject({ phase: 'done', failure: null });
    expect(store.ledger).toMatchObject([{ outcome: 'moved' }]);
  });

  it('is still watched when the transfer goes on, and its VM is busy', async () => {
    const { executor, end, source, destination } = await newController(leftIn('copying'));
    await executor.takeUp();
    await vi.advanceTimersByTimeAsync(5000);
    expect(executor.current('m1')?.phase).toBe('copying');
    await expect(executor.start(wish)).rejects.toMatchObject({ code: 'vm-busy' });
    [source.vm, destination.vm] = [null, runningVm()];
    source.answers['transfer.status'] = () => ({ status: completed });
    expect(await end('m1')).toMatchObject({ phase: 'done' });
  });

  it('whose receipt and ledger entry were written already is closed without second ones', async () => {
    const store = leftIn('verifying');
    const first = await newController(store);
    [first.source.vm, first.destination.vm] = [null, runningVm()];
    store.failing.add('saveMigration');
    await first.executor.takeUp();
    await vi.advanceTimersByTimeAsync(2000);
    store.failing.clear();
    expect(await first.end('m1')).toMatchObject({ phase: 'done' });
    store.records.set('m1', { ...begin(request).migration, phase: 'verifying' });
    const second = await newController(store);
    [second.source.vm, second.destination.vm] = [null, runningVm()];
    await second.executor.takeUp();
    expect(await second.end('m1')).toMatchObject({ phase: 'done' });
    expect([store.receipts.length, store.ledger.length]).toEqual([1, 1]);
  });

  it('waits for its hosts to dial in before anything is asked of them', async () => {
    const { executor, source, end } = await newController(leftIn('resolving'));
    source.line.close('not yet');
    await executor.takeUp();
    await vi.advanceTimersByTimeAsync(5000);
    expect(executor.current('m1')).toMatchObject({ phase: 'resolving', resolution: null });
    source.dial();
    expect(await end('m1')).toMatchObject({ phase: 'failed' });
  });
});

describe('an abort', () => {
  it.each(['vm.find', 'ticket.accept', 'channel.establish', 'channel.probe'] as const)(
    'before the transfer keeps every byte here (during %s)',
    async (name) => {
      const { executor, source, end } = await newController();
      const { promise, resolve } = Promise.withResolvers<void>();
      source.delay(name, promise);
      const { request: begun } = await executor.start(wish);
      await vi.advanceTimersByTimeAsync(100);
      expect(await executor.abort(begun.migrationId)).toMatchObject({ abortAsked: true });
      resolve();
      expect(await end(begun.migrationId)).toMatchObject({ phase: 'failed', failure: { code: 'aborted' } });
      expect(source.asked).not.toContain('transfer.start');
    },
  );

  it('during the transfer is passed to the source until that has ended it', async () => {
    const { executor, source, end } = await newController();
    source.answers['transfer.abort'] = () => {
      source.answers['transfer.status'] = () => ({
        status: { kind: 'failed', refusal: { code: 'aborted', message: 'aborted' }, ...ended },
      });
      return {};
    };
    const { request: begun } = await executor.start(wish);
    await vi.advanceTimersByTimeAsync(1000);
    await executor.abort(begun.migrationId);
    expect(await end(begun.migrationId)).toMatchObject({ phase: 'failed', failure: { code: 'aborted' } });
  });

  it('that comes too late changes nothing: the VM has moved', async () => {
    const { executor, source, destination, end, store } = await newController();
    const { request: begun } = await executor.start(wish);
    await vi.advanceTimersByTimeAsync(1000);
    [source.vm, destination.vm] = [null, runningVm()];
    source.answers['transfer.status'] = () => ({ status: completed });
    destination.answers['channel.close'] = () => silence;
    await vi.advanceTimersByTimeAsync(3000);
    expect(await executor.abort(begun.migrationId)).toMatchObject({ phase: 'done', abortAsked: false });
    expect(store.records.get(begun.migrationId)?.endedAtMs).toBeNull();
    expect(await end(begun.migrationId)).toMatchObject({ phase: 'done' });
    await expect(executor.abort(begun.migrationId)).rejects.toMatchObject({ code: 'migration-unknown' });
  });

  it('while the hosts are asked where the VM is does not hurry the answer', async () => {
    const { executor, source, destination, end } = await newController(leftIn('resolving'));
    destination.line.close('gone');
    await executor.takeUp();
    await vi.advanceTimersByTimeAsync(20_000);
    await executor.abort('m1');
    await vi.advanceTimersByTimeAsync(5000);
    expect(executor.current('m1')).toMatchObject({ phase: 'resolving', abortAsked: true });
    destination.dial();
    expect(await end('m1')).toMatchObject({ phase: 'failed', failure: { code: 'aborted' } });
    expect(source.asked).not.toContain('vm.destroy-copy');
  });

  it('in the very moment of the start is not lost', async () => {
    const { executor, store, source, end } = await newController();
    const starting = executor.start(wish);
    const migrationId = executor.migrationOf(vmId) ?? '';
    const aborting = executor.abort(migrationId);
    await starting;
    await aborting;
    expect(store.records.get(migrationId)).toMatchObject({ abortAsked: true, request: { vmEpoch: 1 } });
    expect(await end(migrationId)).toMatchObject({ phase: 'failed', failure: { code: 'aborted' } });
    expect(source.asked).not.toContain('ticket.accept');
  });
});

describe('a controller that stops', () => {
  it.each(['vm.find', 'channel.probe', 'transfer.start', 'transfer.status'] as const)(
    'during %s leaves the record open for the next one and judges nothing',
    async (name) => {
      const { executor, store, source } = await newController();
      source.answers[name] = () => silence;
      const { request: begun } = await executor.start(wish);
      await vi.advanceTimersByTimeAsync(2000);
      stop.abort();
      await executor.settle();
      for (const record of [store.records.get(begun.migrationId), executor.current(begun.migrationId)])
        expect(record).toMatchObject({ endedAtMs: null, failure: null });
      expect([store.ledger, store.receipts]).toEqual([[], []]);
    },
  );
});
