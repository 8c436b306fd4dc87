import type { MeasuredBandwidth } from '#core/model/forecast.ts';
import { limitStretch } from './downtime-limit.ts';

/** What earlier migrations say about the model's figures. Factors are multiplied; a spread s makes the range from x / s to x s. */
export interface Corrections {
  /** What a migration gets of the bandwidth that was measured, by how it was measured. Applied before the model, so that rounds change with it. */
  readonly bandwidth: Readonly<Record<MeasuredBandwidth['by'], number>>;
  /** Applied to the model's figures. */
  readonly total: number;
  readonly downtime: number;
  readonly bytes: number;
  readonly totalSpread: number;
  readonly downtimeSpread: number;
  readonly bytesSpread: number;
  /** What is sent while the VM stands still takes up to so many times the limit that the hypervisor was told. */
  readonly limitStretch: number;
  /** Migrations that went into it: of this pair of hosts, or of all pairs. */
  readonly from: number;
  readonly scope: 'pair' | 'method' | 'none';
}

/**
 * Without history. The spreads are wide on purpose: the fixed part of the downtime differs between hosts by more than a factor of two,
 * and the rest at the time of stopping is anything up to the limit.
 */
export const noCorrections: Corrections = {
  bandwidth: { stream: 1, migration: 1 },
  total: 1,
  downtime: 1,
  bytes: 1,
  totalSpread: 1.5,
  downtimeSpread: 2.5,
  bytesSpread: 1.5,
  limitStretch,
  from: 0,
  scope: 'none',
};
