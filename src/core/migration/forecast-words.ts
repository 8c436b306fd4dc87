/** Figures of a forecast as they stand in reasons. */
import type { Prediction } from '#core/model/forecast.ts';
import type { TransferOptions } from '#core/model/method.ts';
import { size, span } from './autopilot-words.ts';

/** `the VM writes 4 MiB/s into 30 MiB, the channel carries 12.5 MiB/s`. */
export function pace({ activity, bandwidth }: Prediction, options: TransferOptions): string {
  const cap = options.bandwidthBytesPerSecond;
  const capped = cap > 0 && cap < bandwidth.bytesPerSecond;
  const carries = capped
    ? `${rateOf(cap)} of the channel's ${rateOf(bandwidth.bytesPerSecond)} may be used`
    : `the channel carries ${rateOf(bandwidth.bytesPerSecond)}`;
  if (activity.dirtyBytesPerSecond < 1) return `the VM writes nothing, ${carries}`;
  return `the VM writes ${rateOf(activity.dirtyBytesPerSecond)} into ${size(activity.workingSetBytes)}, ${carries}`;
}

/** `about 9.1 s in all, 420 ms of them stopped`. */
export function outlook(prediction: Prediction): string {
  return `about ${span(prediction.totalMs.expected)} in all, ${span(prediction.downtimeMs.expected)} of them stopped`;
}

/** `pre-copy`, `pre-copy, slowed down from 20 %, 2 streams, xbzrle, downtime limit 640 ms`. */
export function optionWords(options: TransferOptions): string {
  const { method, autoConverge, streams, compression } = options;
  const words: string[] = [method];
  if (autoConverge !== null) words.push(`slowed down from ${autoConverge.initialPercent} %`);
  if (streams > 1) words.push(`${streams} streams`);
  if (compression !== 'none') words.push(compression);
  if (method === 'pre-copy' || method === 'hybrid') words.push(`downtime limit ${span(options.downtimeMsMax)}`);
  return words.join(', ');
}

function rateOf(bytesPerSecond: number): string {
  return `${size(bytesPerSecond)}/s`;
}
