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

/**
 * Simulated annealing (Kirkpatrick, Gelatt and Vecchi 1983) over where the VMs end, with at most `movedMax` of them moved: one goes elsewhere,
 * two change places, or one goes back while another one leaves. Takes the placement as it is for the start and leaves the best one found.
 * In which order the VMs can get there is not its question.
 */
export function refine(placement: Placement, { movedMax, tries, random, mayBe = () => true }: RefineOptions): void {
  const { homes, movable, open } = placement.spec;
  const vms = places(homes.length, (vm) => movable[vm] === 1);
  const hosts = places(open.length, (host) => open[host] === 1);
  if (vms.length === 0 || hosts.length < 2) return;
  const moved = new MovedVms(placement);
  const best = Int32Array.from(placement.hostOf);
  let score = placement.score();
  let bestScore = score;
  const cooling = Math.log(endHeat / startHeat);
  const undo: number[] = [];

  const force = (vm: number, host: number) => {
    undo.push(vm, placement.hostOf[vm]!);
    placement.move(vm, host);
    moved.note(vm);
  };
  const put = (vm: number, host: number): boolean => {
    if (!placement.fits(vm, host) || !mayBe(vm, host)) return false;
    force(vm, host);
    return true;
  };
  const swap = (one: number, other: number): boolean => {
    const here = placement.hostOf[one]!;
    const there = placement.hostOf[other]!;
    if (here === there || !placement.fitsSwapped(one, other) || !mayBe(one, there) || !mayBe(other, here)) return false;
    force(one, there);
    force(other, here);
    return true;
  };
  const takeBack = () => {
    while (undo.length > 0) {
      const host = undo.pop()!;
      const vm = undo.pop()!;
      placement.move(vm, host);
      moved.note(vm);
    }
  };
  const pick = (from: readonly number[]) => from[Math.floor(random.fraction() * from.length)]!;

  for (let count = 0; count < tries; count += 1) {
    undo.length = 0;
    const vm = random.fraction() < 0.5 && moved.size > 0 ? moved.at(random.fraction()) : pick(vms);
    const from = placement.hostOf[vm]!;
    const kind = random.fraction();
    let isDone: boolean;
    if (kind < 0.4) {
      isDone = swap(vm, pick(vms));
    } else {
      const to = homes[vm] !== from && kind < 0.5 ? homes[vm]! : pick(hosts);
      isDone = to !== from && put(vm, to);
    }
    if (isDone && moved.size > movedMax) {
      const back = moved.at(random.fraction());
      isDone = back !== vm && put(back, homes[back]!);
    }
    if (!isDone || moved.size > movedMax) {
      takeBack();
      continue;
    }
    const next = placement.score();
    const heat = (startHeat * Math.exp((cooling * count) / tries) * bestScore) / vms.length;
    if (next < score || random.fraction() < Math.exp((score - next) / heat)) {
      score = next;
      if (score < bestScore) {
        bestScore = score;
        best.set(placement.hostOf);
      }
    } else takeBack();
  }
  for (let vm = 0; vm < best.length; vm += 1) placement.move(vm, best[vm]!);
}

function places(length: number, isOne: (index: number) => boolean): readonly number[] {
  return Array.from({ length }, (_, index) => index).filter(isOne);
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
