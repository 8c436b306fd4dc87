import type { GuestBeats } from './protocol.ts';

const MISSING_MAX = 10_000;

interface Beat {
  readonly guest: string;
  readonly bootId: string;
  readonly sequence: number;
  readonly numbers: readonly number[];
}

/** @returns undefined for anything that is not a beat (see lab/guest/control.c for its form). */
export function parseBeat(text: string): Beat | undefined {
  const match = /^beat (\S{1,32}) ([0-9a-f]{8}) ((?:\d+ ){10}\d+)$/.exec(text);
  if (match === null) return undefined;
  const [, guest = '', bootId = '', rest = ''] = match;
  const [sequence = 0, ...numbers] = rest.split(' ').map(Number);
  return { guest, bootId, sequence, numbers };
}

/** The stream of one guest: numbering without hole or repetition, and the time between beats. */
class GuestStream {
  readonly guest: string;
  #bootId = '';
  #boots = 0;
  #next = 0;
  #missing = new Set<number>();
  #received = 0;
  #lost = 0;
  #duplicates = 0;
  #largestGapMs = 0;
  #largestGapAtMs = 0;
  #lastMs: number | undefined;
  #lastAtMs = 0;
  #numbers: readonly number[] = [];

  constructor(guest: string) {
    this.guest = guest;
  }

  take(beat: Beat, nowMs: number, unixMs: number): void {
    if (beat.bootId !== this.#bootId) this.#newBoot(beat);
    this.#number(beat.sequence);
    this.#received++;
    const gapMs = this.#lastMs === undefined ? 0 : nowMs - this.#lastMs;
    if (gapMs > this.#largestGapMs) {
      this.#largestGapMs = gapMs;
      this.#largestGapAtMs = unixMs;
    }
    this.#lastMs = nowMs;
    this.#lastAtMs = unixMs;
    this.#numbers = beat.numbers;
  }

  #newBoot(beat: Beat): void {
    this.#bootId = beat.bootId;
    this.#boots++;
    this.#next = beat.sequence;
    this.#missing.clear();
    this.#lastMs = undefined;
  }

  #number(sequence: number): void {
    if (sequence >= this.#next) {
      for (let n = this.#next; n < sequence && this.#missing.size < MISSING_MAX; n++) this.#missing.add(n);
      this.#lost += sequence - this.#next;
      this.#next = sequence + 1;
    } else if (this.#missing.delete(sequence)) {
      this.#lost--; // overtaken by a later one, not lost
    } else {
      this.#duplicates++;
    }
  }

  reset(): void {
    this.#received = 0;
    this.#lost = 0;
    this.#duplicates = 0;
    this.#largestGapMs = 0;
    this.#largestGapAtMs = 0;
    this.#missing.clear();
  }

  report(nowMs: number, unixMs: number): GuestBeats {
    const silentMs = this.#lastMs === undefined ? 0 : nowMs - this.#lastMs;
    const silentNow = silentMs > this.#largestGapMs;
    const at = (i: number): number => this.#numbers[i] ?? 0;
    return {
      guest: this.guest,
      bootId: this.#bootId,
      boots: this.#boots,
      received: this.#received,
      lost: this.#lost,
      duplicates: this.#duplicates,
      largestGapMs: Math.round(silentNow ? silentMs : this.#largestGapMs),
      largestGapAtMs: Math.round(silentNow ? unixMs : this.#largestGapAtMs),
      lastBeatAtMs: Math.round(this.#lastAtMs),
      uptimeMs: at(0),
      pagesDirtied: at(1),
      pagesChecked: at(2),
      memoryErrors: at(3),
      diskRecords: at(4),
      diskErrors: at(5),
      kernelTroubles: at(6),
      steering: { cpuPercent: at(7), dirtyMbPerSecond: at(8), diskWritesPerSecond: at(9) },
    };
  }
}

export class Collector {
  readonly #streams = new Map<string, GuestStream>();

  take(text: string, nowMs: number, unixMs: number): void {
    const beat = parseBeat(text);
    if (beat === undefined) return;
    let stream = this.#streams.get(beat.guest);
    if (stream === undefined) this.#streams.set(beat.guest, (stream = new GuestStream(beat.guest)));
    stream.take(beat, nowMs, unixMs);
  }

  reset(guest?: string): void {
    for (const stream of this.#streams.values()) if (guest === undefined || stream.guest === guest) stream.reset();
  }

  report(nowMs: number, unixMs: number): GuestBeats[] {
    return [...this.#streams.values()].map((stream) => stream.report(nowMs, unixMs));
  }
}
