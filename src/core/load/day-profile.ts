/**
 * A VM's mean load by hour of the day (UTC), learnt over days. Nothing is claimed of an hour that was seen on fewer than two days: one
 * day's peak is not yet a habit. Plain data.
 */
export interface DayProfile {
  /** Mean share of the virtual CPUs in each hour. */
  readonly means: readonly number[];
  /** On how many days each hour was seen, counted up to `daysCounted`. */
  readonly days: readonly number[];
  /** The hour that goes on: since the epoch. */
  readonly hour: number;
  readonly sum: number;
  readonly readings: number;
}

const hoursOfDay = 24;
const hourMs = 3_600_000;
/** A habit of four days ago counts for a third of what it did. */
const daysCounted = 4;
const daysMin = 2;
/** Parts of the virtual CPUs: a habit cannot be known to more than that, and the state stays short. */
const grains = 10_000;

/** Before the first whole hour nothing is kept: most VMs of a young controller have no day yet. */
export const emptyProfile: DayProfile = { means: [], days: [], hour: 0, sum: 0, readings: 0 };

/** With one more mean, of the time around `atMs`. */
export function withReading(profile: DayProfile, atMs: number, share: number): DayProfile {
  const hour = Math.floor(atMs / hourMs);
  if (hour === profile.hour) return { ...profile, sum: profile.sum + share, readings: profile.readings + 1 };
  return { ...folded(profile), hour, sum: share, readings: 1 };
}

/** The hour that has ended becomes part of its habit. */
function folded(profile: DayProfile): Pick<DayProfile, 'means' | 'days'> {
  if (profile.readings === 0) return profile;
  const means = profile.means.length === 0 ? Array.from({ length: hoursOfDay }, () => 0) : profile.means.slice();
  const days = profile.days.length === 0 ? Array.from({ length: hoursOfDay }, () => 0) : profile.days.slice();
  const slot = profile.hour % hoursOfDay;
  const seen = days[slot] ?? 0;
  const before = means[slot] ?? 0;
  const mean = before + (profile.sum / profile.readings - before) / Math.min(seen + 1, daysCounted);
  means[slot] = Math.round(mean * grains) / grains;
  days[slot] = Math.min(seen + 1, daysCounted);
  return { means, days };
}

/** What this time of day usually is, linear between the middles of the hours; null where there is no habit yet. */
export function usualShare({ means, days }: DayProfile, atMs: number): number | null {
  if (means.length === 0) return null;
  const position = atMs / hourMs - 0.5;
  const before = Math.floor(position);
  const [first, second] = [slotOf(before), slotOf(before + 1)];
  if ((days[first] ?? 0) < daysMin || (days[second] ?? 0) < daysMin) return null;
  const [from, to] = [means[first] ?? 0, means[second] ?? 0];
  return from + (to - from) * (position - before);
}

function slotOf(hour: number): number {
  return ((hour % hoursOfDay) + hoursOfDay) % hoursOfDay;
}
