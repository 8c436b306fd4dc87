/** Facts and transfers for tests. */
import type { MemoryActivity } from '#core/model/forecast.ts';
import type { TransferOptions } from '#core/model/method.ts';
import type { PastTransfer } from './past-transfer.ts';
import { noCorrections } from './forecast-corrections.ts';
import { type ForecastFacts, predict } from './prediction.ts';

export const mebibyte = 2 ** 20;

export function exampleOptions(changes: Partial<TransferOptions> = {}): TransferOptions {
  return {
    method: 'pre-copy',
    autoConverge: null,
    streams: 1,
    compression: 'none',
    bandwidthBytesPerSecond: 0,
    downtimeMsMax: 300,
    ...changes,
  };
}

/** In MiB and MiB/s. */
export interface ExampleVm {
  readonly memory?: number;
  readonly used?: number | null;
  readonly dirty?: number;
  readonly workingSet?: number;
  readonly channel?: number;
}

/** 512 MiB, half of it used, idle, and a channel of 32 MiB/s, unless said otherwise. */
export function exampleFacts({ memory = 512, used = 256, dirty = 0, workingSet = dirty, channel = 32 }: ExampleVm = {}): ForecastFacts {
  const activity: MemoryActivity = {
    measuredAtMs: 0,
    measuredForMs: 4000,
    usedBytes: used === null ? null : used * mebibyte,
    dirtyBytesPerSecond: dirty * mebibyte,
    workingSetBytes: workingSet * mebibyte,
  };
  return {
    memoryBytes: memory * mebibyte,
    activity,
    bandwidth: { bytesPerSecond: channel * mebibyte, measuredAtMs: 0, by: 'stream' },
  };
}

/** A transfer that took what the model says of `really`, times the factors, while `facts` had been measured. */
export function examplePast(
  facts: ForecastFacts,
  { options = exampleOptions(), really = facts, total = 1, downtime = total, endedAtMs = 0, toHostId = 'b' }: PastChanges = {},
): PastTransfer {
  const happened = predict(options, { ...really, corrections: noCorrections });
  return {
    pair: { fromHostId: 'a', toHostId },
    endedAtMs,
    options,
    prediction: predict(options, { ...facts, corrections: noCorrections }),
    totalMs: happened.totalMs.expected * total,
    downtimeMs: happened.downtimeMs.expected * downtime,
    bytes: happened.bytes.expected,
    limitMs: options.downtimeMsMax,
    asPlanned: true,
  };
}

export interface PastChanges {
  readonly options?: TransferOptions;
  readonly really?: ForecastFacts;
  readonly total?: number;
  readonly downtime?: number;
  readonly endedAtMs?: number;
  readonly toHostId?: string;
}
