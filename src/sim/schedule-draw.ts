import type { Random } from '#core/ports.ts';

/** What a schedule draws from one stream of random numbers. */
export class Draw {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  chance(probability: number): boolean {
    return this.#random.fraction() < probability;
  }

  /** Both ends included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.#random.fraction() * (max - min + 1));
  }

  /** In tenths, which people can read. */
  tenths(min: number, max: number): number {
    return this.integer(Math.ceil(min * 10), Math.floor(max * 10)) / 10;
  }

  pick<Value>(values: readonly Value[]): Value {
    const value = values[this.integer(0, values.length - 1)];
    if (value === undefined) throw new RangeError('there is nothing to pick from');
    return value;
  }

  /** At most `count` of them, none twice. */
  some<Value>(values: readonly Value[], count: number): readonly Value[] {
    const left = [...values];
    const taken: Value[] = [];
    while (taken.length < count && left.length > 0) taken.push(...left.splice(this.integer(0, left.length - 1), 1));
    return taken;
  }

  pairOf<Value>(values: readonly Value[]): readonly [Value, Value] {
    const [one, other] = this.some(values, 2);
    if (one === undefined || other === undefined) throw new RangeError('there are no two to pick');
    return [one, other];
  }
}
