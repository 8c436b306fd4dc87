import { describe, expect, it } from 'vitest';
import type { TransferOptions } from '#core/model/method.ts';
import { loadOf } from './forecast-activity.ts';
import { type ExampleVm, exampleFacts, exampleOptions, mebibyte } from './forecast-examples.ts';
import { handOverMs } from './downtime-limit.ts';
import { type Cost, costOf } from './forecast-model.ts';

const pageBytes = 4096;

/** Xorshift: the same pages in every run. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** In what order the pages of the working set are written. */
type Order = 'page after page' | 'at random places';

/**
 * QEMU's loop page by page: a bitmap of waiting pages, a log of written ones, 50 ms of sending between two looks at what waits, the
 * bandwidth of the last 100 ms. Written against the description of the source, not against the model. Null: no end after 120 s.
 */
class PageByPage {
  readonly #random = randomFrom(88_172_645);
  readonly #waits: Uint8Array;
  readonly #log: Uint8Array;
  readonly #zero: Uint8Array;
  readonly #set: readonly number[];
  readonly #bytesPerSecond: number;
  readonly #pagesPerSecond: number;
  readonly #order: Order;
  #written = 0;
  #waiting: number;
  #cursor = 0;
  #seconds = 0;
  #owedWrites = 0;
  #throttlePercent = 0;
  #period = { since: 0, sent: 0, written: 0, high: 0 };

  constructor(vm: Required<ExampleVm> & { readonly used: number }, writtenBytesPerSecond: number, order: Order) {
    this.#order = order;
    const pages = (vm.memory * mebibyte) / pageBytes;
    this.#waits = new Uint8Array(pages).fill(1);
    this.#log = new Uint8Array(pages);
    this.#zero = Uint8Array.from({ length: pages }, () => (this.#random(vm.memory) >= vm.used ? 1 : 0));
    const used = [...this.#zero.entries()].filter(([, zero]) => zero === 0).map(([page]) => page);
    const set = (vm.workingSet * mebibyte) / pageBytes;
    for (let index = 0; index < set; index += 1) {
      const other = index + this.#random(used.length - index);
      [used[index], used[other]] = [used[other] ?? 0, used[index] ?? 0];
    }
    this.#set = used.slice(0, set);
    this.#bytesPerSecond = vm.channel * mebibyte;
    this.#pagesPerSecond = writtenBytesPerSecond / pageBytes;
    this.#waiting = pages;
  }

  run(limitMs: number, autoConverge = false): { readonly totalMs: number; readonly downtimeMs: number } | null {
    let threshold = 0;
    let measured = { seconds: 0, bytes: 0 };
    let sent = 0;
    while (this.#seconds < 120) {
      sent += this.#send(0.05);
      if (this.#seconds - measured.seconds >= 0.1) {
        threshold = ((sent - measured.bytes) / (this.#seconds - measured.seconds)) * (limitMs / 1000);
        measured = { seconds: this.#seconds, bytes: sent };
      }
      if (this.#waiting * pageBytes < threshold) {
        this.#sync();
        if (autoConverge) this.#slowDown(sent);
      }
      if (this.#waiting > 0 && this.#waiting * pageBytes >= threshold) continue;
      const stoppedAt = this.#seconds;
      this.#send(Number.POSITIVE_INFINITY);
      return { totalMs: this.#seconds * 1000 + handOverMs, downtimeMs: (this.#seconds - stoppedAt) * 1000 + handOverMs };
    }
    return null;
  }

  /** For as long as there is something to send; tells the bytes of the stream. */
  #send(seconds: number): number {
    const begin = this.#seconds;
    let sent = 0;
    while (this.#waiting > 0 && this.#seconds - begin < seconds) {
      if (this.#waits[this.#cursor] === 1) {
        const bytes = this.#zero[this.#cursor] === 1 ? 9 : pageBytes + 8;
        this.#waits[this.#cursor] = 0;
        this.#waiting -= 1;
        sent += bytes;
        this.#pass(bytes / this.#bytesPerSecond);
      }
      this.#cursor = (this.#cursor + 1) % this.#waits.length;
    }
    return sent;
  }

  #pass(seconds: number): void {
    this.#seconds += seconds;
    this.#owedWrites += seconds * this.#pagesPerSecond * (1 - this.#throttlePercent / 100);
    for (; this.#owedWrites >= 1; this.#owedWrites -= 1) this.#log[this.#set[this.#next()] ?? 0] = 1;
  }

  #next(): number {
    if (this.#order === 'at random places') return this.#random(this.#set.length);
    this.#written += 1;
    return this.#written % this.#set.length;
  }

  #sync(): void {
    for (const [page, written] of this.#log.entries()) {
      if (written === 1 && this.#waits[page] === 0) {
        this.#waits[page] = 1;
        this.#waiting += 1;
        this.#period.written += pageBytes;
      }
    }
    this.#log.fill(0);
  }

  /** After a second or more: 20 %, then 10 % more each, when for the second time more than half as much was written as sent. */
  #slowDown(sent: number): void {
    if (this.#seconds - this.#period.since < 1) return;
    let { high } = this.#period;
    if (this.#period.written > (sent - this.#period.sent) / 2) high += 1;
    if (high === 2) {
      high = 0;
      this.#throttlePercent = Math.min(99, this.#throttlePercent + (this.#throttlePercent === 0 ? 20 : 10));
    }
    this.#period = { since: this.#seconds, sent, written: 0, high };
  }
}

/** In MiB and MiB/s; `written`: repeated writing counted. */
const vms = [
  { memory: 128, used: 128, workingSet: 1, written: 0, channel: 16, limitMs: 300 },
  { memory: 128, used: 64, workingSet: 1, written: 0, channel: 16, limitMs: 300 },
  { memory: 256, used: 96, workingSet: 8, written: 4, channel: 12, limitMs: 300 },
  { memory: 128, used: 100, workingSet: 32, written: 8, channel: 16, limitMs: 300 },
  { memory: 128, used: 100, workingSet: 64, written: 4, channel: 16, limitMs: 1000 },
  { memory: 128, used: 100, workingSet: 90, written: 9, channel: 12, limitMs: 300 },
  { memory: 128, used: 128, workingSet: 4, written: 100, channel: 16, limitMs: 500 },
  { memory: 64, used: 50, workingSet: 40, written: 10, channel: 40, limitMs: 100 },
] as const;

type Writer = ExampleVm & { readonly used: number; readonly workingSet: number; readonly written: number };

/** From what a look of one second finds of it. */
function modelled(vm: Writer, order: Order, limitMs: number, changes: Partial<TransferOptions> = {}): Cost {
  const { workingSet, written } = vm;
  const inOneSecond = order === 'page after page' ? Math.min(written, workingSet) : workingSet * -Math.expm1(-written / workingSet);
  const facts = exampleFacts({ ...vm, dirty: inOneSecond });
  return costOf(
    exampleOptions({ downtimeMsMax: limitMs, ...changes }),
    loadOf(facts.memoryBytes, facts.activity),
    facts.bandwidth.bytesPerSecond,
  );
}

function run(vm: Writer & { readonly memory: number; readonly channel: number }, order: Order, limitMs: number, autoConverge = false) {
  return new PageByPage({ ...vm, dirty: 0 }, vm.written * mebibyte, order).run(limitMs, autoConverge);
}

describe('the model against a run page by page', () => {
  const title = '$memory MiB, $used used, $written MiB/s into $workingSet at $channel';

  it.each(vms)(`${title}, page after page: total within 6 %, downtime within 10 %`, (vm) => {
    const happened = run(vm, 'page after page', vm.limitMs);
    const model = modelled(vm, 'page after page', vm.limitMs);
    expect(happened).not.toBeNull();
    expect(model.converges).toBe(true);
    expect(Math.abs(model.totalMs / (happened?.totalMs ?? 0) - 1)).toBeLessThan(0.06);
    expect(Math.abs(model.downtimeMs / (happened?.downtimeMs ?? 0) - 1)).toBeLessThan(0.1);
  });

  it.each(vms)(`${title}, at random places: no shorter, and at most half as long again`, (vm) => {
    const happened = run(vm, 'at random places', vm.limitMs);
    const model = modelled(vm, 'at random places', vm.limitMs);
    expect(model.converges).toBe(true);
    expect(model.totalMs / (happened?.totalMs ?? 0)).toBeGreaterThan(0.98);
    expect(model.totalMs / (happened?.totalMs ?? 0)).toBeLessThan(1.5);
  });

  it('agrees on when a VM has been slowed down enough', () => {
    const vm = { ...vms[3], workingSet: 60, written: 40 } as const;
    const happened = run(vm, 'page after page', 300, true);
    const model = modelled(vm, 'page after page', 300, { autoConverge: { initialPercent: 20, incrementPercent: 10 } });
    expect(model.converges).toBe(true);
    expect(Math.abs(model.totalMs / (happened?.totalMs ?? 0) - 1)).toBeLessThan(0.1);
  });

  it.each(['page after page', 'at random places'] as const)('agrees on what does not end, written %s', (order) => {
    const vm = { ...vms[3], workingSet: 60, written: 40 } as const;
    expect(run(vm, order, 300)).toBeNull();
    expect(modelled(vm, order, 300).converges).toBe(false);
  });

  it('agrees that a set written faster than it is sent ends only when it fits the limit', () => {
    const vm = { memory: 128, used: 100, workingSet: 20, written: 20, channel: 16 };
    expect(run(vm, 'page after page', 1300)).not.toBeNull();
    expect(modelled(vm, 'page after page', 1300).converges).toBe(true);
    expect(run(vm, 'page after page', 430)).toBeNull();
    expect(modelled(vm, 'page after page', 430).converges).toBe(false);
  });
});
