import type { Random } from '#core/ports.ts';

/** A new list in random order (Fisher and Yates). */
export function shuffled<Value>(values: readonly Value[], random: Random): readonly Value[] {
  const result = [...values];
  for (let last = result.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random.fraction() * (last + 1));
    const moved = result.splice(other, 1);
    result.splice(last, 0, ...moved);
  }
  return result;
}
