/**
 * How often a VM's load was where, as counts over bins of its share of its virtual CPUs (1 = all of them busy). Plain data of a fixed
 * size: when the counts reach a limit all are halved, so that the past fades and they stay small whole numbers.
 */
export type ShareHistogram = readonly number[];

/** Lower edges: fine where VMs mostly are. The last bin reaches to what an emulator's own threads may add. */
const edges: readonly number[] = [0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.11, 0.15, 0.2, 0.27, 0.36, 0.48, 0.62, 0.8, 1];
const topEdge = 1.5;

export const emptyHistogram: ShareHistogram = edges.map(() => 0);

export function countedAmount(histogram: ShareHistogram): number {
  let sum = 0;
  for (const count of histogram) sum += count;
  return sum;
}

/** With one more; halved when they have become `most`. */
export function counted(histogram: ShareHistogram, share: number, most: number): ShareHistogram {
  const next = histogram.slice();
  const bin = binOf(share);
  next[bin] = (next[bin] ?? 0) + 1;
  if (countedAmount(next) < most) return next;
  return next.map((count) => count >> 1);
}

/** The part of all counts that lies below `share`, 0 to 1, linear within a bin; 0 for an empty one. */
export function rankOf(histogram: ShareHistogram, share: number): number {
  const all = countedAmount(histogram);
  if (all === 0) return 0;
  const bin = binOf(share);
  let below = 0;
  for (let index = 0; index < bin; index += 1) below += histogram[index] ?? 0;
  const [from, to] = boundsOf(bin);
  const within = Math.min(1, Math.max(0, (share - from) / (to - from)));
  return (below + (histogram[bin] ?? 0) * within) / all;
}

/**
 * The share that this part (0 to 1) of the counts lies below, linear within a bin, of `first` together with `second`, whose counts weigh
 * as many as `secondWeight` in all; null when both are empty.
 */
export function quantileOf(part: number, first: ShareHistogram, second: ShareHistogram, secondWeight: number): number | null {
  const firstAmount = countedAmount(first);
  const secondAmount = countedAmount(second);
  const each = secondAmount === 0 ? 0 : secondWeight / secondAmount;
  const wanted = part * (firstAmount + secondAmount * each);
  if (firstAmount + secondAmount === 0) return null;
  let below = 0;
  for (let bin = 0; bin < edges.length; bin += 1) {
    const weight = (first[bin] ?? 0) + (second[bin] ?? 0) * each;
    if (weight > 0 && below + weight >= wanted) {
      const [from, to] = boundsOf(bin);
      return from + ((to - from) * Math.max(0, wanted - below)) / weight;
    }
    below += weight;
  }
  return topEdge;
}

function binOf(share: number): number {
  let [low, high] = [0, edges.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (share >= (edges[middle] ?? 0)) low = middle;
    else high = middle - 1;
  }
  return low;
}

function boundsOf(bin: number): readonly [number, number] {
  return [edges[bin] ?? 0, edges[bin + 1] ?? topEdge];
}
