import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { replaced } from '#core/store-rules.ts';
import { startController } from './controller.ts';
import { FakeAgent, fakeParts, MemoryStore, sampleOf, settings, tokens } from './fakes.ts';
import { Tenure } from './tenure.ts';

/** From the moment that it is taken over, it takes nothing from this controller. */
class TakenStore extends MemoryStore {
  taken = false;

  override saveMode = (): Promise<undefined> => this.#write('write the mode');
  override appendSamples = (): Promise<undefined> => this.#write('write samples');

  #write(what: string): Promise<undefined> {
    return this.taken ? Promise.reject(replaced(what)) : Promise.resolve(undefined);
  }
}

const gone = expect.objectContaining({ code: 'controller-replaced', message: expect.stringMatching(/end the other one/) as string });

describe("a controller's tenure", () => {
  it('ends when it is told to stop, and then nobody has replaced it', () => {
    const stop = new AbortController();
    const tenure = new Tenure(fakeParts(), stop.signal);
    expect(tenure.signal.aborted).toBe(false);
    stop.abort();
    expect([tenure.signal.aborted, tenure.replaced]).toEqual([true, null]);
    expect(new Tenure(fakeParts(), stop.signal).signal.aborted).toBe(true);
  });

  it('ends with the first write that the store does not take any more, and says so once', async () => {
    const parts = fakeParts(new TakenStore());
    const tenure = new Tenure(parts, new AbortController().signal);
    const told: string[] = [];
    tenure.onReplaced(() => told.push('early'));
    (parts.store as TakenStore).taken = true;
    await expect(tenure.store.saveMode('observe')).rejects.toEqual(gone);
    await expect(tenure.store.appendSamples([])).rejects.toEqual(gone);
    tenure.onReplaced(() => told.push('late'));
    expect(tenure.signal.aborted).toBe(true);
    expect(told).toEqual(['early', 'late']);
    expect(parts.logged.filter((line) => line.includes('another controller has taken over'))).toHaveLength(1);
  });

  it('goes on when the store fails in another way', async () => {
    const parts = fakeParts();
    const tenure = new Tenure(parts, new AbortController().signal);
    parts.store.failing.add('saveMode');
    await expect(tenure.store.saveMode('observe')).rejects.toThrow('disk full');
    expect([tenure.signal.aborted, tenure.replaced]).toEqual([false, null]);
  });
});

describe('a controller that was replaced', () => {
  beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
  afterEach(() => void vi.useRealTimers());

  it('lets its agents go with the next samples that it cannot write, and ends', async () => {
    const store = new TakenStore();
    store.hostRecords.push({ hostId: 'a', joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
    const parts = fakeParts(store);
    const controller = await startController(parts, settings, tokens, new AbortController().signal);
    const agent = new FakeAgent(parts, 'a');
    store.taken = true;
    agent.line.deliver({ type: 'sample', sample: sampleOf('a', 1) });
    const stopped = expect(controller.stopped).rejects.toEqual(gone);
    await vi.advanceTimersByTimeAsync(2000);
    expect(agent.line.closedFor).toBe('controller-replaced');
    await stopped;
    expect((await controller.hosts()).map(({ status }) => status)).toEqual(['silent']);
  });

  it('refuses what an operator asks of it, with the reason', async () => {
    const store = new TakenStore();
    const controller = await startController(fakeParts(store), settings, tokens, new AbortController().signal);
    store.taken = true;
    await expect(controller.setMode('automatic', 'anna')).rejects.toEqual(gone);
    await expect(controller.stopped).rejects.toEqual(gone);
  });
});
