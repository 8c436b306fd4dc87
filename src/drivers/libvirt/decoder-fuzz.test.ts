import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { decodeEvent } from './events.ts';
import { decodeMessage, PacketSplitter } from './message.ts';
import * as rpc from './procedures.ts';
import { decodeFault } from './values.ts';
import { DecodeError, XdrDecoder } from './xdr-decoder.ts';

/** Everything in this driver that reads bytes of the daemon. */
const readers: readonly (readonly [string, (bytes: Uint8Array) => unknown])[] = [
  ['packet', (bytes) => decodeMessage(bytes)],
  ['stream', (bytes) => new PacketSplitter().push(bytes)],
  ['fault', (bytes) => decodeFault(new XdrDecoder(bytes))],
  ...[318, 359, 362, 363].map((number) => [`event ${number}`, (bytes: Uint8Array) => decodeEvent(number, new XdrDecoder(bytes))] as const),
  ...Object.values(rpc).map((procedure) => [procedure.name, (bytes: Uint8Array) => procedure.decode(new XdrDecoder(bytes))] as const),
];

/** Random bytes rarely get past the first length; words that look like XDR reach deeper. */
const xdrLike = fc
  .array(
    fc.oneof(
      fc.nat({ max: 8 }),
      fc.constantFrom(0xffff_ffff, 0x7fff_ffff, 4_194_305, 16_385, 262_145, 0x6162_6364, 0x6100_0000),
      fc.nat({ max: 0xffff_ffff }),
    ),
    { maxLength: 60 },
  )
  .map((words) => {
    const bytes = Buffer.alloc(words.length * 4);
    for (const [index, word] of words.entries()) bytes.writeUInt32BE(word, index * 4);
    return Uint8Array.from(bytes);
  });

describe('decoding bytes that nobody vouches for', () => {
  it.each(readers)('%s: any bytes give a value or a DecodeError', (_name, read) => {
    let decoded = 0;
    let refused = 0;
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), xdrLike), (bytes) => {
        try {
          read(bytes);
          decoded += 1;
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
          refused += 1;
        }
      }),
      { numRuns: 500 },
    );
    expect(decoded + refused).toBe(500);
  });
});
