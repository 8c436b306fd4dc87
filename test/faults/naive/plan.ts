/** Which faults the control arm plays, at which moments, how often and in which order. Pure. */
import type { Style } from './driver.ts';

/** `none`: that the driver can move a VM at all. A link that is dead stays dead for the rest of the trial. */
export const faults = ['none', 'link dead', 'kill destination qemu', 'link reset'] as const;
export type Fault = (typeof faults)[number];

/** The source's QEMU says that it has stopped the VM and sends the rest, or that the migration is completed. */
export const moments = ['stopped', 'completed'] as const;
export type Moment = (typeof moments)[number];

export interface Trial {
  readonly style: Style;
  readonly fault: Fault;
  readonly moment: Moment;
}

export const styles: readonly Style[] = ['naive', 'careful'];

/**
 * The same for both drivers, turn by turn, so that they meet the same circumstances: first one migration each that nothing interrupts, then
 * `interruptedPerStyle` interrupted ones each, every fault at every moment in turn.
 */
export function planTrials(interruptedPerStyle: number): readonly Trial[] {
  const both = (fault: Fault, moment: Moment): readonly Trial[] => styles.map((style) => ({ style, fault, moment }));
  const cases = moments.flatMap((moment) => faults.flatMap((fault) => (fault === 'none' ? [] : [{ fault, moment }])));
  const interrupted = Array.from({ length: interruptedPerStyle }, (_, index) => cases[index % cases.length]);
  return [...both('none', 'completed'), ...interrupted.flatMap((one) => (one === undefined ? [] : both(one.fault, one.moment)))];
}
