/** Seeded randomness with one stream per entity: what one host draws changes nothing for another. */
import type { Random } from '#core/ports.ts';
import { seededRandom } from '#core/seeded.ts';

const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';
const idLength = 16;

export class Streams {
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** The stream of one entity, always from its beginning. */
  stream(entity: string): Random {
    const { fraction: next } = seededRandom(`${this.#seed}/${entity}`);
    const letter = () => alphabet.charAt(Math.floor(next() * alphabet.length));
    return { fraction: next, id: () => Array.from({ length: idLength }, letter).join('') };
  }
}
