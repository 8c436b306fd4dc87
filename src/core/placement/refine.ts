/* oxlint-disable typescript/no-non-null-assertion -- every index is within its array by construction; `?? 0` would hide one that is not */
import type { Random } from '#core/ports.ts';
import type { Placement } from './placement.ts';

export interface RefineOptions {
  /** VMs that may be elsewhere than at the start, in the end. */
  readonly movedMax: number;
  /** Changes that are tried; time is proportional to it. */
  readonly tries: number;
  readonly random: Pick<Random, 'fraction'>;
  readonly mayBe?: (vm: number, host: number) => boolean;
}

/** Of what one VM carries of the score on average: changes for the worse by about so much are taken at the start, and at the end. */
const startHeat = 2;
const endHeat = 0.02;
/** With no more tries for each VM than this, the search starts cooler: it would not find back from where heat takes it. */
const shortTries = 100;
const startHeatShort = 1;
/** Of the changes, so many begin with a VM that is away already: they need nobody to go back for it. */
const movedShare = 0.8;
/** So many let two VMs change places, and where the first is away, so many take it home; the others send it anywhere. */
const swapShare = 0.7;
const homeShare = 0.1;
/** Two change places, and a third one goes back. */
const movesBeforeLast = 2;

/**
 * Simulated annealing (Kirkpatrick, Gelatt and Vecchi 1983) over where the VMs end, with at most `movedMax` of them moved: one goes elsewhere,
 * two change places, or one goes back while another one leaves. Takes the placement as it is for the start and leaves the best one found.
 * In which order the VMs can get there is not its question.
 */
export function refine(placement: Placement, options: RefineOptions): void {
  const { movable, open } = placement.spec;
  const vms = places(movable);
  const hosts = places(open);
  if (vms.length === 0 || hosts.length < 2) return;
  const { tries, random } = options;
  const change = new Change(placement, vms, hosts, options);
  const best = Int32Array.from(placement.hostOf);
  let score = placement.score();
  let bestScore = score;
  const firstHeat = tries <= shortTries * vms.length ? startHeatShort : startHeat;
  let heat = firstHeat / vms.length;
  const cooling = (endHeat / firstHeat) ** (1 / tries);
  for (let count = 0; count < tries; count += 1) {
    heat *= cooling;
    if (!change.draw()) continue;
    const next = change.score();
    if (next >= score && random.fraction() >= Math.exp((score - next) / (heat * bestScore))) {
      change.drop();
      continue;
    }
    change.make();
    score = next;
    if (score >= bestScore) continue;
    bestScore = score;
    best.set(placement.hostOf);
  }
  for (let vm = 0; vm < best.length; vm += 1) placement.move(vm, best[vm]!);
}

function places(flags: Uint8Array): Int32Array {
  return Int32Array.from(flags.keys()).filter((place) => flags[place] === 1);
}

/**
 * A change by chance, to be drawn, scored, and made or dropped, again and again. Most are dropped: its last move is judged without being made.
 * It is a class because, with functions that closed over one search, the same search took 2 ms or 6 ms from one run of the process to the next.
 */
class Change {
  readonly #placement: Placement;
  readonly #vms: Int32Array;
  readonly #hosts: Int32Array;
  readonly #movedMax: number;
  readonly #random: Pick<Random, 'fraction'>;
  readonly #mayBe: (vm: number, host: number) => boolean;
  readonly #moved: MovedVms;
  /** Of the moves before the last one, which are made when they are drawn: each VM, and where it was. */
  readonly #madeVms = new Int32Array(movesBeforeLast);
  readonly #madeFrom = new Int32Array(movesBeforeLast);
  #made = 0;
  #lastVm = -1;
  #lastTo = -1;

  constructor(placement: Placement, vms: Int32Array, hosts: Int32Array, { movedMax, random, mayBe = () => true }: RefineOptions) {
    this.#placement = placement;
    this.#vms = vms;
    this.#hosts = hosts;
    this.#movedMax = movedMax;
    this.#random = random;
    this.#mayBe = mayBe;
    this.#moved = new MovedVms(placement);
  }

  /** False, with nothing changed, when what chance has chosen cannot be. */
  draw(): boolean {
    this.#made = 0;
    const vm = this.#random.fraction() < movedShare && this.#moved.size > 0 ? this.#anyMoved() : this.#anyOf(this.#vms);
    const kind = this.#random.fraction();
    if (kind < swapShare) return this.#drawSwap(vm, this.#anyOf(this.#vms));
    const { hostOf, spec } = this.#placement;
    const home = spec.homes[vm]!;
    const to = hostOf[vm] !== home && kind < swapShare + homeShare ? home : this.#anyOf(this.#hosts);
    if (to === hostOf[vm] || !this.#mayGo(vm, to)) return false;
    this.#plan(vm, to);
    return this.#sendOneBack(vm);
  }

  /** After the change. */
  score(): number {
    return this.#placement.scoreAfter(this.#lastVm, this.#lastTo);
  }

  make(): void {
    this.#move(this.#lastVm, this.#lastTo);
  }

  drop(): void {
    for (; this.#made > 0; this.#made -= 1) this.#move(this.#madeVms[this.#made - 1]!, this.#madeFrom[this.#made - 1]!);
  }

  #drawSwap(one: number, other: number): boolean {
    const here = this.#placement.hostOf[one]!;
    const there = this.#placement.hostOf[other]!;
    const size = this.#moved.size + this.#moved.growth(one, there) + this.#moved.growth(other, here);
    if (here === there || size > this.#movedMax + 1 || !this.#placement.fitsSwapped(one, other)) return false;
    if (!this.#mayBe(one, there) || !this.#mayBe(other, here)) return false;
    this.#plan(one, there);
    this.#makeLast();
    this.#plan(other, here);
    return this.#sendOneBack(one);
  }

  /** If there is one more away than may be; `but` stays. */
  #sendOneBack(but: number): boolean {
    if (this.#moved.size + this.#moved.growth(this.#lastVm, this.#lastTo) <= this.#movedMax) return true;
    this.#makeLast();
    const back = this.#anyMoved();
    const home = this.#placement.spec.homes[back]!;
    if (back !== but && this.#mayGo(back, home)) {
      this.#plan(back, home);
      return true;
    }
    this.drop();
    return false;
  }

  #mayGo(vm: number, host: number): boolean {
    return this.#placement.fits(vm, host) && this.#mayBe(vm, host);
  }

  #plan(vm: number, host: number): void {
    this.#lastVm = vm;
    this.#lastTo = host;
  }

  #makeLast(): void {
    this.#madeVms[this.#made] = this.#lastVm;
    this.#madeFrom[this.#made] = this.#placement.hostOf[this.#lastVm]!;
    this.#made += 1;
    this.make();
  }

  #move(vm: number, host: number): void {
    this.#placement.move(vm, host);
    this.#moved.note(vm);
  }

  #anyOf(those: Int32Array): number {
    return those[Math.floor(this.#random.fraction() * those.length)]!;
  }

  #anyMoved(): number {
    return this.#moved.at(this.#random.fraction());
  }
}

/** The VMs that are not at home, to draw from. */
class MovedVms {
  readonly #placement: Placement;
  readonly #list: number[] = [];
  readonly #places: Int32Array;

  constructor(placement: Placement) {
    this.#placement = placement;
    this.#places = new Int32Array(placement.hostOf.length).fill(-1);
    for (let vm = 0; vm < placement.hostOf.length; vm += 1) this.note(vm);
  }

  get size(): number {
    return this.#list.length;
  }

  at(fraction: number): number {
    return this.#list[Math.floor(fraction * this.#list.length)]!;
  }

  /** By how many there are more if the VM goes to the host. */
  growth(vm: number, host: number): -1 | 0 | 1 {
    const isMoved = this.#places[vm] !== -1;
    const isToBeMoved = host !== this.#placement.spec.homes[vm];
    if (isMoved === isToBeMoved) return 0;
    return isToBeMoved ? 1 : -1;
  }

  /** It may have left home or come back. */
  note(vm: number): void {
    const isMoved = this.#placement.hostOf[vm] !== this.#placement.spec.homes[vm];
    const place = this.#places[vm]!;
    if (isMoved === (place !== -1)) return;
    if (isMoved) {
      this.#places[vm] = this.#list.push(vm) - 1;
      return;
    }
    const last = this.#list.pop()!;
    if (last !== vm) {
      this.#list[place] = last;
      this.#places[last] = place;
    }
    this.#places[vm] = -1;
  }
}
