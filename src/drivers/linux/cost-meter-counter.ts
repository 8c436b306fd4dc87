/**
 * Adds up a counter that begins again at 0 with each new process, so that the sum only grows. Pure.
 */
export interface Counter {
  /** Of processes that are gone. */
  readonly before: number;
  /** Of the present one: which it is, and its newest value; null when there is none. */
  readonly present: { readonly id: string; readonly value: number } | null;
}

export const emptyCounter: Counter = { before: 0, present: null };

/** `reading` is null when there is no process now. A value that falls is a new process's, whatever its id. */
export function counted(counter: Counter, reading: Counter['present']): Counter {
  const { before, present } = counter;
  const goesOn = present !== null && reading !== null && reading.id === present.id && reading.value >= present.value;
  return { before: before + (present === null || goesOn ? 0 : present.value), present: reading };
}

export function sumOf({ before, present }: Counter): number {
  return before + (present?.value ?? 0);
}
