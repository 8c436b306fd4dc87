import { expect, test, vi } from 'vitest';
import { type Copy, migrate, type Style } from './driver.ts';
import type { Qmp, QmpEvent } from './qmp.ts';

/** A QEMU that does what `answers` say, and tells what it is made to tell. */
class FakeQemu implements Copy, Qmp {
  readonly asked: string[] = [];
  readonly closed: Promise<void>;
  readonly qmp = this;
  isGone = false;
  capabilities: unknown;
  readonly #answers: Readonly<Record<string, (qemu: FakeQemu) => unknown>>;
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  readonly #close: () => void;

  constructor(answers: Readonly<Record<string, (qemu: FakeQemu) => unknown>> = {}) {
    this.#answers = answers;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#close = resolve;
  }

  async execute(command: string, given: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    if (this.isGone) throw new Error('QEMU has ended');
    this.asked.push(command);
    if (command === 'migrate-set-capabilities') this.capabilities = given['capabilities'];
    if (command === 'quit') await this.end();
    return this.#answers[command]?.(this);
  }

  executeOutOfBand(command: string): Promise<unknown> {
    return this.execute(command);
  }

  listen(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  say(name: string, status: string | null = null): void {
    for (const listener of this.#listeners) listener({ name, status });
  }

  async end(): Promise<void> {
    this.isGone = true;
    this.#close();
  }
}

const arrived = { 'query-status': () => ({ status: 'running' }) };
const notArrived = { 'query-status': () => ({ status: 'inmigrate' }) };

const move = (style: Style, source: FakeQemu, destination: FakeQemu, signal = new AbortController().signal) =>
  migrate(style, { source, destination, address: '10.64.0.2', port: 49_253 }, signal);

/** Its source stops the VM and calls the migration completed. */
const completing = () =>
  new FakeQemu({
    migrate: (qemu) => {
      qemu.say('STOP');
      qemu.say('MIGRATION', 'completed');
    },
  });

test('only the careful driver asks for the return path', async () => {
  for (const [style, state] of [
    ['naive', false],
    ['careful', true],
  ] as const) {
    const source = completing();
    await move(style, source, new FakeQemu(arrived));
    expect(source.capabilities).toContainEqual({ capability: 'return-path', state });
  }
});

test('both move a VM when nothing goes wrong', async () => {
  for (const style of ['naive', 'careful'] as const) {
    const [source, destination] = [completing(), new FakeQemu(arrived)];
    expect(await move(style, source, destination)).toBe('moved');
    expect([source.isGone, destination.isGone]).toEqual([true, false]);
    expect(destination.asked).toContain('cont');
  }
});

test('the naive driver ends the source although the destination has nothing, and believes that it has moved the VM', async () => {
  const [source, destination] = [completing(), new FakeQemu(notArrived)];
  expect(await move('naive', source, destination)).toBe('moved');
  expect(source.isGone).toBe(true);
});

test('the careful driver keeps the source when the destination does not run', async () => {
  const [source, destination] = [completing(), new FakeQemu(notArrived)];
  await move('careful', source, destination);
  expect([source.isGone, destination.isGone]).toEqual([false, true]);
  expect(source.asked.at(-1)).toBe('cont');
});

test('the careful driver keeps the source when the destination ends in the moment of completion; the naive one ends both', async () => {
  for (const [style, isSourceGone] of [
    ['careful', false],
    ['naive', true],
  ] as const) {
    const destination = new FakeQemu(arrived);
    const source = new FakeQemu({
      migrate: (qemu) => {
        void destination.end();
        qemu.say('MIGRATION', 'completed');
      },
    });
    await move(style, source, destination);
    expect(source.isGone).toBe(isSourceGone);
  }
});

test('a switch-over that stalls is ended by the careful driver, also when the source is stuck, and the source goes on', async () => {
  vi.useFakeTimers();
  try {
    for (const takesIt of ['migrate_cancel', 'yank']) {
      const source = new FakeQemu({ migrate: (qemu) => qemu.say('STOP'), [takesIt]: (qemu) => qemu.say('MIGRATION', 'failed') });
      const moving = move('careful', source, new FakeQemu(notArrived));
      await vi.advanceTimersByTimeAsync(1_900);
      expect(source.asked.at(-1)).toBe('migrate');
      await vi.advanceTimersByTimeAsync(200);
      expect(await moving).toBe('the source says failed, and goes on');
    }
  } finally {
    vi.useRealTimers();
  }
});

test('nobody cancels a switch-over that stalls for the naive driver', async () => {
  vi.useFakeTimers();
  try {
    const enough = new AbortController();
    const source = new FakeQemu({ migrate: (qemu) => qemu.say('STOP') });
    const moving = move('naive', source, new FakeQemu(notArrived), enough.signal);
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(source.asked.at(-1)).toBe('migrate');
    enough.abort();
    expect(await moving).toBe('the source says nothing');
  } finally {
    vi.useRealTimers();
  }
});
