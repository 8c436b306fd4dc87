import type { Signer, Verifier } from '#core/ports.ts';
import { hash } from '#core/seeded.ts';

/** Signs nothing: a keyed checksum that anybody who reads this can make. For simulations only. */
export function simulatedKey(name: string): Signer & Verifier {
  const sign = (data: Uint8Array): Uint8Array => {
    const text = data.join(',');
    const words = [1, 2, 3, 4].map((round) => hash(`${name}/${round}/${text}`, 0x811c_9dc5 + round));
    return Uint8Array.from(words.flatMap((word) => [word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24]));
  };
  const verify = (data: Uint8Array, signature: Uint8Array): boolean => {
    const expected = sign(data);
    return expected.length === signature.length && expected.every((value, index) => value === signature[index]);
  };
  return { keyId: `simulated-${name}`, certificatesPem: `certificate of ${name}`, sign, verify };
}
