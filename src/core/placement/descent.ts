/* oxlint-disable typescript/no-non-null-assertion -- every index is within its array by construction; `?? 0` would hide one that is not */
import type { Placement } from './placement.ts';

/** One step: which VM goes to which host, by their places in the placement. */
export interface Step {
  readonly vm: number;
  readonly from: number;
  readonly to: number;
  /** After it. */
  readonly score: number;
}

export interface DescentOptions {
  readonly movesMax: number;
  /** A step that lowers the score by less than this is not made. */
  readonly gainMin: number;
  /** What rules say of a VM on a host, besides room. */
  readonly mayBe?: (vm: number, host: number) => boolean;
}

/** In each round, of this share of the hosts, the fullest, one VM each may go. */
const donorShare = 0.02;
/** To one of so many hosts, the emptiest; a later donor of the same round looks a little further up. */
const receiversMax = 20;
const receiversShareMax = 0.7;
const donorsPerReceiver = 2;
/** In a cluster of so many hosts, a round is short again as soon as one of the others has had its turn. */
const smallHosts = 200;

/** Where few steps are wanted, each is the best of all there are, if that is no more judgements than this in all. */
const exactMax = 100_000;
/** With more, up to so many, it is the best of the VMs of the fuller half of the hosts, on the emptier half. */
const thoroughMax = 500_000;

/**
 * Steepest descent: round after round, of the hosts that add most to the score by being full, the VM whose leaving lowers it most goes to the
 * best of the hosts that add most by being empty. When they find no step any more, further hosts are asked, in the end all of them. Stops
 * when no VM's step gains enough, or at `movesMax`. The placement is left as the steps make it.
 */
export function descend(placement: Placement, { movesMax, gainMin, mayBe = () => true }: DescentOptions): readonly Step[] {
  const { hosts, vms } = placement.spec;
  if (movesMax * hosts * vms <= thoroughMax) return descendThoroughly(placement, { movesMax, gainMin, mayBe });
  const steps: Step[] = [];
  const ranking = new Ranking(placement);
  const vmsOf = movableVmsByHost(placement);
  const donorsAtFirst = Math.max(1, Math.floor(hosts * donorShare));
  let donors = donorsAtFirst;
  // Hosts that had no step a moment ago, in the same placement.
  let asked = 0;
  while (steps.length < movesMax) {
    const before = steps.length;
    let score = placement.score();
    ranking.renew();
    for (let place = asked; place < donors && steps.length < movesMax; place += 1) {
      const donor = ranking.donor(place);
      const step = bestStep(placement, donor, vmsOf[donor]!, ranking.receivers(place), score - gainMin, mayBe);
      if (step === null) continue;
      placement.move(step.vm, step.to);
      vmsOf[donor] = vmsOf[donor]!.filter((vm) => vm !== step.vm);
      vmsOf[step.to]!.push(step.vm);
      score = step.score;
      steps.push(step);
    }
    if (steps.length === before && donors === hosts) break;
    asked = steps.length === before ? donors : 0;
    if (steps.length === before) donors = Math.min(hosts, donors * 2);
    else if (hosts <= smallHosts) donors = donorsAtFirst;
  }
  return steps;
}

/** Of all there are also where one half has nothing for the other. */
function descendThoroughly(placement: Placement, { movesMax, gainMin, mayBe }: Required<DescentOptions>): readonly Step[] {
  const { hosts, vms } = placement.spec;
  const isExact = movesMax * hosts * vms <= exactMax;
  const ranking = new Ranking(placement);
  const vmsOf = movableVmsByHost(placement);
  const steps: Step[] = [];
  while (steps.length < movesMax) {
    ranking.renew();
    const bestOf = (share: number): Step | null => {
      let best: Step | null = null;
      for (let place = 0; place < Math.ceil(hosts * share); place += 1) {
        const donor = ranking.donor(place);
        const below: number = best?.score ?? placement.score() - gainMin;
        best = bestStep(placement, donor, vmsOf[donor]!, ranking.emptiest(share), below, mayBe) ?? best;
      }
      return best;
    };
    const best = (isExact ? null : bestOf(0.5)) ?? bestOf(1);
    if (best === null) break;
    const { vm, from, to } = best;
    placement.move(vm, to);
    vmsOf[from] = vmsOf[from]!.filter((other) => other !== vm);
    vmsOf[to]!.push(vm);
    steps.push(best);
  }
  return steps;
}

function movableVmsByHost({ spec, hostOf }: Placement): number[][] {
  const vmsOf = Array.from({ length: spec.hosts }, (): number[] => []);
  for (let vm = 0; vm < spec.vms; vm += 1) if (spec.movable[vm] === 1) vmsOf[hostOf[vm]!]!.push(vm);
  return vmsOf;
}

function bestStep(
  placement: Placement,
  donor: number,
  vms: readonly number[],
  receivers: readonly number[],
  below: number,
  mayBe: (vm: number, host: number) => boolean,
): Step | null {
  let bestVm = -1;
  let bestTo = -1;
  let best = below;
  for (const vm of vms) {
    placement.lift(vm);
    for (const to of receivers) {
      if (to === donor || !placement.fits(vm, to)) continue;
      const score = placement.scoreOn(to);
      if (score >= best || !mayBe(vm, to)) continue;
      bestVm = vm;
      bestTo = to;
      best = score;
    }
  }
  return bestVm === -1 ? null : { vm: bestVm, from: donor, to: bestTo, score: best };
}

/** Which hosts add most to the score by being full, and which by being empty. */
class Ranking {
  readonly #placement: Placement;
  readonly #slopes: Float64Array;
  readonly #fullness: Float64Array;
  /** The fullest first. */
  readonly #order: number[];
  /** The emptiest first. */
  #open: readonly number[] = [];

  constructor(placement: Placement) {
    this.#placement = placement;
    this.#slopes = new Float64Array(placement.spec.columns);
    this.#fullness = new Float64Array(placement.spec.hosts);
    this.#order = Array.from({ length: placement.spec.hosts }, (_, host) => host);
  }

  renew(): void {
    const { hosts, columns, open, perVm } = this.#placement.spec;
    this.#placement.slopesInto(this.#slopes);
    for (let host = 0; host < hosts; host += 1) {
      // A host whose VMs cost by being there comes before all that are only full.
      let fullness = perVm[host]! * 1e6;
      for (let column = 0; column < columns; column += 1) {
        const load = this.#placement.loads[host * columns + column]!;
        fullness += this.#slopes[column]! * load * Math.abs(load);
      }
      this.#fullness[host] = fullness;
    }
    this.#order.sort((a, b) => this.#fullness[b]! - this.#fullness[a]! || a - b);
    this.#open = this.#order.filter((host) => open[host] === 1).toReversed();
  }

  donor(place: number): number {
    return this.#order[place]!;
  }

  emptiest(share: number): readonly number[] {
    return this.#open.slice(0, Math.ceil(this.#open.length * share));
  }

  receivers(place: number): readonly number[] {
    const first = Math.min(Math.floor(place / donorsPerReceiver), Math.max(0, this.#open.length - receiversMax));
    return this.#open.slice(first, first + Math.min(receiversMax, Math.ceil(this.#open.length * receiversShareMax)));
  }
}
