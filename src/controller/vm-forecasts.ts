/**
 * What each VM is expected to use, learnt from the samples of one planning round after the other. Kept in memory: it begins anew with each
 * start of the controller, and has learnt a VM's bursts after some hours and its days after two.
 */
import { bucketPhaseMs, hasHabit, nextVmForecast, vmForecastOf, type VmForecastState } from '#core/load/vm-forecast.ts';
import type { Sample } from '#core/model/sample.ts';
import type { VmForecast } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';

interface Watched {
  readonly phaseMs: number;
  state: VmForecastState | null;
  /** CPU of its samples since the last round. */
  coresSum: number;
  samples: number;
  vcpus: number;
  seenAtMs: number;
}

/** A VM that nobody has reported for so long is forgotten. */
const forgottenAfterMs = 24 * 3_600_000;

/** How the forecasts of all VMs came out. */
export interface ForecastSummary {
  readonly horizonMs: number;
  /** VMs with a forecast. */
  readonly vms: number;
  /** Those of them whose confidence is at least 50 %, and those whose days are known. */
  readonly confidentVms: number;
  readonly seasonalVms: number;
  /** Part of the readings that were not above the high figure, each VM counting the same; null before the first horizon has passed. */
  readonly hitPercent: number | null;
  /** Error of the mean figure, of that of "it stays as it is"; null where either is not known. */
  readonly errorOfNaivePercent: number | null;
}

const confidentPercent = 50;

export class VmForecasts {
  readonly #horizonMs: number;
  readonly #vms = new Map<VmId, Watched>();

  constructor(horizonMs: number) {
    this.#horizonMs = horizonMs;
  }

  /** Takes in the VMs of an accepted sample. */
  note({ vms }: Sample, nowMs: number): void {
    for (const { vmId, state, cpuUsedCores, vcpus } of vms) {
      if (state !== 'running' || cpuUsedCores === null) continue;
      const watched = this.#vms.get(vmId) ?? this.#watch(vmId);
      watched.coresSum += cpuUsedCores;
      watched.samples += 1;
      watched.vcpus = vcpus;
      watched.seenAtMs = nowMs;
    }
  }

  /** Once in each planning round. */
  nextRound(nowMs: number): void {
    for (const [vmId, watched] of this.#vms) {
      const { samples, coresSum, vcpus, state, phaseMs } = watched;
      if (nowMs - watched.seenAtMs > forgottenAfterMs) this.#vms.delete(vmId);
      if (samples === 0) continue;
      watched.state = nextVmForecast(state, { atMs: nowMs, usedCores: coresSum / samples, vcpus }, this.#horizonMs, phaseMs);
      watched.coresSum = 0;
      watched.samples = 0;
    }
  }

  /** Null where nothing is known yet. */
  of(vmId: VmId, vcpus: number): VmForecast | null {
    const state = this.#vms.get(vmId)?.state;
    return state ? vmForecastOf(state, vcpus, this.#horizonMs) : null;
  }

  summary(): ForecastSummary {
    let [vms, confidentVms, seasonalVms, scoredVms, hits, error, naiveError] = [0, 0, 0, 0, 0, 0, 0];
    for (const { state, vcpus } of this.#vms.values()) {
      const forecast = state && vmForecastOf(state, vcpus, this.#horizonMs);
      if (state === null || forecast === null) continue;
      const { record } = state.model;
      vms += 1;
      confidentVms += forecast.confidencePercent >= confidentPercent ? 1 : 0;
      seasonalVms += hasHabit(state) ? 1 : 0;
      if (record.scored === 0) continue;
      scoredVms += 1;
      hits += record.hits;
      error += record.error * vcpus;
      naiveError += record.naiveError * vcpus;
    }
    return {
      horizonMs: this.#horizonMs,
      vms,
      confidentVms,
      seasonalVms,
      hitPercent: scoredVms > 0 ? (100 * hits) / scoredVms : null,
      errorOfNaivePercent: naiveError > 0 ? (100 * error) / naiveError : null,
    };
  }

  #watch(vmId: VmId): Watched {
    const watched: Watched = { phaseMs: bucketPhaseMs(vmId), state: null, coresSum: 0, samples: 0, vcpus: 0, seenAtMs: 0 };
    this.#vms.set(vmId, watched);
    return watched;
  }
}
