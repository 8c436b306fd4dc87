/** Figures and sentences of the autopilot, for an operator. */
import type { Readings } from './autopilot-readings.ts';

/** `11.2 MiB`, `640 KiB` or `3.4 GiB`. */
export function size(bytes: number): string {
  if (bytes < 2 ** 20) return `${Math.ceil(bytes / 2 ** 10)} KiB`;
  return bytes < 2 ** 30 ? `${oneDecimal(bytes / 2 ** 20)} MiB` : `${oneDecimal(bytes / 2 ** 30)} GiB`;
}

/** `640 ms`, `6.2 s` or `25 min`. */
export function span(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 600_000 ? `${oneDecimal(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
}

/** `the VM may stand still for 300 ms: QEMU is told 128 ms`. */
export function standing(standstillMs: number, limitMs: number): string {
  return `the VM may stand still for ${span(standstillMs)}: QEMU is told ${span(limitMs)}`;
}

function oneDecimal(value: number): string {
  return (Math.round(value * 10) / 10).toString();
}

/** `11.2 MiB are left after round 6, the VM writes 9.8 MiB/s, the channel carries 17.4 MiB/s`; what is not known is not said. */
export function figures(readings: Readings): string {
  const { rest, remainingBytes, dirtyBytesPerSecond, bandwidthBytesPerSecond } = readings;
  const parts: string[] = [];
  if (rest !== null) parts.push(`${size(rest.bytes)} are left after round ${rest.afterRound}`);
  else if (remainingBytes !== null) parts.push(`${size(remainingBytes)} are left`);
  if (dirtyBytesPerSecond !== null) parts.push(`the VM writes ${size(dirtyBytesPerSecond)}/s`);
  if (bandwidthBytesPerSecond !== null) parts.push(`the channel carries ${size(bandwidthBytesPerSecond)}/s`);
  else parts.push('what the channel carries is not known');
  return parts.join(', ');
}
