import type { ScenarioEvent } from './scenario.ts';

export type At = ScenarioEvent['at'];
export type Moment = Exclude<At, number>;

/** The next time that a migration of this VM gets there, or a little later. The name is checked where scenarios are. */
export function momentOf(vm: string, reaches: string, plusSeconds = 0): Moment {
  return { vm, reaches, ...(plusSeconds === 0 ? {} : { plusSeconds }) } as Moment;
}

/** The same, this much later. */
export function after(moment: Moment, seconds: number): Moment {
  return { ...moment, plusSeconds: tenth((moment.plusSeconds ?? 0) + seconds) };
}

/** Sums of tenths are not tenths. */
export function tenth(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}
