/**
 * How long a VM may stand still is one thing, and the limit that QEMU is told another: QEMU stops the VM when it expects what is left
 * to take no longer than the limit, by a bandwidth that counts what socket buffers took, and the hand-over comes on top.
 *
 * Measured with QEMU 7.2 and libvirt 9.0 over a link of 100 Mbit/s: told 1500 ms, a guest that wrote 20 MiB/s stood still for 1578 to
 * 2153 ms; told 300 ms, an idle one for 311 to 512 ms. Without the hand-over that is at most 1.36 times the limit.
 */
import { amount } from './forecast-activity.ts';

/**
 * Stop, device state, start on the other side. Measured with QEMU 7.2 and libvirt 9.0 over a plain channel so fast that nothing else
 * was left to send (idle VM of 512 MiB): 120 ms. Each pair's own figure is learned from its history.
 */
export const handOverMs = 120;
/** What is sent while the VM stands still takes up to so many times the limit. */
export const limitStretch = 1.4;
/** Where the hand-over takes all there is, some limit must be set all the same. */
const shareMin = 1 / 4;
const msMax = 2 ** 40;

/** In whole milliseconds. `stretch`: what was learned of a pair of hosts, in place of `limitStretch`. Total for all numbers. */
export function limitFor(standstillMs: number, stretch = limitStretch): number {
  const standstill = amount(standstillMs, msMax);
  if (standstill < 1) return 0;
  return Math.max(1, Math.floor(Math.max(standstill * shareMin, (standstill - handOverMs) / Math.max(1, amount(stretch, msMax)))));
}

/** How long the VM stands still when QEMU uses the limit up. */
export function standstillAt(limitMs: number, stretch = limitStretch): number {
  return amount(limitMs, msMax) * Math.max(1, amount(stretch, msMax)) + handOverMs;
}

/** By what a limit was stretched; null where it does not tell. Less than 1 is the luck of what was left just then. */
export function stretchOf(downtimeMs: number, limitMs: number): number | null {
  const stretch = (downtimeMs - handOverMs) / limitMs;
  return limitMs > 0 && Number.isFinite(stretch) ? Math.max(1, stretch) : null;
}
