import type { Step } from './balancer.ts';
import { gibibyte } from './physics.ts';

const hourSeconds = 3600;
/** A VM that comes back to a host that it left less than this ago has moved for nothing. */
const returnSecondsMax = 3600;

/** What one run of one balancer came to. */
export interface Outcome {
  /** Hosts that were asked for more CPU than they have, migrations' own work included. */
  readonly overloadedHostHours: number;
  readonly overloadedPercent: number;
  /** CPU that VMs asked for and did not get. */
  readonly unservedCoreHours: number;
  readonly migrations: number;
  readonly migratedGib: number;
  readonly returns: number;
  readonly movesPerVmMax: number;
  readonly refusedSteps: number;
  /** Of the balancer itself. */
  readonly cpuSeconds: number;
}

/** Counts while the cluster is played. */
export class Tally {
  #hostSeconds = 0;
  #overloadedHostSeconds = 0;
  #unservedCoreSeconds = 0;
  #servedCoreSeconds = 0;
  #migratedBytes = 0;
  #returns = 0;
  #refusedSteps = 0;
  readonly #leftAtSeconds = new Map<string, number>();
  readonly #moves = new Map<string, number>();

  /** Time passed on one host: its VMs asked for so many cores together and got this share of them. */
  passed(seconds: number, vmCores: number, share: number): void {
    this.#hostSeconds += seconds;
    if (share < 1) this.#overloadedHostSeconds += seconds;
    this.#servedCoreSeconds += vmCores * share * seconds;
    this.#unservedCoreSeconds += vmCores * (1 - share) * seconds;
  }

  moved({ vmId, fromHostId, toHostId }: Step, bytes: number, atSeconds: number): void {
    const leftAtSeconds = this.#leftAtSeconds.get(`${vmId} ${toHostId}`) ?? Number.NEGATIVE_INFINITY;
    if (atSeconds - leftAtSeconds < returnSecondsMax) this.#returns += 1;
    this.#leftAtSeconds.set(`${vmId} ${fromHostId}`, atSeconds);
    this.#moves.set(vmId, (this.#moves.get(vmId) ?? 0) + 1);
    this.#migratedBytes += bytes;
  }

  refused(): void {
    this.#refusedSteps += 1;
  }

  get servedCoreHours(): number {
    return this.#servedCoreSeconds / hourSeconds;
  }

  outcome(cpuSeconds: number): Outcome {
    const moves = [...this.#moves.values()];
    return {
      overloadedHostHours: this.#overloadedHostSeconds / hourSeconds,
      overloadedPercent: this.#hostSeconds > 0 ? (this.#overloadedHostSeconds / this.#hostSeconds) * 100 : 0,
      unservedCoreHours: this.#unservedCoreSeconds / hourSeconds,
      migrations: moves.reduce((sum, count) => sum + count, 0),
      migratedGib: this.#migratedBytes / gibibyte,
      returns: this.#returns,
      movesPerVmMax: Math.max(0, ...moves),
      refusedSteps: this.#refusedSteps,
      cpuSeconds,
    };
  }
}
