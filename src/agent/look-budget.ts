/** How much looking at memory a host may do: what the looks of a turn cost, and for which VMs there is room. */
import type { VmView } from '#core/model/vm.ts';
import { lookAgeMsMax } from './kept-looks.ts';

/** The looks of one turn. Different lengths tell memory that is written on and on from a set that is written again and again. */
export const turnMs = [1_000, 4_000] as const;
export const turnPauseMsMin = 1_000;
/** QEMU hashes 512 pages of 4 KiB per GiB, before and after each look. */
const hashedShare = (2 * 512 * 4096) / 2 ** 30;
const hashedBytesPerMsMax = 2 ** 20 / 1000;
/** Turns at a VM, within the time that looks are kept for, that make enough looks. */
const turnsWanted = 2;

/** From the beginning of a turn at this VM to that of the next turn at any, so that no more is hashed than 1 MiB/s. */
export function turnPeriodMs({ memoryBytes }: Pick<VmView, 'memoryBytes'>): number {
  const shortestMs = turnPauseMsMin + turnMs.reduce((total, forMs) => total + forMs, 0);
  return Math.max(shortestMs, (memoryBytes * hashedShare * turnMs.length) / hashedBytesPerMsMax);
}

/**
 * The smallest VMs, as many as can have their turns often enough for their looks to add up, but one at least. Shared among more, the
 * looks at each would be too old before there are enough of them, and all of them for nothing.
 */
export function affordable(vms: readonly VmView[]): readonly VmView[] {
  let sumMs = 0;
  return vms
    .toSorted((a, b) => a.memoryBytes - b.memoryBytes)
    .filter((vm, index) => {
      sumMs += turnPeriodMs(vm);
      return index === 0 || sumMs <= lookAgeMsMax / turnsWanted;
    });
}
