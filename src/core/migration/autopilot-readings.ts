/**
 * What the readings of one attempt at a transfer add up to: its rounds, what is left as each begins, and whether bytes flow.
 *
 * QEMU looks for newly written memory only when what is left fits the downtime limit (`ram_save_pending` in migration/ram.c), and
 * ends when it then still fits. So what is left falls to about the limit in every round, converging or not: the least that was ever
 * left says nothing. What tells is how much is left as a round begins. It is taken over laps: a lap begins with a round, takes in all
 * readings of its first second, and its second highest one stands, so that neither short rounds nor one odd reading count.
 */
import type { Progress, TransferStage } from '#core/model/migration.ts';

export interface Rest {
  readonly bytes: number;
  /** How long sending it would take; null where that is not known. */
  readonly ms: number | null;
}

interface Lap {
  readonly fromMs: number;
  readonly round: number;
  readonly highestBytes: number;
  readonly secondBytes: number | null;
  /** By so much at most more or less may have been left as a round of it began, for it began between two readings. */
  readonly looseBytes: number;
  readonly isJudged: boolean;
}

interface Mark {
  readonly atMs: number;
  readonly carriedBytes: number;
}

/** Times are in `timeMs`, which counts from the attempt's begin and never jumps. */
export interface Readings {
  readonly timeMs: number;
  readonly stage: TransferStage;
  /** Whether the newest call brought a reading. */
  readonly isFresh: boolean;
  readonly sentBytes: number;
  readonly remainingBytes: number | null;
  readonly memoryBytes: number;
  /** All that was sent; where the hypervisor does not count that, all by which what is left was seen to fall. */
  readonly carriedBytes: number;
  readonly flowedAtMs: number;
  /** 1 for the first pass over all memory. */
  readonly round: number;
  readonly dirtyBytesPerSecond: number | null;
  readonly bandwidthBytesPerSecond: number | null;
  readonly throttlePercent: number;
  /** What was left as the newest judged lap began, and after which round. */
  readonly rest: (Rest & { readonly afterRound: number; readonly bytesMax: number }) | null;
  readonly best: Rest | null;
  /**
   * For how long bytes have flowed, and how many laps have begun, since the first lap that was no better than the best, or since the VM
   * was slowed down further; null when the newest lap was better.
   */
  readonly stalledMs: number | null;
  readonly stalledLaps: number;
  /** As `stalledMs`, however often the VM was slowed down. */
  readonly stuckMs: number;
  /** When the VM was seen to stop; null while it runs, and for one that stood still all the time. */
  readonly stoppedAtMs: number | null;
  readonly lowestBytes: number;
  readonly leastBytes: number;
  /** Of `carriedBytes`, before the present round began, to within this much to either side. */
  readonly roundFromBytes: number;
  readonly looseBytes: number;
  readonly knowsIteration: boolean;
  readonly reportedBandwidth: number | null;
  readonly marks: readonly [Mark, Mark];
  readonly lap: Lap | null;
}

/** A clock that jumps, or a process that was not let run, must not look like a transfer that stood still. */
const gapMsMax = 5000;
const lapMs = 1000;
const markMs = 2000;
/** A rest counts as better when it is smaller than the best one by at least this share. */
const betterShare = 0.05;
/** No round sends more than all memory once; this much more is another round that was not announced. */
const roundShareMax = 1.25;
/** Sums of what is larger would not stay exact. */
const numberMax = 2 ** 52;

export const noReadings: Readings = {
  timeMs: 0,
  stage: 'copying',
  isFresh: false,
  sentBytes: 0,
  remainingBytes: null,
  memoryBytes: 0,
  carriedBytes: 0,
  flowedAtMs: 0,
  round: 1,
  dirtyBytesPerSecond: null,
  bandwidthBytesPerSecond: null,
  throttlePercent: 0,
  rest: null,
  best: null,
  stalledMs: null,
  stalledLaps: 0,
  stuckMs: 0,
  stoppedAtMs: null,
  lowestBytes: numberMax,
  leastBytes: numberMax,
  roundFromBytes: 0,
  looseBytes: 0,
  knowsIteration: false,
  reportedBandwidth: null,
  marks: [
    { atMs: 0, carriedBytes: 0 },
    { atMs: 0, carriedBytes: 0 },
  ],
  lap: null,
};

/** 0 for what is no amount. */
export function amount(value: number | null): number {
  return value !== null && value > 0 ? Math.min(value, numberMax) : 0;
}

function known(value: number | null): number | null {
  return value === null || Number.isNaN(value) ? null : amount(value);
}

/** Less than one byte, page, round or millisecond is none: what is divided by it must stay a number that can be told. */
function positive(value: number | null): number | null {
  const some = amount(value);
  return some >= 1 ? some : null;
}

const noStall = { stalledMs: null, stalledLaps: 0, stuckMs: 0 } as const satisfies Partial<Readings>;

/** `progress` is null when nothing new was heard; `passedMs` since the call before. Total for any numbers. */
export function read(before: Readings, progress: Progress | null, passedMs: number): Readings {
  const dtMs = Math.min(amount(passedMs), gapMsMax);
  const timeMs = before.timeMs + dtMs;
  if (progress === null) return { ...before, timeMs, isFresh: false };
  const flowed = withFlow({ ...before, timeMs, isFresh: true }, progress);
  const hasFlowed = flowed.carriedBytes > before.carriedBytes;
  const passed = before.stalledMs === null || !hasFlowed ? {} : { stalledMs: before.stalledMs + dtMs, stuckMs: before.stuckMs + dtMs };
  const rounded = withRound(withFigures({ ...flowed, ...passed }, progress), progress, before.carriedBytes);
  return withStage(rounded, progress.stage, before);
}

/** After something was changed that shows its effect only as a further round begins. */
export function expectingChange(readings: Readings): Readings {
  return { ...readings, ...noStall };
}

function withFlow(readings: Readings, progress: Progress): Readings {
  const sentBytes = amount(progress.memorySentBytes);
  const remainingBytes = known(progress.memoryRemainingBytes);
  const counts = sentBytes > 0 || readings.sentBytes > 0;
  const fell = remainingBytes === null || readings.remainingBytes === null ? 0 : readings.remainingBytes - remainingBytes;
  const more = Math.max(0, counts ? sentBytes - readings.sentBytes : fell);
  return {
    ...readings,
    sentBytes,
    remainingBytes: remainingBytes ?? readings.remainingBytes,
    carriedBytes: Math.min(readings.carriedBytes + more, numberMax),
    flowedAtMs: more > 0 ? readings.timeMs : readings.flowedAtMs,
  };
}

function withFigures(readings: Readings, progress: Progress): Readings {
  const { timeMs, carriedBytes } = readings;
  const [older, newer] = readings.marks;
  const marks: Readings['marks'] = timeMs - newer.atMs >= markMs ? [newer, { atMs: timeMs, carriedBytes }] : [older, newer];
  const pages = known(progress.dirtyPagesPerSecond);
  const pageBytes = positive(progress.pageSizeBytes);
  const reported = positive(progress.bandwidthBytesPerSecond) ?? readings.reportedBandwidth;
  const ownMs = timeMs - marks[0].atMs;
  const own = ownMs < lapMs ? null : positive(((carriedBytes - marks[0].carriedBytes) / ownMs) * 1000);
  const throttle = Math.min(100, amount(progress.throttlePercent));
  // The throttle works step by step (auto-converge), and each step deserves its time.
  const hasRisen = throttle >= readings.throttlePercent + 1;
  return {
    ...readings,
    marks,
    memoryBytes: Math.max(readings.memoryBytes, amount(progress.memoryTotalBytes)),
    // QEMU says 0 until it has looked a second time.
    dirtyBytesPerSecond: pages === null || pageBytes === null ? readings.dirtyBytesPerSecond : positive(pages * pageBytes),
    reportedBandwidth: reported,
    bandwidthBytesPerSecond: readings.sentBytes > 0 ? (own ?? reported) : (reported ?? own),
    throttlePercent: hasRisen ? throttle : readings.throttlePercent,
    ...(hasRisen && readings.stalledMs !== null ? { stalledMs: 0, stalledLaps: 0 } : {}),
  };
}

function withRound(readings: Readings, progress: Progress, carriedBefore: number): Readings {
  const remaining = readings.remainingBytes ?? 0;
  const iteration = positive(progress.iteration);
  const begins = hasBegun(readings, iteration);
  const round = iteration !== null && iteration > readings.round ? Math.floor(iteration) : readings.round + (begins ? 1 : 0);
  const judged = judge(readings, positive(progress.expectedDowntimeMs));
  const looseBytes = (judged.carriedBytes - carriedBefore) / 2;
  const counted: Readings = {
    ...judged,
    round,
    knowsIteration: judged.knowsIteration || iteration !== null,
    lowestBytes: begins ? remaining : Math.min(judged.lowestBytes, remaining),
    roundFromBytes: begins ? carriedBefore + looseBytes : judged.roundFromBytes,
    looseBytes: begins ? looseBytes : judged.looseBytes,
    lap: begins && judged.lap?.isJudged !== false ? newLap(judged.timeMs, round) : judged.lap,
  };
  return withLeast({ ...counted, lap: counted.lap === null ? null : withReading(counted.lap, counted, remaining) });
}

/** Where rounds are not counted, one has begun when more is left than before. */
function hasBegun(readings: Readings, iteration: number | null): boolean {
  const { lowestBytes, remainingBytes, memoryBytes, carriedBytes, roundFromBytes } = readings;
  if (memoryBytes > 0 && carriedBytes - roundFromBytes > roundShareMax * memoryBytes) return true;
  if (iteration !== null) return Math.floor(iteration) > readings.round;
  return remainingBytes !== null && lowestBytes < numberMax && remainingBytes > lowestBytes * (1 + betterShare);
}

function newLap(fromMs: number, round: number): Lap {
  return { fromMs, round, highestBytes: 0, secondBytes: null, looseBytes: 0, isJudged: false };
}

/** What was left as the round began is what is left now and what was sent since. */
function withReading(lap: Lap, { carriedBytes, roundFromBytes, looseBytes }: Readings, remaining: number): Lap {
  if (lap.isJudged) return lap;
  const bytes = remaining + Math.max(0, carriedBytes - roundFromBytes);
  const isFirst = lap.highestBytes === 0 && lap.secondBytes === null;
  return {
    ...lap,
    looseBytes: Math.max(lap.looseBytes, looseBytes),
    highestBytes: Math.max(lap.highestBytes, bytes),
    secondBytes: isFirst ? null : Math.max(lap.secondBytes ?? 0, Math.min(lap.highestBytes, bytes)),
  };
}

/** QEMU's expected downtime is what was left as the round began over what it sends now (`migration_update_counters`). */
function judge(readings: Readings, expectedMs: number | null): Readings {
  const { lap, best, timeMs, bandwidthBytesPerSecond } = readings;
  if (lap === null || lap.isJudged || timeMs - lap.fromMs < lapMs) return readings;
  const bytes = lap.secondBytes ?? lap.highestBytes;
  const ms = bandwidthBytesPerSecond === null ? null : (bytes / bandwidthBytesPerSecond) * 1000;
  const told = expectedMs ?? ms;
  const isBetter = best === null || isLess(bytes, best.bytes) || (told !== null && best.ms !== null && isLess(told, best.ms));
  return {
    ...readings,
    lap: { ...lap, isJudged: true },
    rest: { bytes, ms, afterRound: lap.round - 1, bytesMax: bytes + lap.looseBytes },
    best: best === null ? { bytes, ms: told } : { bytes: Math.min(best.bytes, bytes), ms: least(best.ms, told) },
    ...(isBetter
      ? noStall
      : { stalledMs: readings.stalledMs ?? 0, stalledLaps: readings.stalledLaps + (readings.stalledMs === null ? 0 : 1) }),
  };
}

function isLess(value: number, than: number): boolean {
  return value < than * (1 - betterShare);
}

function least(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}

/** Where rounds are not counted, what looked like one may have been an odd reading of the first pass, in which ever less is left. */
function withLeast(readings: Readings): Readings {
  const remaining = readings.remainingBytes;
  if (readings.knowsIteration || remaining === null || remaining >= readings.leastBytes * 0.99) return readings;
  return { ...readings, leastBytes: remaining, ...(readings.stalledMs === null ? {} : { ...noStall, stalledMs: 0 }) };
}

function withStage(readings: Readings, stage: TransferStage, before: Readings): Readings {
  if (stage !== 'stopped') return { ...readings, stage, stoppedAtMs: null };
  const ranBefore = before.stage !== 'stopped' && before.remainingBytes !== null;
  return { ...readings, stage, stoppedAtMs: ranBefore ? readings.timeMs : before.stoppedAtMs };
}
