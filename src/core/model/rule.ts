import type { HostId } from './host.ts';
import type { RefusalCode } from './result.ts';
import type { VmId } from './vm.ts';

export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof weekdays)[number];

/**
 * A time of day that comes back: from `fromMinute` up to, not including, `untilMinute`, both in minutes after midnight. Where it ends
 * before it begins it passes midnight, and belongs to the weekday on which it began.
 */
export interface DailyWindow {
  /** 0 to 1439. */
  readonly fromMinute: number;
  /** 1 to 1440. */
  readonly untilMinute: number;
  readonly weekdays: readonly Weekday[];
  /** Of the operator's clock, east of Greenwich: 0 is UTC. Fixed: no summer time. */
  readonly utcOffsetMinutes: number;
}

interface RuleBase {
  /** Chosen by the operator; unique in the cluster. */
  readonly name: string;
  /**
   * Each one is a VM's UUID, its name, a name with `*` for any text, or a label: `label:key=value`, `label:key`. A VM is meant when one of them
   * fits.
   */
  readonly vms: readonly string[];
}

/** The VMs run on these hosts only. */
export interface PinRule extends RuleBase {
  readonly kind: 'pin';
  readonly hosts: readonly HostId[];
}

/** `affinity`: the VMs run together on one host. `anti-affinity`: no two of them run on one host. */
export interface GroupRule extends RuleBase {
  readonly kind: 'affinity' | 'anti-affinity';
}

/** The balancer never moves these VMs; people may. */
export interface IgnoreRule extends RuleBase {
  readonly kind: 'ignore';
}

/** `blackout`: the balancer does not move these VMs in this time. `window`: it moves them in this time only. `*` is the whole cluster. */
export interface TimeRule extends RuleBase {
  readonly kind: 'blackout' | 'window';
  readonly when: DailyWindow;
}

export type Rule = PinRule | GroupRule | IgnoreRule | TimeRule;
export type RuleKind = Rule['kind'];

export const ruleKinds: readonly RuleKind[] = ['pin', 'affinity', 'anti-affinity', 'ignore', 'blackout', 'window'];

/** Everything about rules is bounded: a plan looks at each of them for each VM. */
export const ruleLimits = { rulesMax: 500, selectorsMax: 256, selectorLengthMax: 256, hostsMax: 256, nameLengthMax: 64 } as const;

/** A host that takes no new VMs, by an operator's wish. */
export interface Cordon {
  readonly hostId: HostId;
  readonly reason: string;
  readonly by: string;
  readonly atMs: number;
}

/** This VM was refused by this host for a reason that lies with the two of them; it is not asked again before `untilMs`. */
export interface PairRefusal {
  readonly vmId: VmId;
  readonly hostId: HostId;
  readonly code: RefusalCode;
  readonly reason: string;
  readonly untilMs: number;
}

/** Does a name match a pattern in which `*` stands for any text, the empty one included? */
export function matchesPattern(pattern: string, name: string): boolean {
  const [head = '', ...rest] = pattern.split('*');
  if (rest.length === 0) return pattern === name;
  const tail = rest.pop() ?? '';
  if (!name.startsWith(head) || !name.endsWith(tail) || name.length < head.length + tail.length) return false;
  let at = head.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0 || found + part.length > name.length - tail.length) return false;
    at = found + part.length;
  }
  return true;
}

const minutesPerDay = 1440;

/** Is this time, in ms since the Unix epoch, within the window? */
export function isWithin({ fromMinute, untilMinute, weekdays: days, utcOffsetMinutes }: DailyWindow, atMs: number): boolean {
  const minutes = Math.floor(atMs / 60_000) + utcOffsetMinutes;
  const minute = ((minutes % minutesPerDay) + minutesPerDay) % minutesPerDay;
  // The first of January 1970 was a Thursday.
  const day = Math.floor(minutes / minutesPerDay) + 3;
  const begunOn = (daysAgo: number) => {
    const weekday = weekdays[(((day - daysAgo) % 7) + 7) % 7];
    return weekday !== undefined && days.includes(weekday);
  };
  if (fromMinute < untilMinute) return minute >= fromMinute && minute < untilMinute && begunOn(0);
  return (minute >= fromMinute && begunOn(0)) || (minute < untilMinute && begunOn(1));
}
