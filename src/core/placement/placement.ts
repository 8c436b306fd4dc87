/* oxlint-disable typescript/no-non-null-assertion -- every index is within its array by construction; `?? 0` would hide one that is not */
/**
 * VMs on hosts as columns of numbers, for searches that judge millions of moves: a move costs the columns of two hosts, however large the
 * cluster is. Mutable and local to one search; what comes in and goes out is plain data.
 */

/** One row of `columns` figures for each host or VM, one after the other. */
export interface PlacementSpec {
  readonly hosts: number;
  readonly vms: number;
  /** Resources whose spread over the counted hosts is scored. */
  readonly columns: number;
  /** Weight of each column's standard deviation (of all counted hosts, not of a sample of them). */
  readonly weights: Float64Array;
  /** Per host and column: its load without VMs. */
  readonly baseLoads: Float64Array;
  /** Per host and column: what one unit of a VM's amount adds to the load. */
  readonly scales: Float64Array;
  /** Per VM and column. */
  readonly amounts: Float64Array;
  /** Things a host has only so much of, such as memory. */
  readonly limits: number;
  /** Per host and limit: room without VMs; a VM fits when no room falls below 0. */
  readonly rooms: Float64Array;
  /** Per VM and limit. */
  readonly needs: Float64Array;
  /** Per VM: the host that it is on. */
  readonly homes: Int32Array;
  /** Per VM: 1 if it may be moved. */
  readonly movable: Uint8Array;
  /** Per host: 1 if it may take VMs. */
  readonly open: Uint8Array;
  /** Per host: 1 if the spread counts it. */
  readonly counted: Uint8Array;
  /** Per host: what each VM on it adds to the score, such as on a host that is to be emptied. */
  readonly perVm: Float64Array;
}

export class Placement {
  readonly spec: PlacementSpec;
  /** Per VM: the host that it is on now. */
  readonly hostOf: Int32Array;
  /** Per host and column: load now, less the column's mean at the start, so that squares do not cancel. */
  readonly loads: Float64Array;
  readonly rooms: Float64Array;
  readonly #sums: Float64Array;
  readonly #squares: Float64Array;
  readonly #countedHosts: number;
  /** Of each column, divided by the counted hosts. */
  readonly #weights: Float64Array;
  #extra = 0;
  /** Of `lift`: the VM, and the sums without it. */
  #lifted = -1;
  #liftedExtra = 0;
  readonly #liftedSums: Float64Array;
  readonly #liftedSquares: Float64Array;

  constructor(spec: PlacementSpec) {
    const { columns, limits, vms } = spec;
    this.spec = spec;
    this.hostOf = Int32Array.from(spec.homes);
    this.loads = Float64Array.from(spec.baseLoads);
    this.rooms = Float64Array.from(spec.rooms);
    this.#sums = new Float64Array(columns);
    this.#squares = new Float64Array(columns);
    this.#liftedSums = new Float64Array(columns);
    this.#liftedSquares = new Float64Array(columns);
    this.#countedHosts = spec.counted.reduce((sum, one) => sum + one, 0);
    this.#weights = spec.weights.map((weight) => weight / Math.max(1, this.#countedHosts));
    for (let vm = 0; vm < vms; vm += 1) {
      const host = this.hostOf[vm]!;
      this.#extra += spec.perVm[host]!;
      for (let column = 0; column < columns; column += 1) {
        this.loads[host * columns + column]! += spec.amounts[vm * columns + column]! * spec.scales[host * columns + column]!;
      }
      for (let limit = 0; limit < limits; limit += 1) this.rooms[host * limits + limit]! -= spec.needs[vm * limits + limit]!;
    }
    this.#center();
  }

  /** VMs that are not where they were at the start. */
  get movedVms(): number {
    let moved = 0;
    for (let vm = 0; vm < this.hostOf.length; vm += 1) if (this.hostOf[vm] !== this.spec.homes[vm]) moved += 1;
    return moved;
  }

  /** Weighted sum of standard deviations, and what VMs on certain hosts add. Lower is better. */
  score(): number {
    let score = this.#extra;
    for (let column = 0; column < this.spec.columns; column += 1)
      score += this.#spread(column, this.#sums[column]!, this.#squares[column]!);
    return score;
  }

  /** Room for it in every limit, and a host that may take VMs. */
  fits(vm: number, target: number): boolean {
    const { limits, needs, open } = this.spec;
    if (open[target] !== 1) return false;
    for (let limit = 0; limit < limits; limit += 1) {
      if (this.rooms[target * limits + limit]! < needs[vm * limits + limit]!) return false;
    }
    return true;
  }

  /** Both fit once they have changed hosts; not the way there. */
  fitsSwapped(one: number, other: number): boolean {
    const { limits, needs, open } = this.spec;
    const here = this.hostOf[one]!;
    const there = this.hostOf[other]!;
    if (open[here] !== 1 || open[there] !== 1) return false;
    for (let limit = 0; limit < limits; limit += 1) {
      const more = needs[other * limits + limit]! - needs[one * limits + limit]!;
      if (this.rooms[here * limits + limit]! < more || this.rooms[there * limits + limit]! < -more) return false;
    }
    return true;
  }

  /** The score if the VM were on `target`, which is not its host; nothing is changed. */
  scoreAfter(vm: number, target: number): number {
    this.lift(vm);
    return this.scoreOn(target);
  }

  /** What the score would be without the VM's part in its host, for `scoreOn` to ask of many targets; valid until the next move. */
  lift(vm: number): void {
    const { columns, amounts, scales, counted, perVm } = this.spec;
    const source = this.hostOf[vm]!;
    const isCounted = counted[source] === 1;
    this.#lifted = vm;
    this.#liftedExtra = this.#extra - perVm[source]!;
    for (let column = 0; column < columns; column += 1) {
      const at = source * columns + column;
      const change = isCounted ? amounts[vm * columns + column]! * scales[at]! : 0;
      this.#liftedSums[column] = this.#sums[column]! - change;
      this.#liftedSquares[column] = this.#squares[column]! + change * (change - 2 * this.loads[at]!);
    }
  }

  /** The score if the VM that was lifted last were on `target`, which is not its host; nothing is changed. */
  scoreOn(target: number): number {
    const { columns, amounts, scales, counted, perVm } = this.spec;
    const isCounted = counted[target] === 1;
    let score = this.#liftedExtra + perVm[target]!;
    for (let column = 0; column < columns; column += 1) {
      const at = target * columns + column;
      const change = isCounted ? amounts[this.#lifted * columns + column]! * scales[at]! : 0;
      const sum = this.#liftedSums[column]! + change;
      const square = this.#liftedSquares[column]! + change * (change + 2 * this.loads[at]!);
      score += this.#spread(column, sum, square);
    }
    return score;
  }

  /** Whatever rules say: the caller asks `fits` before. */
  move(vm: number, target: number): void {
    const source = this.hostOf[vm]!;
    if (source === target) return;
    this.#shift(vm, source, -1);
    this.#shift(vm, target, 1);
    this.hostOf[vm] = target;
  }

  /** What a unit of each column's square weighs in the score now: the slope that searches rank hosts by. Into `slopes`. */
  slopesInto(slopes: Float64Array): void {
    const { columns, weights } = this.spec;
    for (let column = 0; column < columns; column += 1) {
      const weight = weights[column]!;
      const spread = this.#spread(column, this.#sums[column]!, this.#squares[column]!);
      slopes[column] = spread > weight * 1e-12 ? weight ** 2 / (2 * spread * this.#countedHosts) : 0;
    }
  }

  /** Weighted standard deviation from the sum and the sum of squares: sqrt(n squares - sum²) / n, with one root and no division. */
  #spread(column: number, sum: number, square: number): number {
    const variance = this.#countedHosts * square - sum * sum;
    return variance > 0 ? this.#weights[column]! * Math.sqrt(variance) : 0;
  }

  #shift(vm: number, host: number, sign: 1 | -1): void {
    const { columns, limits, amounts, scales, needs, counted, perVm } = this.spec;
    const isCounted = counted[host] === 1;
    for (let column = 0; column < columns; column += 1) {
      const at = host * columns + column;
      const before = this.loads[at]!;
      const after = before + sign * amounts[vm * columns + column]! * scales[at]!;
      this.loads[at] = after;
      if (!isCounted) continue;
      this.#sums[column]! += after - before;
      this.#squares[column]! += after * after - before * before;
    }
    for (let limit = 0; limit < limits; limit += 1) this.rooms[host * limits + limit]! -= sign * needs[vm * limits + limit]!;
    this.#extra += sign * perVm[host]!;
  }

  /** Sums from the loads, whose means become 0. */
  #center(): void {
    const { columns, hosts, counted } = this.spec;
    for (let column = 0; column < columns; column += 1) {
      let sum = 0;
      for (let host = 0; host < hosts; host += 1) if (counted[host] === 1) sum += this.loads[host * columns + column]!;
      const mean = this.#countedHosts === 0 ? 0 : sum / this.#countedHosts;
      let [rest, squares] = [0, 0];
      for (let host = 0; host < hosts; host += 1) {
        const load = (this.loads[host * columns + column]! -= mean);
        if (counted[host] !== 1) continue;
        rest += load;
        squares += load * load;
      }
      this.#sums[column] = rest;
      this.#squares[column] = squares;
    }
  }
}
