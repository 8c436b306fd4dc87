/** Which transfers can be considered at all: the wish, the policy and what the channel bears, before any figure. */
import type { AutoConverge, Method, MethodWish, PilotPolicy, Rung, TransferOptions } from '#core/model/method.ts';
import { type MigrationPolicy, pilotPolicyOf, type Policy } from '#core/model/policy.ts';
import type { Refusal } from '#core/model/result.ts';
import { limitFor } from './downtime-limit.ts';

export type ChoicePolicy = Pick<Policy, 'downtimeMsMax' | 'migrationBandwidthBytesPerSecond'> & { readonly migration: MigrationPolicy };

/** The most TCP connections that one transfer may have through this channel, and why no more. */
export interface StreamLimit {
  readonly max: number;
  readonly reason: string;
}

export interface Asked {
  readonly wish: MethodWish;
  readonly policy: ChoicePolicy;
  readonly streams: StreamLimit;
}

/** QEMU's own defaults. */
const autoConvergeDefault: AutoConverge = { initialPercent: 20, incrementPercent: 10 };

/** Another preset than the policy's brings its ladder, budget and longest stop; whether post-copy is allowed is the operator's word alone. */
export function presetFor({ wish, policy }: Asked): PilotPolicy {
  const own = policy.migration.pilot;
  if (wish.preset === undefined || wish.preset === own.preset) return own;
  const { allowPostCopy, patienceMs, switchOverMsMax } = own;
  return { ...pilotPolicyOf(wish.preset), allowPostCopy, patienceMs, switchOverMsMax };
}

/** What the autopilot may do in this transfer. A rung that cannot be taken here, or that the wish has settled itself, is left out. */
export function pilotFor(asked: Asked): PilotPolicy {
  const { wish, streams } = asked;
  const pilot = presetFor(asked);
  const ladder = pilot.ladder.filter((rung) => isOpen(rung, wish, pilot, streams));
  const { downtimeMsMax } = wish;
  if (downtimeMsMax === undefined) return { ...pilot, ladder };
  return { ...pilot, ladder, downtimeMsBudget: downtimeMsMax, stopMsMax: Math.min(pilot.stopMsMax, downtimeMsMax) };
}

function isOpen(rung: Rung, wish: MethodWish, pilot: PilotPolicy, streams: StreamLimit): boolean {
  switch (rung.kind) {
    case 'streams':
      return wish.streams === undefined && rung.streams <= streams.max;
    case 'compress':
      return wish.compression === undefined;
    case 'auto-converge':
      return wish.autoConverge === undefined;
    case 'raise-downtime':
      return wish.downtimeMsMax === undefined;
    case 'post-copy':
      return pilot.allowPostCopy;
    case 'stop-and-copy':
      return pilot.stopMsMax > 0;
    default:
      return rung satisfies never;
  }
}

/** For how long the VM may stand still to begin with; the autopilot may go on to its budget. */
export function standstillFor({ wish, policy }: Pick<Asked, 'wish' | 'policy'>): number {
  return wish.downtimeMsMax ?? policy.downtimeMsMax;
}

/** What the wish says, and for a pre-copy what the policy adds to it. */
export function optionsFor(method: Method, asked: Asked): TransferOptions {
  const { wish, policy, streams } = asked;
  const inPolicy = method === 'pre-copy' ? policy.migration : { streams: 1, compression: 'none' as const };
  return {
    ...plainOptions(method, asked),
    streams: wish.streams ?? Math.max(1, Math.min(inPolicy.streams, streams.max)),
    compression: wish.compression ?? inPolicy.compression,
  };
}

/** As `optionsFor`, without what only the policy adds. */
export function plainOptions(method: Method, { wish, policy }: Asked): TransferOptions {
  const rung = policy.migration.pilot.ladder.find((step) => step.kind === 'auto-converge');
  const { initialPercent, incrementPercent } = rung ?? autoConvergeDefault;
  return {
    method,
    autoConverge: wish.autoConverge === true ? { initialPercent, incrementPercent } : null,
    streams: wish.streams ?? 1,
    compression: wish.compression ?? 'none',
    bandwidthBytesPerSecond: wish.bandwidthBytesPerSecond ?? policy.migrationBandwidthBytesPerSecond,
    downtimeMsMax: limitFor(standstillFor({ wish, policy })),
  };
}

/** Null when the rung changes none of the options. */
export function withRung(options: TransferOptions, rung: Rung): TransferOptions | null {
  switch (rung.kind) {
    case 'streams':
      return options.streams >= rung.streams ? null : { ...options, streams: rung.streams };
    case 'compress':
      return options.compression === rung.compression ? null : { ...options, compression: rung.compression };
    case 'auto-converge': {
      const { initialPercent, incrementPercent } = rung;
      return options.autoConverge === null ? { ...options, autoConverge: { initialPercent, incrementPercent } } : null;
    }
    case 'raise-downtime':
    case 'post-copy':
    case 'stop-and-copy':
      return null;
    default:
      return rung satisfies never;
  }
}

/** The options with each rung of the ladder by itself, in its order; last with all of them, where that is more than one. */
export function rungOptions(options: TransferOptions, ladder: readonly Rung[]): readonly TransferOptions[] {
  const single = ladder.flatMap((rung) => withRung(options, rung) ?? []);
  const all = ladder.reduce((merged, rung) => withRung(merged, rung) ?? merged, options);
  return single.length > 1 ? [...single, all] : single;
}

/** All that `choosePlan` may want to know of the hypervisor: one of each kind, whatever the limits of time and bandwidth. */
export function candidateOptions(asked: Asked): readonly TransferOptions[] {
  const { method } = asked.wish;
  if (method !== 'auto' && method !== 'pre-copy') return [optionsFor(method, asked)];
  const pilot = pilotFor(asked);
  const pre = [optionsFor('pre-copy', asked), plainOptions('pre-copy', asked)];
  const candidates = pre.flatMap((options) => [options, ...rungOptions(options, pilot.ladder)]);
  if (method === 'auto') candidates.push(plainOptions('hybrid', asked), plainOptions('stop-and-copy', asked));
  return [...new Map(candidates.map((options) => [shapeOf(options), options])).values()];
}

/** Makes the function that `choosePlan` takes from the hypervisor's answers to `candidateOptions`. */
export function faultsFrom(
  answers: readonly { readonly options: TransferOptions; readonly fault: Refusal | null }[],
): (options: TransferOptions) => Refusal | null {
  const faults = new Map(answers.map(({ options, fault }) => [shapeOf(options), fault]));
  return (options) => {
    const fault = faults.get(shapeOf(options));
    if (fault !== undefined) return fault;
    return { code: 'method-unsupported', message: `the hypervisor was not asked whether it can do ${options.method}: ask again` };
  };
}

/** Two options of one shape are the same to a hypervisor that is asked whether it can do them. */
function shapeOf({ method, autoConverge, streams, compression }: TransferOptions): string {
  return [method, autoConverge !== null, streams, compression].join(' ');
}
