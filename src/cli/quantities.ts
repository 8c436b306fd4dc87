/** Rates and times as an operator writes them. Null when it is none. */
import { parseDuration } from './format.ts';

const bytesOfUnit: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  kbit: 125,
  Mbit: 125e3,
  Gbit: 125e6,
};

/** Bytes per second of `100MiB`, `100MiB/s`, `1.5GiB`, `12MB`, `800Mbit/s`. A figure without a unit means nothing. */
export function parseRate(text: string): number | null {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)([A-Za-z]{1,4})(?:\/s)?$/.exec(text);
  const unit = bytesOfUnit[match?.[2] ?? ''];
  return match === null || unit === undefined ? null : Math.round(Number(match[1]) * unit);
}

/** All of the time that was named: a day, a minute, a second, or nothing but its first moment. */
export interface Moment {
  readonly firstMs: number;
  /** The first millisecond after it. */
  readonly endMs: number;
}

const momentPattern = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?$/;

/** So long ago (`24h`), or a date with or without a time: `2026-11-01`, `2026-11-01T14:05`, `2026-11-01 14:05:09Z`, `…+01:00`. UTC unless it says otherwise. */
export function parseMoment(text: string, nowMs: number): Moment | null {
  const agoMs = parseDuration(text);
  if (agoMs !== null) return { firstMs: Math.max(0, nowMs - agoMs), endMs: Math.max(0, nowMs - agoMs) };
  const match = momentPattern.exec(text);
  if (match === null) return null;
  const [, date = '', minute, second, zone = 'Z'] = match;
  const firstMs = Date.parse(`${date}T${minute ?? '00:00'}${second ?? ':00'}${zone}`);
  if (!Number.isFinite(firstMs) || firstMs < 0 || !isDate(date)) return null;
  return { firstMs, endMs: firstMs + lengthMs(minute, second) };
}

function lengthMs(minute: string | undefined, second: string | undefined): number {
  if (minute === undefined) return 86_400_000;
  return second === undefined ? 60_000 : 1000;
}

/** Date.parse takes the 30th of February for the 2nd of March. */
function isDate(date: string): boolean {
  return new Date(`${date}T00:00:00Z`).toISOString().startsWith(date);
}
