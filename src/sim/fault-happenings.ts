/** Faults of a scenario that leave things there: processes that stand still, bad links, disks and clocks, lies. */
import type { Actors } from './actors.ts';
import type { Copy, Guest } from './guest.ts';
import type { EventOf } from './scenario.ts';
import type { World } from './world.ts';

export type LastingFault = EventOf<
  | 'pause'
  | 'go-on'
  | 'pause-controller'
  | 'go-on-controller'
  | 'pause-qemu'
  | 'go-on-qemu'
  | 'cut-one-way'
  | 'heal-one-way'
  | 'link'
  | 'disk'
  | 'clock'
  | 'drift'
  | 'lie'
>;

const asNew = { delayMs: 0, jitterMs: 0, lossPercent: 0, duplicatePercent: 0, reorderPercent: 0 };

export class FaultHappenings {
  readonly #world: World;
  readonly #actors: Actors;
  readonly #note: (sentence: string) => void;
  /** By VM and end: what was paused, wherever it is by now. */
  readonly #stopped = new Map<string, readonly Copy[]>();

  constructor(world: World, actors: Actors, note: (sentence: string) => void) {
    this.#world = world;
    this.#actors = actors;
    this.#note = note;
  }

  apply(event: LastingFault): void {
    switch (event.do) {
      case 'pause':
      case 'go-on':
        this.#note(`${wordOf(event.do)} ${event.what} on ${event.host}`);
        this.#process(event);
        return;
      case 'pause-controller':
      case 'go-on-controller':
        this.#note(event.do === 'pause-controller' ? 'pause the controller' : 'let the paused controller go on');
        this.#actors[event.do === 'pause-controller' ? 'pauseController' : 'goOnController']();
        return;
      case 'pause-qemu':
        this.#pauseQemu(event);
        return;
      case 'go-on-qemu':
        this.#goOnQemu(event);
        return;
      case 'cut-one-way':
      case 'heal-one-way':
        this.#note(`${event.do === 'cut-one-way' ? 'cut' : 'heal'} the way from ${event.from} to ${event.to}`);
        this.#world.network[event.do === 'cut-one-way' ? 'cutOneWay' : 'healOneWay'](event.from, event.to);
        return;
      case 'link':
        this.#link(event);
        return;
      case 'disk':
        this.#note(`the disk of ${event.of} is ${event.becomes}`);
        this.#world.disk(event.of).condition = event.becomes;
        return;
      case 'clock':
        this.#note(`the clock of ${event.of} jumps by ${event.jumpMs} ms`);
        this.#world.clock(event.of).jump(event.jumpMs);
        return;
      case 'drift':
        this.#note(`the clock of ${event.of} goes ${event.ppm} ppm too fast`);
        this.#world.clock(event.of).drift(event.ppm);
        return;
      case 'lie':
        this.#lie(event);
        return;
      default:
        event satisfies never;
    }
  }

  #process({ do: word, what, host }: EventOf<'pause' | 'go-on'>): void {
    if (what !== 'agent') this.#world.host(host)[what][word === 'pause' ? 'pause' : 'goOn']();
    else if (word === 'pause') this.#actors.pauseAgent(host);
    else this.#actors.goOnAgent(host);
  }

  #pauseQemu({ vm, which }: EventOf<'pause-qemu'>): void {
    const place = this.#qemu(this.#world.guest(vm), which);
    this.#note(place ? `pause the QEMU of ${vm} on ${place.host.hostId}` : `no QEMU of ${vm} is a ${which}, nothing to pause`);
    if (place === undefined || place.copy.state === 'shut-off') return;
    place.host.change(() => place.copy.standstill.pause());
    this.#stopped.set(`${vm} ${which}`, [...(this.#stopped.get(`${vm} ${which}`) ?? []), place.copy]);
  }

  #goOnQemu({ vm, which }: EventOf<'go-on-qemu'>): void {
    const stopped = this.#stopped.get(`${vm} ${which}`) ?? [];
    this.#stopped.delete(`${vm} ${which}`);
    this.#note(stopped.length === 0 ? `no ${which} QEMU of ${vm} is paused` : `let the paused QEMU of ${vm} go on`);
    for (const host of this.#world.hosts) host.accrue();
    for (const { standstill } of stopped) standstill.end();
    this.#world.touch();
  }

  /** Without a migration the source is where it runs. */
  #qemu(guest: Guest, which: 'source' | 'destination') {
    const job = this.#world.jobOf(guest.vmId) ?? this.#world.brokenJobOf(guest.vmId);
    const here = this.#world.copiesOf(guest.vmId);
    if (job !== undefined) return here.find(({ host }) => host === job[which]);
    return which === 'source' ? here.find(({ copy }) => copy.state === 'running') : undefined;
  }

  #link(event: EventOf<'link'>): void {
    const { at: _at, do: _do, between, ...given } = event;
    const words = Object.entries(given).map(([name, value]) => `${name} ${value}`);
    this.#note(`the link between ${between[0]} and ${between[1]} is ${words.length === 0 ? 'as new' : `bad: ${words.join(', ')}`}`);
    this.#world.network.setQuality(...between, { ...asNew, ...given });
  }

  #lie({ host: hostId, about, becomes }: EventOf<'lie'>): void {
    const isOn = becomes === 'on';
    const { lies } = this.#world.host(hostId);
    if (about === 'load') lies.aboutLoad = isOn;
    else if (about === 'room') lies.aboutRoom = isOn;
    else if (about === 'outcome') lies.aboutOutcome = isOn;
    else lies.presence = isOn ? this.#falsePresence(hostId) : null;
    const { presence } = lies;
    const what = about !== 'presence' || presence === null ? '' : `: it ${presence.kind} ${presence.guest.name}`;
    this.#note(isOn ? `${hostId} lies about its ${about}${what}` : `${hostId} tells the truth about its ${about} again`);
  }

  #falsePresence(hostId: string) {
    const random = this.#world.stream(`lies of ${hostId} at ${this.#world.time.elapsedMs}`);
    const guestsOf = (isHere: boolean): readonly Guest[] =>
      this.#world.guests.filter(({ vmId }) => this.#world.copiesOf(vmId).some(({ host }) => host.hostId === hostId) === isHere);
    const [own, others] = [guestsOf(true), guestsOf(false)];
    const hides = others.length === 0 || (own.length > 0 && random.fraction() < 0.5);
    const from = hides ? own : others;
    const guest = from[Math.floor(random.fraction() * from.length)];
    return guest === undefined ? null : { kind: hides ? ('hides' as const) : ('claims' as const), guest };
  }
}

function wordOf(word: 'pause' | 'go-on'): string {
  return word === 'pause' ? 'pause' : 'let go on';
}
