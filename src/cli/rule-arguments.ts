/** What people write of rules: kinds, days, times of day. */
import type { DailyWindow, Rule, RuleKind, Weekday } from '#wire/rule-schemas.ts';
import { InvalidArgumentError } from 'commander';
import { CliError } from './errors.ts';

export const kinds: readonly RuleKind[] = ['pin', 'affinity', 'anti-affinity', 'ignore', 'blackout', 'window'];
const days: readonly Weekday[] = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

export interface RuleOptions {
  readonly vm: readonly string[];
  readonly host: readonly string[];
  readonly from?: number;
  readonly until?: number;
  readonly days: readonly Weekday[];
  readonly offset: number;
}

/** Argument parser of the kind of a rule. */
export function kindArgument(text: string): RuleKind {
  const kind = kinds.find((one) => one === text);
  if (kind === undefined) throw new InvalidArgumentError(`Write one of ${kinds.join(', ')}.`);
  return kind;
}

/** Argument parser of lists: separated by commas, and each given again is added. */
export function listArgument(text: string, before: readonly string[]): readonly string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.includes('')) throw new InvalidArgumentError('Write names separated by commas, such as web-1,web-2.');
  return [...before, ...items];
}

/** Argument parser of times of day, in minutes after midnight: `22:00`; `24:00` is the end of the day. */
export function timeOfDayArgument(text: string): number {
  const [, hours = '', minutes = ''] = /^(\d{1,2}):(\d{2})$/.exec(text) ?? [];
  const minute = Number(hours) * 60 + Number(minutes);
  if (hours === '' || Number(minutes) > 59 || minute > 1440) throw new InvalidArgumentError('Write a time of day such as 22:00.');
  return minute;
}

/** Argument parser of days: `mon-fri`, `sat,sun`, `sun-tue`. */
export function daysArgument(text: string): readonly Weekday[] {
  const wanted = text.split(',').flatMap((part) => {
    const [first, last, ...more] = part
      .trim()
      .split('-')
      .map((day) => days.findIndex((one) => one === day));
    if (first === undefined || more.length > 0 || first < 0 || last === -1)
      throw new InvalidArgumentError('Write days such as mon-fri or sat,sun.');
    const length = last === undefined ? 1 : ((last - first + 7) % 7) + 1;
    return Array.from({ length }, (_, index) => (first + index) % 7);
  });
  return days.filter((_day, index) => wanted.includes(index));
}

/** Argument parser of an offset from UTC, in minutes: `+01:00`, `-05:30`, `utc`. */
export function offsetArgument(text: string): number {
  if (text === 'utc') return 0;
  const [, sign = '', hours = '', minutes = ''] = /^([+-])(\d{2}):(\d{2})$/.exec(text) ?? [];
  const offset = Number(hours) * 60 + Number(minutes);
  if (sign === '' || Number(minutes) > 59 || offset > 840) throw new InvalidArgumentError('Write an offset such as +01:00, or utc.');
  return sign === '-' ? -offset : offset;
}

/** The rule that was asked for. Throws `usage` for what this kind of rule needs, or has no use for. */
export function ruleOf(kind: RuleKind, name: string, options: RuleOptions): Rule {
  const vms = [...options.vm];
  if (vms.length === 0) throw new CliError('usage', "say which VMs: --vm NAME, --vm 'web-*', --vm label:tier=web, or --vm '*' for all");
  if (kind !== 'pin' && options.host.length > 0) throw new CliError('usage', `a rule of kind ${kind} names no host: leave out --host`);
  const hasTimes = options.from !== undefined || options.until !== undefined;
  if (kind !== 'blackout' && kind !== 'window' && hasTimes)
    throw new CliError('usage', `a rule of kind ${kind} has no time: leave out --from and --until`);
  if (kind === 'pin') {
    if (options.host.length === 0) throw new CliError('usage', 'say which hosts they may run on: --host HOST');
    return { kind, name, vms, hosts: [...options.host] };
  }
  if (kind === 'blackout' || kind === 'window') return { kind, name, vms, when: whenOf(kind, options) };
  return { kind, name, vms };
}

function whenOf(kind: RuleKind, { from, until, days: weekdays, offset }: RuleOptions): DailyWindow {
  if (from === undefined || until === undefined) throw new CliError('usage', `say when the ${kind} is: --from 22:00 --until 06:00`);
  if (from === 1440 || until === 0) throw new CliError('usage', 'a time begins at 00:00 at the earliest, and ends at 24:00 at the latest');
  return { fromMinute: from, untilMinute: until, weekdays: [...weekdays], utcOffsetMinutes: offset };
}

/** `22:00-06:00 mon-fri +01:00`. */
export function printedWhen({ fromMinute, untilMinute, weekdays, utcOffsetMinutes }: DailyWindow): string {
  const offset = utcOffsetMinutes === 0 ? 'UTC' : `${utcOffsetMinutes < 0 ? '-' : '+'}${clock(Math.abs(utcOffsetMinutes))}`;
  const named = weekdays.length === 7 ? 'every day' : weekdays.join(',');
  return `${clock(fromMinute)}-${clock(untilMinute)} ${named} ${offset}`;
}

function clock(minutes: number): string {
  return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
}
