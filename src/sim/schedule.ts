/**
 * A schedule: a cluster, what its guests and operators do, and what breaks in it, from a seed alone. Everything that breaks is mended
 * before the quiet time at the end, in which the cluster has to become whole again.
 */
import type { EventName, Scenario, ScenarioEvent } from './scenario.ts';
import { scenarioOf } from './scenario.ts';
import { Streams } from './random.ts';
import { clusterOf } from './schedule-cluster.ts';
import { Draw } from './schedule-draw.ts';
import { type FaultKind, faultKinds, faultMakers, type FaultRoom } from './schedule-faults.ts';
import { placementOf, withWishes } from './schedule-placement.ts';
import { voyagesOf, workOf } from './schedule-work.ts';

/**
 * T_rec. What may take longest after the last fault: an agent redials after 5 s, a controller that restarted waits 15 s for its hosts, a
 * stream that was cut off is given up after 30 s, a lease is waited out (77 s), a start whose outcome nobody knows as well (180 s), and a
 * transfer that goes on takes its time.
 */
export const quietSeconds = 600;
/** After the faults an operator ends the balancing, so that the cluster can come to rest. */
const restAfterSeconds = 30;
/**
 * A transfer that does not converge and whose agent has died is left alone for an hour (`unattendedMsMax` of the executor): the operator
 * ends what is still under way by then, so that T_rec need not be that long. What cannot end after that is found.
 */
const abortAfterSeconds = 240;
const activeSeconds = { min: 150, max: 600 };
const faultsMax = 10;
/** Of each of these one is enough: a cluster of dead VMs shows nothing. */
const endsVms: ReadonlySet<FaultKind> = new Set(['source-qemu-dies', 'qemu-dies']);
const hostsMin = 3;
const hostsMax = 8;

export interface ScheduleOptions {
  readonly hosts?: number;
  /** Nothing else breaks. */
  readonly kinds?: readonly FaultKind[];
  /**
   * Rules, cordons, drains, strategies and headroom; drawn from streams of their own, so that without them (`false`) a seed is the story
   * that it was before there were any.
   */
  readonly placement?: boolean;
}

/** Events that belong together: a fault with its end, or a command. `kind` is what it is counted as. */
export interface Unit {
  readonly kind: FaultKind | EventName;
  readonly events: readonly ScenarioEvent[];
}

export interface Schedule {
  readonly seed: number;
  readonly scenario: Scenario;
  /** All of its events but those that end it. */
  readonly units: readonly Unit[];
}

export function scheduleOf(seed: number, options: ScheduleOptions = {}): Schedule {
  const streams = new Streams(seed);
  const shape = new Draw(streams.stream('schedule'));
  const untilSeconds = shape.integer(activeSeconds.min, activeSeconds.max);
  const hostCount = options.hosts ?? Math.min(shape.integer(hostsMin, hostsMax), shape.integer(hostsMin, hostsMax));
  const size = { hosts: hostCount, runForSeconds: untilSeconds + quietSeconds, quietSeconds };
  const plain = clusterOf(seed, new Draw(streams.stream('schedule cluster')), size);
  const wishes = new Draw(streams.stream('schedule placement'));
  const cluster = options.placement === false ? plain : withWishes(plain, wishes);
  const work = { draw: new Draw(streams.stream('schedule work')), cluster, untilSeconds };
  const voyages = voyagesOf(work);
  const hosts = Object.keys(cluster.hosts);
  const draw = new Draw(streams.stream('schedule faults'));
  const [mortal, unguarded, liar] = [draw.pick(hosts), draw.pick(hosts), draw.pick(hosts)];
  const room: FaultRoom = { draw, cluster, hosts, vms: Object.keys(cluster.vms), voyages, untilSeconds, mortal, unguarded, liar };
  const placement = options.placement === false ? [] : placementOf({ draw: wishes, cluster, untilSeconds });
  const units = [...[...workOf(work, voyages), ...placement].flatMap(workUnit), ...faultsOf(room, options.kinds ?? faultKinds)];
  return { seed, units, scenario: scenarioFrom(cluster, units) };
}

/** The same cluster with some of the units only. */
export function scenarioFrom(cluster: Scenario['cluster'], units: readonly Unit[]): Scenario {
  return scenarioOf(cluster, [...units.flatMap(({ events }) => events), ...closingEvents(cluster, units)]);
}

function workUnit(events: readonly ScenarioEvent[]): readonly Unit[] {
  const [first] = events;
  return first === undefined ? [] : [{ kind: first.do, events }];
}

/** Of a few kinds each: a schedule in which everything breaks at once shows little. */
function faultsOf(room: FaultRoom, kinds: readonly FaultKind[]): readonly Unit[] {
  const { draw } = room;
  let here = draw.some(kinds, draw.integer(1, 5));
  const units: Unit[] = [];
  for (let left = room.vms.length === 0 ? 0 : draw.integer(0, faultsMax); left > 0 && here.length > 0; left -= 1) {
    const kind = draw.pick(here);
    units.push({ kind, events: faultMakers[kind](room) });
    if (endsVms.has(kind)) here = here.filter((other) => other !== kind);
  }
  return units;
}

/** A command that found no controller, or came too early, is given again: then it is the cluster's turn. */
function closingEvents(cluster: Scenario['cluster'], units: readonly Unit[]): readonly ScenarioEvent[] {
  const quietAt = cluster.runForSeconds - (cluster.quietSeconds ?? quietSeconds);
  const revoked = [...new Set(units.flatMap(({ events }) => events.flatMap((event) => (event.do === 'revoke' ? [event.host] : []))))];
  // A host whose certificate has ended while it was cut off is let in again by a person.
  const joining = cluster.certificateLifeSeconds === undefined ? revoked : Object.keys(cluster.hosts);
  const drained = new Set(units.flatMap(({ events }) => events.flatMap((event) => (event.do === 'drain' ? [event.host] : []))));
  const isMaintained = units.some(({ kind }) => kind === 'maintain');
  return [
    ...joining.map((host) => ({ at: quietAt + restAfterSeconds, do: 'join', host }) as const),
    ...(isMaintained ? [{ at: quietAt + restAfterSeconds, do: 'maintenance-cancel' } as const] : []),
    ...[...drained].map((host) => ({ at: quietAt + restAfterSeconds, do: 'drain-cancel', host }) as const),
    { at: quietAt + restAfterSeconds, do: 'mode', mode: 'observe' },
    ...Object.keys(cluster.vms).map((vm) => ({ at: quietAt + abortAfterSeconds, do: 'abort', vm }) as const),
  ];
}
