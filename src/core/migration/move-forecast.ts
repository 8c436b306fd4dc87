/** What a move would send and how long that takes, said without looking at the VM or the channel anew: for planning. */
import type { MemoryActivity } from '#core/model/forecast.ts';
import type { MoveCost } from '#core/model/plan.ts';
import type { PairBandwidth } from '#core/model/snapshot.ts';
import { type ChoicePolicy, plainOptions } from './choice-options.ts';
import { handOverMs } from './downtime-limit.ts';
import { amount } from './forecast-activity.ts';
import { noCorrections } from './forecast-corrections.ts';
import { predict } from './prediction.ts';

export type MoveForecast = Pick<MoveCost, 'bytes' | 'bytesBy' | 'durationMs' | 'downtimeMs'>;

/** The channel of two hosts, or what one is taken to be. */
export type MoveChannel = Pick<PairBandwidth, 'bytesPerSecond' | 'factors'>;

export interface MoveForecastInput {
  /** All that the VM may use. */
  readonly memoryBytes: number;
  readonly activity: MemoryActivity | null;
  readonly channel: MoveChannel | null;
  readonly policy: ChoicePolicy;
  /** The migration will be held to this; 0: to what the policy says. */
  readonly downtimeMsMax: number;
}

/** What a migration is asked for, so that it keeps to what the VM's class bears; nothing where the policy keeps to less anyway. */
export function wishOfClass(downtimeMsMax: number, { migration }: Pick<ChoicePolicy, 'migration'>): { readonly downtimeMsMax?: number } {
  const { downtimeMsBudget, stopMsMax } = migration.pilot;
  return downtimeMsMax > 0 && downtimeMsMax < Math.max(downtimeMsBudget, stopMsMax) ? { downtimeMsMax } : {};
}

const streams = { max: 1, reason: '' };

/**
 * A pre-copy, by the same model as the forecast of a migration that is about to begin. Of a VM whose memory was not looked at all is taken to be
 * sent once, and its downtime is not known; without a channel neither is the duration, and what is written again counts once. Total for all numbers.
 */
export function forecastOfMove({ memoryBytes, activity, channel, policy, downtimeMsMax }: MoveForecastInput): MoveForecast {
  if (activity === null)
    return { bytes: memoryBytes, bytesBy: 'memory', durationMs: onceMs(memoryBytes, channel, policy), downtimeMs: null };
  if (channel === null) {
    const bytes = amount(activity.usedBytes ?? memoryBytes, memoryBytes) + amount(activity.workingSetBytes, memoryBytes);
    return { bytes, bytesBy: 'activity', durationMs: null, downtimeMs: null };
  }
  const { total, downtime, bytes } = channel.factors;
  const wish = { method: 'auto', ...wishOfClass(downtimeMsMax, policy) } as const;
  const options = plainOptions('pre-copy', { wish, policy, streams });
  const bandwidth = { bytesPerSecond: channel.bytesPerSecond, measuredAtMs: 0, by: 'stream' } as const;
  const predicted = predict(options, { memoryBytes, activity, bandwidth, corrections: { ...noCorrections, total, downtime, bytes } });
  return {
    bytes: predicted.bytes.expected,
    bytesBy: 'activity',
    durationMs: predicted.totalMs.expected,
    downtimeMs: predicted.downtimeMs.expected,
  };
}

function onceMs(memoryBytes: number, channel: MoveChannel | null, { migrationBandwidthBytesPerSecond: cap }: ChoicePolicy): number | null {
  if (channel === null) return null;
  const bytesPerSecond = Math.max(1, cap > 0 ? Math.min(cap, channel.bytesPerSecond) : channel.bytesPerSecond);
  return (memoryBytes / bytesPerSecond) * 1000 + handOverMs;
}
