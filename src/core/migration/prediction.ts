/** What a transfer will cost, said before its first byte: the model of `forecast-model.ts`, corrected by what happened earlier. */
import type { MeasuredBandwidth, MemoryActivity, Prediction, Range } from '#core/model/forecast.ts';
import type { TransferOptions } from '#core/model/method.ts';
import { loadOf } from './forecast-activity.ts';
import type { Corrections } from './forecast-corrections.ts';
import { costOf } from './forecast-model.ts';

export { activityFrom } from './forecast-activity.ts';

/** What is measured before a transfer. */
export interface ForecastFacts {
  /** All memory of the VM, pages of zeroes included. */
  readonly memoryBytes: number;
  readonly activity: MemoryActivity;
  readonly bandwidth: MeasuredBandwidth;
}

/** How much less than all its memory a VM may use when nobody knows: widens the lower end only. */
const unknownUseSpread = 4;

/**
 * Total for all numbers: every figure is finite and none negative, low <= expected <= high. Of a pre-copy that does not converge the
 * figures say what it would cost to stop the VM in the end all the same.
 */
export function predict(options: TransferOptions, facts: ForecastFacts & { readonly corrections: Corrections }): Prediction {
  const { memoryBytes, activity, bandwidth, corrections } = facts;
  const cost = costOf(options, loadOf(memoryBytes, activity), bandwidth.bytesPerSecond * corrections.bandwidth[bandwidth.by]);
  const widen = activity.usedBytes === null ? unknownUseSpread : 1;
  const totalMs = rangeOf(cost.totalMs * corrections.total, corrections.totalSpread, widen);
  const downtimeMs = rangeOf(cost.downtimeMs * corrections.downtime, corrections.downtimeSpread, stopsVm(options) ? widen : 1);
  return {
    method: options.method,
    totalMs,
    downtimeMs: noLongerThan(downtimeMs, totalMs),
    bytes: rangeOf(cost.bytes * corrections.bytes, corrections.bytesSpread, widen),
    rounds: cost.rounds,
    converges: cost.converges,
    memoryBytes,
    activity,
    bandwidth,
    correctedBy: corrections.from,
  };
}

/** The VM stands still from the first byte to the last. */
export function stopsVm(options: Pick<TransferOptions, 'method'>): boolean {
  return options.method === 'stop-and-copy' || options.method === 'save-restore';
}

function rangeOf(expected: number, spread: number, widen: number): Range {
  return { low: expected / spread / widen, expected, high: expected * spread };
}

/** Both were corrected each for itself. */
function noLongerThan(range: Range, limit: Range): Range {
  return {
    low: Math.min(range.low, limit.low),
    expected: Math.min(range.expected, limit.expected),
    high: Math.min(range.high, limit.high),
  };
}
