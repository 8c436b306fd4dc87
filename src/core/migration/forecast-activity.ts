/**
 * How fast a VM makes its memory different from what was sent. A VM writes the same pages again and again: its writable working
 * set (Clark et al., "Live Migration of Virtual Machines", NSDI 2005). Of a set of W bytes, written with d bytes/s, the distinct
 * bytes that differ after t seconds are
 *
 *     D(t) = min(d t, W)               where it is gone through page after page
 *     D(t) = W (1 - exp(-d t / W))     where it is written at random places
 *
 * Two looks give two figures, which fit either way, so they cannot tell the two apart. A forecast takes the first, with d the figure of
 * a one-second look, and W fitted by the second, which finds the larger set. Against pre-copies calculated page by page (128 and
 * 256 MiB, 2 to 15 MiB/s, sets of 24 to 150 MiB, channels of 7 to 23 MiB/s) the median error of the total from exact looks was 0.3 %
 * for a VM of the first kind, and 7.4 % too long for one of the second; with the second formula 4.1 % and 0.1 %. From looks as coarse
 * as QEMU's (2 MiB a step) both are off by 12 to 18 %, but the second says of 41 or 42 in 180 that they would not end, which do, and the
 * first of 7 to 12: from looks that found nearly the same the second infers a rate far above what was seen.
 */
import type { MemoryActivity } from '#core/model/forecast.ts';

/** What a transfer has to deal with. All finite, none negative: workingSetBytes <= usedBytes <= memoryBytes. */
export interface MemoryLoad {
  readonly memoryBytes: number;
  readonly usedBytes: number;
  readonly workingSetBytes: number;
  /** d of the formula, as found in a second. */
  readonly writtenBytesPerSecond: number;
}

/** What one look of `forMs` at the VM's memory found: the distinct bytes that were written meanwhile. */
export interface MemoryLook {
  readonly forMs: number;
  readonly bytes: number;
}

/** More than any VM has, and small enough that all arithmetic on it stays finite. */
const memoryBytesMax = 2 ** 60;
/** In units of the shorter look: below this a fit cannot be told from W without end, above it not from a set written at once. */
const fitMin = 1e-3;
/** Standard deviations that a normal distribution exceeds, on one side, in one case of ten. */
const oneInTen = 1.28;
const fitMax = 20;

export function loadOf(memoryBytes: number, activity: MemoryActivity): MemoryLoad {
  const memory = amount(memoryBytes, memoryBytesMax);
  const used = activity.usedBytes === null ? memory : amount(activity.usedBytes, memory);
  const inOneSecond = amount(activity.dirtyBytesPerSecond, used);
  const workingSet = Math.max(inOneSecond, amount(activity.workingSetBytes, used));
  return {
    memoryBytes: memory,
    usedBytes: used,
    workingSetBytes: workingSet,
    writtenBytesPerSecond: inOneSecond,
  };
}

/** Distinct bytes that are written in `seconds`, when `share` (0 to 1) of the VM's speed is left to it. */
export function dirtiedBytes(load: MemoryLoad, seconds: number, share = 1): number {
  return Math.min(load.workingSetBytes, load.writtenBytesPerSecond * share * seconds);
}

/**
 * Fits d and W of the formula for random places to two looks of different length: of R = D(t2) / D(t1), which falls from t2 / t1 (far from all of W) to 1 (all of
 * W) as d / W grows, follows d / W by bisection. Where the looks cannot tell, the answer is the worse one for a migration:
 * growth in proportion to time gives a set as large as `usedBytes` (where that is not known, 1000 times the shorter look). Bounding the
 * set by eight times what was found changed no verdict on whether a pre-copy ends, and made no total better by more than 1 %.
 * `grainBytes` is what one sampled page stands for: looks that found few of them scatter, and a longer one that by chance found little more
 * must not pass for a small set, which would make a forecast far too short. So a set smaller than `usedBytes` is taken only where chance
 * alone would show it in one case of ten. A look of less than 1 ms is no look. Looks that contradict the formula, such as a longer one that found less, are taken as its nearest case.
 */
export function activityFrom(
  one: MemoryLook,
  other: MemoryLook,
  usedBytes: number | null = null,
  grainBytes = 0,
): Pick<MemoryActivity, 'dirtyBytesPerSecond' | 'workingSetBytes'> {
  const looks = [one, other].filter((look) => look.forMs >= 1 && Number.isFinite(look.forMs)).toSorted((a, b) => a.forMs - b.forMs);
  const [short, long = short] = looks;
  if (short === undefined || long === undefined) return { dirtyBytesPerSecond: 0, workingSetBytes: 0 };
  const bound = usedBytes === null ? memoryBytesMax : amount(usedBytes, memoryBytesMax);
  const fit = showsSet(short, long, grainBytes) ? fitOf(short, long) : fitMin;
  // Of both looks together, so that noise in one of them counts less.
  const shares = [short, long].map((look) => -Math.expm1((-fit * look.forMs) / short.forMs));
  const found = amount(short.bytes, bound) + amount(long.bytes, bound);
  const fitted = found / sum(shares);
  const inOneSecond = fitted * -Math.expm1((-fit * 1000) / short.forMs);
  return { dirtyBytesPerSecond: Math.min(bound, inOneSecond), workingSetBytes: Math.min(bound, fitted) };
}

/**
 * Whether the shorter look has more of the hits than its share of the time explains. Hits of memory that is written on and on fall to
 * the two looks as a binomial distribution has it; by its normal approximation, with the correction for whole numbers.
 */
function showsSet(short: MemoryLook, long: MemoryLook, grainBytes: number): boolean {
  const grain = amount(grainBytes, memoryBytesMax);
  if (grain < 1 || long.forMs === short.forMs) return true;
  const hits = (amount(short.bytes, memoryBytesMax) + amount(long.bytes, memoryBytesMax)) / grain;
  const share = short.forMs / (short.forMs + long.forMs);
  const scatter = Math.sqrt(hits * share * (1 - share));
  return amount(short.bytes, memoryBytesMax) / grain - 0.5 - hits * share > oneInTen * scatter;
}

/** d / W in units of one per length of the shorter look. */
function fitOf(short: MemoryLook, long: MemoryLook): number {
  const times = long.forMs / short.forMs;
  const [found, foundLater] = [amount(short.bytes, memoryBytesMax), amount(long.bytes, memoryBytesMax)];
  if (foundLater <= found && times > 1) return fitMax;
  const growth = (fit: number): number => Math.expm1(-fit * times) / Math.expm1(-fit);
  let [low, high] = [fitMin, fitMax];
  for (let step = 0; step < 60; step += 1) {
    const middle = Math.sqrt(low * high);
    if (growth(middle) * found > foundLater) low = middle;
    else high = middle;
  }
  return low;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** What was measured may be nonsense; a forecast of it must still be a number. */
export function amount(value: number, max: number): number {
  return Number.isNaN(value) ? 0 : Math.min(max, Math.max(0, value));
}
