/** A stream of numbers out of a text: the same text gives the same stream, on every machine. */
import type { Random } from './ports.ts';

/** Uniform in [0, 1). For what has to come out the same again; nothing that must not be guessed. */
export function seededRandom(seed: string): Pick<Random, 'fraction'> {
  return { fraction: sfc32(seed) };
}

/** SFC32 ("small fast counting", of PractRand, by Chris Doty-Humphrey): 128 bits of state, uniform in [0, 1). */
function sfc32(seed: string): () => number {
  let a = hash(seed, 0x9e37_79b9);
  let b = hash(seed, 0x243f_6a88);
  let c = hash(seed, 0xb7e1_5162);
  let counter = 1;
  const next = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 4_294_967_296;
  };
  // Similar seeds give similar first numbers; twelve rounds mix them, as its author recommends.
  for (let round = 0; round < 12; round += 1) next();
  return next;
}

/** FNV-1a over UTF-16 code units, 32 bits, from a given basis. */
export function hash(text: string, basis: number): number {
  let value = basis;
  for (let index = 0; index < text.length; index += 1) value = Math.imul(value ^ text.charCodeAt(index), 0x0100_0193);
  return value >>> 0;
}
