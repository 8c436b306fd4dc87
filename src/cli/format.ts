/** Figures for people: units humanised, unknown shown as a dash. Printers use nothing else. */

export const unknown = '-';

/** Text from elsewhere (names, reasons) without what a terminal would obey: control and direction characters. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, '\u{fffd}');
}

export function formatBytes(bytes: number | null): string {
  if (bytes === null) return unknown;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let step = 0;
  while (value >= 1024 && step < units.length - 1) {
    value /= 1024;
    step += 1;
  }
  return `${step === 0 ? value : threeDigits(value)} ${units[step] ?? ''}`;
}

export function formatRate(bytesPerSecond: number | null): string {
  return bytesPerSecond === null ? unknown : `${formatBytes(Math.round(bytesPerSecond))}/s`;
}

export function formatPercent(percent: number | null): string {
  return percent === null ? unknown : `${percent < 10 ? percent.toFixed(1) : percent.toFixed(0)} %`;
}

export function formatCores(cores: number | null): string {
  return cores === null ? unknown : cores.toFixed(2);
}

export function formatScore(score: number): string {
  return score.toFixed(2);
}

/** `251 ms`, `3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`. */
export function formatDuration(durationMs: number | null): string {
  if (durationMs === null) return unknown;
  const ms = Math.max(0, durationMs);
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 3600) return twoUnits(seconds, 60, 'min', 1, 's');
  if (seconds < 86_400) return twoUnits(seconds, 3600, 'h', 60, 'min');
  return twoUnits(seconds, 86_400, 'd', 3600, 'h');
}

export function formatAge(atMs: number | null, nowMs: number): string {
  return atMs === null ? 'never' : `${formatDuration(nowMs - atMs)} ago`;
}

/** `2026-01-31 14:05:09Z` */
export function formatTime(atMs: number): string {
  // The range of a Date, ECMA-262 section 21.4.1.1.
  if (!(Math.abs(atMs) <= 8.64e15)) return unknown;
  const iso = new Date(atMs).toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)}Z`;
}

/** Milliseconds of a length of time as an operator writes it (`500ms`, `90s`, `30m`, `1h`, `2d`); null when it is none. */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  const scale = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match?.[2] ?? ''];
  return match === null || scale === undefined ? null : Number(match[1]) * scale;
}

function threeDigits(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 1 : 2);
}

function twoUnits(seconds: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)} ${largeName}${rest === 0 ? '' : ` ${rest} ${smallName}`}`;
}
