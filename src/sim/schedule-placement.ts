/** What operators want of where VMs run in a schedule: rules, cordons, drains, and how balancing chooses. */
import type { Rule, Weekday } from '#core/model/rule.ts';
import { ruleKinds, weekdays } from '#core/model/rule.ts';
import type { ClusterSpec, ScenarioEvent } from './scenario.ts';
import type { Draw } from './schedule-draw.ts';
import { momentOf, tenth } from './schedule-moment.ts';

const operators = ['anna', 'ben'] as const;
const firstSeconds = 15;
/** A run begins at midnight and is over before that. */
const minutesMax = 12;
const daily: readonly Weekday[] = weekdays;

export interface PlacementRoom {
  readonly draw: Draw;
  readonly cluster: ClusterSpec;
  readonly untilSeconds: number;
}

/** The same cluster, with wishes that stand from its beginning. */
export function withWishes(cluster: ClusterSpec, draw: Draw): ClusterSpec {
  const policy = {
    ...cluster.policy,
    strategy: draw.pick(['lines', 'balance'] as const),
    headroom: { hostFailures: draw.pick([0, 0, 1] as const) },
    returnMsMin: draw.pick([30_000, 120_000, 3_600_000]),
  };
  const rules = draw.chance(0.5) ? rulesOf(cluster, draw, 'first', draw.integer(1, 3)) : [];
  return { ...cluster, policy, ...(rules.length === 0 ? {} : { rules }) };
}

/** Each list is one wish of somebody, with what becomes of it. */
export function placementOf(room: PlacementRoom): readonly (readonly ScenarioEvent[])[] {
  const { draw, cluster } = room;
  const lifted = (cluster.rules ?? []).filter(() => draw.chance(0.3));
  const added = draw.chance(0.5) ? rulesOf(cluster, draw, 'rule', draw.integer(1, 3)) : [];
  const cordons = draw.chance(0.4) ? draw.integer(1, 2) : 0;
  const drained = draw.chance(0.6) ? draw.some(Object.keys(cluster.hosts), draw.integer(1, 2)) : [];
  const modes = draw.chance(0.3) ? draw.integer(1, 2) : 0;
  return [
    ...lifted.map(({ name }) => [removalOf(room, name, anyTime(room))]),
    ...added.map((rule) => additionOf(room, rule)),
    ...Array.from({ length: cordons }, () => cordonOf(room)),
    ...drained.map((host) => drainOf(room, host)),
    ...Array.from({ length: modes }, () => [modeOf(room)]),
    // Drawn last: what was drawn before there was any maintenance is as it was.
    ...(draw.chance(0.3) ? [maintenanceOf(room)] : []),
  ];
}

function rulesOf(cluster: ClusterSpec, draw: Draw, name: string, count: number): readonly Rule[] {
  const vms = Object.keys(cluster.vms);
  if (vms.length === 0) return [];
  return Array.from({ length: count }, (_, index) => ruleOf(cluster, draw, `${name}-${index + 1}`, vms));
}

function ruleOf({ hosts }: ClusterSpec, draw: Draw, name: string, vms: readonly string[]): Rule {
  const kind = draw.pick(ruleKinds);
  switch (kind) {
    case 'pin': {
      const all = Object.keys(hosts);
      return { kind, name, vms: draw.some(vms, draw.integer(1, 2)), hosts: draw.some(all, draw.integer(1, all.length - 1)) };
    }
    case 'affinity':
      return { kind, name, vms: draw.some(vms, 2) };
    case 'anti-affinity':
      return { kind, name, vms: draw.some(vms, draw.integer(2, 4)) };
    case 'ignore':
      return { kind, name, vms: draw.some(vms, draw.integer(1, 2)) };
    case 'blackout':
    case 'window': {
      const fromMinute = draw.integer(0, minutesMax - 2);
      const when = { fromMinute, untilMinute: fromMinute + draw.integer(1, minutesMax), weekdays: daily, utcOffsetMinutes: 0 };
      return { kind, name, vms: draw.chance(0.5) ? ['*'] : draw.some(vms, draw.integer(1, 3)), when };
    }
    default:
      return kind satisfies never;
  }
}

/** It is added, and some are removed again. */
function additionOf(room: PlacementRoom, rule: Rule): readonly ScenarioEvent[] {
  const at = anyTime(room);
  const added = { at, do: 'rule-add', rule, by: room.draw.pick(operators) } as const;
  return room.draw.chance(0.5) ? [added] : [added, removalOf(room, rule.name, later(room, at, 300))];
}

function removalOf({ draw }: PlacementRoom, name: string, at: number): ScenarioEvent {
  return { at, do: 'rule-remove', name, by: draw.pick(operators) };
}

function cordonOf(room: PlacementRoom): readonly ScenarioEvent[] {
  const { draw, cluster } = room;
  const at = anyTime(room);
  const host = draw.pick(Object.keys(cluster.hosts));
  const cordon = { at, do: 'cordon', host, reason: 'new disk', by: draw.pick(operators) } as const;
  return draw.chance(0.3) ? [cordon] : [cordon, { at: later(room, at, 200), do: 'uncordon', host, by: draw.pick(operators) }];
}

/** Begun at a time or while a VM moves; then cancelled and begun again, filled again, opened by hand, or left at that. */
function drainOf(room: PlacementRoom, host: string): readonly ScenarioEvent[] {
  const { draw, cluster, untilSeconds } = room;
  const by = draw.pick(operators);
  const vms = Object.keys(cluster.vms);
  const drain = { do: 'drain', host, reason: 'new fans', by } as const;
  if (vms.length > 0 && draw.chance(0.2)) {
    const at = momentOf(draw.pick(vms), draw.pick(['asked', 'transfer', 'switch-over', 'verifying']), draw.tenths(0, 3));
    return [{ at, ...drain }];
  }
  const at = draw.tenths(firstSeconds, Math.max(firstSeconds, untilSeconds * 0.5));
  const events: ScenarioEvent[] = [{ at, ...drain }];
  let last = at;
  if (draw.chance(0.3)) {
    last = later(room, last, 90);
    events.push({ at: last, do: 'drain-cancel', host, by });
    if (draw.chance(0.5)) {
      last = later(room, last, 30);
      events.push({ at: last, ...drain });
    }
  }
  last = later(room, last, 300);
  if (draw.chance(0.6)) events.push({ at: last, do: 'restore', host, by });
  else if (draw.chance(0.3)) events.push({ at: last, do: 'uncordon', host, by });
  return events;
}

/** Somebody works on the hosts: says now and then that they are ready, too early or for nothing too, and may give up. */
function maintenanceOf(room: PlacementRoom): readonly ScenarioEvent[] {
  const { draw, cluster, untilSeconds } = room;
  const by = draw.pick(operators);
  const all = Object.keys(cluster.hosts);
  const hosts = draw.some(all, draw.integer(1, all.length));
  const at = draw.tenths(firstSeconds, Math.max(firstSeconds, untilSeconds * 0.3));
  const until = draw.pick(['ready', 'ready', 'reboot'] as const);
  const begun = { at, do: 'maintain', hosts, parallel: draw.integer(1, 2), until, reason: 'new kernel', by } as const;
  const words = hosts.flatMap((host) =>
    Array.from({ length: draw.integer(1, 4) }, () => ({ at: later(room, at, untilSeconds), do: 'ready', host, by }) as const),
  );
  return [begun, ...words, ...(draw.chance(0.2) ? [{ at: later(room, at, 300), do: 'maintenance-cancel', by } as const] : [])];
}

function modeOf(room: PlacementRoom): ScenarioEvent {
  return { at: anyTime(room), do: 'mode', mode: room.draw.pick(['observe', 'approve', 'automatic', 'automatic']) };
}

function anyTime({ draw, untilSeconds }: PlacementRoom): number {
  return draw.tenths(firstSeconds, untilSeconds);
}

/** At most this much later, and before the end of what happens. */
function later({ draw, untilSeconds }: PlacementRoom, at: number, secondsMax: number): number {
  return Math.min(tenth(at + draw.tenths(0.1, secondsMax)), untilSeconds);
}
