import type { Method } from '#core/model/method.ts';

/** One migration of the grid. */
export interface Cell {
  readonly memoryMib: number;
  readonly dirtyMbPerSecond: number;
  readonly rate: string;
  readonly method: Method;
}

/** A guest uses about 60 MiB beside what its load writes to. */
export const guests: readonly { readonly memoryMib: number; readonly workingSetMib: number }[] = [
  { memoryMib: 128, workingSetMib: 48 },
  { memoryMib: 320, workingSetMib: 128 },
];
const dirtyRates: readonly number[] = [0, 2, 5];
/** Below what userspace ESP carries here, so that the link decides and not the processor. */
const rates: readonly string[] = ['60mbit', '100mbit'];
export const methods: readonly Method[] = ['pre-copy', 'stop-and-copy'];

/** For one size of memory: every dirty rate, link and method, in an order in which neighbours differ in all of them. */
export function cellsOf(memoryMib: number): readonly Cell[] {
  return methods.flatMap((method) =>
    rates.flatMap((rate) => dirtyRates.map((dirtyMbPerSecond) => ({ memoryMib, dirtyMbPerSecond, rate, method }))),
  );
}
