/**
 * Whether what a host says of itself is believed. A host whose samples cannot be true is quarantined: neither source nor target, until
 * enough samples in a row were clean. One that does it again and again has to be clean for longer, up to a limit.
 *
 *   believed --doubt--> quarantined --clean samples in a row--> believed
 *                         ^      | doubt: the row begins anew
 *                         +------+
 */
import type { HostCapacity } from '#core/model/host.ts';
import type { Sample } from '#core/model/sample.ts';
import type { Quarantine } from '#core/model/snapshot.ts';
import { isDoubt, type RejectionCounts, type SampleRejection } from './rejection.ts';

export interface TrustLimits {
  /** Clean samples in a row that end a first quarantine. */
  readonly cleanSamplesMin: number;
  /** Each quarantine that follows asks for twice as many, never for more than this. */
  readonly cleanSamplesMax: number;
  /** So many clean samples after a quarantine, and the next one counts as a first one again. */
  readonly forgottenAfterSamples: number;
}

export const defaultTrustLimits: TrustLimits = { cleanSamplesMin: 5, cleanSamplesMax: 80, forgottenAfterSamples: 1200 };

export interface HostTrust {
  readonly rejected: RejectionCounts;
  /** What the newest sample said, taken or not, and which agent process that was. */
  readonly said: { readonly bootId: string; readonly capacity: HostCapacity } | null;
  readonly quarantine: Quarantine | null;
  /** Clean samples since the newest doubt. */
  readonly cleanInARow: number;
  /** What this quarantine, or the next one, asks for. */
  readonly cleanSamplesAsked: number;
}

export function newTrust(limits: TrustLimits = defaultTrustLimits): HostTrust {
  return { rejected: {}, said: null, quarantine: null, cleanInARow: 0, cleanSamplesAsked: limits.cleanSamplesMin };
}

/** After a sample that was taken. */
export function afterClean(trust: HostTrust, sample: Sample, limits: TrustLimits = defaultTrustLimits): HostTrust {
  const cleanInARow = Math.min(trust.cleanInARow + 1, limits.forgottenAfterSamples);
  const said = { bootId: sample.bootId, capacity: sample.host.capacity };
  if (trust.quarantine === null) {
    const isForgotten = cleanInARow >= limits.forgottenAfterSamples;
    return { ...trust, said, cleanInARow, cleanSamplesAsked: isForgotten ? limits.cleanSamplesMin : trust.cleanSamplesAsked };
  }
  const left = trust.cleanSamplesAsked - cleanInARow;
  if (left > 0) return { ...trust, said, cleanInARow, quarantine: { ...trust.quarantine, cleanSamplesLeft: left } };
  return {
    ...trust,
    said,
    cleanInARow,
    quarantine: null,
    cleanSamplesAsked: Math.min(limits.cleanSamplesMax, trust.cleanSamplesAsked * 2),
  };
}

/** After a sample that was not taken. One that was only late is counted and leaves the rest as it is. */
export function afterRejection(trust: HostTrust, sample: Sample, rejection: SampleRejection, atMs: number): HostTrust {
  const { reason } = rejection;
  const rejected = { ...trust.rejected, [reason]: (trust.rejected[reason] ?? 0) + 1 };
  if (!isDoubt(rejection)) return { ...trust, rejected };
  return { ...afterDoubt(trust, rejection, atMs), rejected, said: { bootId: sample.bootId, capacity: sample.host.capacity } };
}

/** Somebody else's sample has cast a doubt on this host. */
export function afterDoubt(trust: HostTrust, { reason, message }: SampleRejection, atMs: number): HostTrust {
  const sinceMs = trust.quarantine?.sinceMs ?? atMs;
  const quarantine = { code: reason, message, sinceMs, cleanSamplesLeft: trust.cleanSamplesAsked };
  return { ...trust, quarantine, cleanInARow: 0 };
}

export function rejectedTotal({ rejected }: HostTrust): number {
  return Object.values(rejected).reduce((sum, amount) => sum + amount, 0);
}
