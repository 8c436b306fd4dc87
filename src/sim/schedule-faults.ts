/**
 * Everything that a schedule can break. Each fault is a list of events that ends what it begins: at a time, or at a moment of a migration,
 * the end after the beginning.
 */
import type { ClusterSpec, ScenarioEvent } from './scenario.ts';
import type { Draw } from './schedule-draw.ts';
import { after, type At, type Moment, momentOf, tenth } from './schedule-moment.ts';

/** A migration that an operator asks for at some time. */
export interface Voyage {
  readonly atSeconds: number;
  readonly vm: string;
  readonly from: string;
  readonly to: string;
}

export interface FaultRoom {
  readonly draw: Draw;
  readonly cluster: ClusterSpec;
  readonly hosts: readonly string[];
  readonly vms: readonly string[];
  readonly voyages: readonly Voyage[];
  /** Faults begin and end by then. */
  readonly untilSeconds: number;
  /** The one host that may lose its power; its processes are not started or killed one by one, which a machine that is off cannot do. */
  readonly mortal: string;
  /** The one host whose guard may be taken away: with the guards of both ends gone nothing protects but the SA. */
  readonly unguarded: string;
  /** The one host that may lie. */
  readonly liar: string;
}

type Span = { readonly begin: At; readonly end: At; readonly voyage: Voyage | null };
type Maker = (room: FaultRoom) => readonly ScenarioEvent[];

const earliestSeconds = 10;
const moments = [
  'asked',
  'checked',
  'secured',
  'copying',
  'transfer',
  'transfer',
  'switch-over',
  'switch-over',
  'confirm',
  'confirm',
  'resolving',
  'verifying',
  'post-copy',
];

const processes = ['agent', 'libvirtd', 'charon'] as const;
const lengthsSeconds = { brief: [0.1, 3], short: [3, 20], long: [20, 90] } as const;
type Length = keyof typeof lengthsSeconds;

/** By kind: what the soak counts, and what a seed can be played without. */
export const faultMakers = {
  'agent-dies': (room) => process(room, 'agent'),
  'libvirtd-dies': (room) => process(room, 'libvirtd'),
  'charon-dies': (room) => process(room, 'charon'),
  'controller-dies': (room) => {
    const { begin, end } = span(room);
    return [
      { at: begin, do: 'kill-controller' },
      { at: end, do: 'start-controller' },
    ];
  },
  'destination-qemu-dies': (room) => {
    const at = moment(room);
    return [{ at, do: 'kill-destination-qemu', vm: at.vm }];
  },
  'source-qemu-dies': (room) => {
    const at = moment(room);
    return [{ at, do: 'kill-source-qemu', vm: at.vm }];
  },
  'qemu-dies': (room) => [{ at: anyTime(room), do: 'kill-qemu', vm: room.draw.pick(room.vms) }],
  'link-cut': (room) => {
    const { begin, end, voyage } = span(room);
    const between = twoNodes(room, voyage, false);
    return [
      { at: begin, do: 'cut', between },
      { at: end, do: 'heal', between },
    ];
  },
  'line-cut': (room) => {
    const { begin, end, voyage } = span(room);
    const between: [string, string] = [oneHost(room, voyage), 'controller'];
    return [
      { at: begin, do: 'cut', between },
      { at: end, do: 'heal', between },
    ];
  },
  'one-way-cut': (room) => {
    const { begin, end, voyage } = span(room);
    const [from, to] = twoNodes(room, voyage, true);
    return [
      { at: begin, do: 'cut-one-way', from, to },
      { at: end, do: 'heal-one-way', from, to },
    ];
  },
  isolated: (room) => {
    const { begin, end, voyage } = span(room);
    const host = oneHost(room, voyage);
    return [
      { at: begin, do: 'isolate', host },
      { at: end, do: 'rejoin', host },
    ];
  },
  'power-off': (room) => {
    const { begin, end } = span(room, ['short', 'long']);
    return [
      { at: begin, do: 'power', host: room.mortal, becomes: 'off' },
      { at: end, do: 'power', host: room.mortal, becomes: 'on' },
    ];
  },
  'bad-link': (room) => {
    const { draw } = room;
    const { begin, end, voyage } = span(room);
    const between = twoNodes(room, voyage, true);
    return [
      { at: begin, do: 'link', between, ...quality(draw) },
      { at: end, do: 'link', between },
    ];
  },
  'process-paused': (room) => {
    const { begin, end, voyage } = span(room);
    const what = room.draw.pick(processes);
    const host = steadyHost(room, voyage);
    return [
      { at: begin, do: 'pause', what, host },
      { at: end, do: 'go-on', what, host },
    ];
  },
  'controller-paused': (room) => {
    const { begin, end } = span(room);
    return [
      { at: begin, do: 'pause-controller' },
      { at: end, do: 'go-on-controller' },
    ];
  },
  'two-controllers': (room) => {
    const beginSeconds = room.draw.tenths(earliestSeconds, room.untilSeconds - 60);
    return [
      { at: beginSeconds, do: 'pause-controller' },
      { at: tenth(beginSeconds + room.draw.tenths(0.5, 20)), do: 'start-controller' },
      { at: tenth(beginSeconds + room.draw.tenths(21, 55)), do: 'go-on-controller' },
    ];
  },
  'qemu-paused': (room) => {
    const at = moment(room);
    const which = room.draw.pick(['source', 'destination'] as const);
    const { vm } = at;
    return [
      { at, do: 'pause-qemu', vm, which },
      { at: after(at, lastsSeconds(room, ['brief', 'short'])), do: 'go-on-qemu', vm, which },
    ];
  },
  'guard-gone': (room) => {
    const { begin, end } = span(room);
    const becomes = room.draw.pick(['absent', 'broken'] as const);
    return [
      { at: begin, do: 'guard', host: room.unguarded, becomes },
      // Its agent puts it back; nobody else would.
      { at: end, do: 'guard', host: room.unguarded, becomes: 'absent' },
    ];
  },
  'plain-text': (room) => [{ at: anyTime(room), do: 'plain-text', host: room.draw.pick(room.hosts), packets: room.draw.integer(1, 500) }],
  'disk-full': (room) => disk(room, 'full'),
  'disk-torn': (room) => disk(room, 'torn'),
  'clock-jump': (room) => {
    const { begin, end } = span(room);
    const of = room.draw.pick([...room.hosts, 'controller']);
    const jumpMs = room.draw.pick([-60_000, -5000, 1500, 5000, 60_000, 3_600_000]);
    return [
      { at: begin, do: 'clock', of, jumpMs },
      { at: end, do: 'clock', of, jumpMs: -jumpMs },
    ];
  },
  'clock-drift': (room) => {
    const { begin, end } = span(room, ['long']);
    const of = room.draw.pick([...room.hosts, 'controller']);
    return [
      { at: begin, do: 'drift', of, ppm: room.draw.pick([-5000, -500, 500, 5000]) },
      { at: end, do: 'drift', of, ppm: 0 },
    ];
  },
  'lies-about-load': (room) => lie(room, 'load'),
  'lies-about-outcome': (room) => lie(room, 'outcome'),
} as const satisfies Record<string, Maker>;

export type FaultKind = keyof typeof faultMakers;
export const faultKinds = Object.keys(faultMakers) as readonly FaultKind[];

function process(room: FaultRoom, what: (typeof processes)[number]): readonly ScenarioEvent[] {
  const { begin, end, voyage } = span(room);
  const host = steadyHost(room, voyage);
  return [
    { at: begin, do: 'kill', what, host },
    { at: end, do: 'start', what, host },
  ];
}

function disk(room: FaultRoom, becomes: 'full' | 'torn'): readonly ScenarioEvent[] {
  const { begin, end, voyage } = span(room);
  const of = room.draw.chance(0.5) ? 'controller' : oneHost(room, voyage);
  return [
    { at: begin, do: 'disk', of, becomes },
    { at: end, do: 'disk', of, becomes: 'ok' },
  ];
}

function lie(room: FaultRoom, about: 'load' | 'outcome'): readonly ScenarioEvent[] {
  const { begin, end } = span(room, ['short', 'long']);
  return [
    { at: begin, do: 'lie', host: room.liar, about, becomes: 'on' },
    { at: end, do: 'lie', host: room.liar, about, becomes: 'off' },
  ];
}

function quality(draw: Draw): {
  delayMs?: number;
  jitterMs?: number;
  lossPercent?: number;
  duplicatePercent?: number;
  reorderPercent?: number;
} {
  return {
    ...(draw.chance(0.5) ? { delayMs: draw.pick([10, 100, 500]), jitterMs: draw.pick([0, 20, 200]) } : {}),
    ...(draw.chance(0.6) ? { lossPercent: draw.pick([0.1, 1, 5, 30]) } : {}),
    ...(draw.chance(0.3) ? { duplicatePercent: draw.pick([1, 20]) } : {}),
    ...(draw.chance(0.3) ? { reorderPercent: draw.pick([1, 20]) } : {}),
  };
}

/** A stretch of time that begins at a time or at a moment of a migration. */
function span(room: FaultRoom, lengths: readonly Length[] = ['brief', 'short', 'long']): Span {
  const { draw, voyages } = room;
  const lasts = lastsSeconds(room, lengths);
  if (voyages.length > 0 && draw.chance(0.6)) {
    const begin = moment(room);
    return { begin, end: after(begin, lasts), voyage: voyages.find(({ vm }) => vm === begin.vm) ?? null };
  }
  const begin = draw.tenths(earliestSeconds, room.untilSeconds - lasts);
  return { begin, end: tenth(begin + lasts), voyage: null };
}

function lastsSeconds({ draw }: FaultRoom, lengths: readonly Length[]): number {
  const [min, max] = lengthsSeconds[draw.pick(lengths)];
  return draw.tenths(min, max);
}

function moment(room: FaultRoom): Moment {
  const { draw } = room;
  const at = momentOf(vmOfMoment(room), draw.pick(moments));
  return draw.chance(0.5) ? at : after(at, draw.tenths(0, draw.pick([0.3, 3, 20])));
}

/** Mostly one that somebody wants to move. */
function vmOfMoment({ draw, voyages, vms }: FaultRoom): string {
  return voyages.length > 0 && draw.chance(0.8) ? draw.pick(voyages).vm : draw.pick(vms);
}

function anyTime({ draw, untilSeconds }: FaultRoom): number {
  return draw.tenths(earliestSeconds, untilSeconds);
}

/** Mostly one that takes part in the migration. */
function oneHost({ draw, hosts }: FaultRoom, voyage: Voyage | null): string {
  return voyage !== null && draw.chance(0.8) ? draw.pick([voyage.from, voyage.to]) : draw.pick(hosts);
}

function steadyHost(room: FaultRoom, voyage: Voyage | null): string {
  const host = oneHost(room, voyage);
  return host === room.mortal ? room.draw.pick(room.hosts.filter((other) => other !== room.mortal)) : host;
}

function twoNodes({ draw, hosts }: FaultRoom, voyage: Voyage | null, withController: boolean): [string, string] {
  if (voyage !== null && draw.chance(0.7)) return draw.chance(0.5) ? [voyage.from, voyage.to] : [voyage.to, voyage.from];
  return [...draw.pairOf(withController ? [...hosts, 'controller'] : hosts)];
}
