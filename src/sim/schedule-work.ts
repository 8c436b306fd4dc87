/** What guests and operators do in a schedule: load that changes, and commands. */
import type { ClusterSpec, ScenarioEvent } from './scenario.ts';
import type { Draw } from './schedule-draw.ts';
import type { Voyage } from './schedule-faults.ts';
import { momentOf, tenth } from './schedule-moment.ts';

const operators = ['anna', 'ben'] as const;
const methods = ['auto', 'auto', 'pre-copy', 'post-copy', 'stop-and-copy', 'save-restore'] as const;
const firstSeconds = 15;

export interface WorkRoom {
  readonly draw: Draw;
  readonly cluster: ClusterSpec;
  readonly untilSeconds: number;
}

/** Migrations that operators will ask for. Where a VM is by then nobody knows: what cannot be is refused. */
export function voyagesOf({ draw, cluster, untilSeconds }: WorkRoom): readonly Voyage[] {
  const vms = Object.entries(cluster.vms);
  const hosts = Object.keys(cluster.hosts);
  if (vms.length === 0) return [];
  return Array.from({ length: draw.integer(2, 10) }, () => {
    const [vm, { host: from }] = draw.pick(vms);
    const to = draw.pick(hosts.filter((host) => host !== from));
    return { atSeconds: draw.tenths(firstSeconds, untilSeconds), vm, from, to };
  });
}

/** Each list is one wish of somebody: it is in a schedule as a whole, or not at all. */
export function workOf(room: WorkRoom, voyages: readonly Voyage[]): readonly (readonly ScenarioEvent[])[] {
  return [
    ...voyages.map((voyage) => [migrateOf(room, voyage)]),
    ...some(room, 4, demandOf),
    ...some(room, 2, dirtyOf),
    ...some(room, 2, abortOf),
    ...(room.cluster.mode === 'approve' ? some(room, 4, approveOf) : []),
    ...some(room, 1, renewOf),
    ...some(room, 1, modeOf),
    ...(room.draw.chance(0.15) ? [revokeOf(room)] : []),
  ];
}

function some(room: WorkRoom, countMax: number, make: (room: WorkRoom) => ScenarioEvent): readonly (readonly ScenarioEvent[])[] {
  return Array.from({ length: room.draw.integer(0, countMax) }, () => [make(room)]);
}

function migrateOf({ draw }: WorkRoom, { atSeconds, vm, to }: Voyage): ScenarioEvent {
  const wish = draw.chance(0.4) ? { wish: { method: draw.pick(methods) } } : {};
  return { at: atSeconds, do: 'migrate', vm, by: draw.pick(operators), ...(draw.chance(0.8) ? { to } : {}), ...wish };
}

function demandOf(room: WorkRoom): ScenarioEvent {
  return { at: time(room), do: 'demand', vm: vmOf(room), cores: room.draw.tenths(0, 4) };
}

function dirtyOf(room: WorkRoom): ScenarioEvent {
  return { at: time(room), do: 'dirty', vm: vmOf(room), mibPerSecond: room.draw.integer(0, 150) };
}

function abortOf(room: WorkRoom): ScenarioEvent {
  const vm = vmOf(room);
  const reaches = room.draw.pick(['asked', 'secured', 'transfer', 'switch-over', 'post-copy']);
  const at = room.draw.chance(0.5) ? time(room) : momentOf(vm, reaches, room.draw.tenths(0, 5));
  return { at, do: 'abort', vm };
}

function approveOf(room: WorkRoom): ScenarioEvent {
  return { at: time(room), do: 'approve', by: room.draw.pick(operators) };
}

function renewOf(room: WorkRoom): ScenarioEvent {
  return { at: time(room), do: 'renew', by: room.draw.pick(operators) };
}

function modeOf(room: WorkRoom): ScenarioEvent {
  return { at: time(room), do: 'mode', mode: room.draw.pick(['observe', 'approve', 'automatic']) };
}

/** A host is thrown out and let in again. */
function revokeOf(room: WorkRoom): readonly ScenarioEvent[] {
  const { draw, cluster, untilSeconds } = room;
  const host = draw.pick(Object.keys(cluster.hosts));
  const at = draw.tenths(firstSeconds, Math.max(firstSeconds, untilSeconds - 60));
  return [
    { at, do: 'revoke', host, by: draw.pick(operators) },
    { at: tenth(at + draw.tenths(5, 55)), do: 'join', host },
  ];
}

function time({ draw, untilSeconds }: WorkRoom): number {
  return draw.tenths(firstSeconds, untilSeconds);
}

function vmOf({ draw, cluster }: WorkRoom): string {
  return draw.pick(Object.keys(cluster.vms));
}
