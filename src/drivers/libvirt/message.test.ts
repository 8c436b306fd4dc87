import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { decodeMessage, encodeMessage, PacketSplitter } from './message.ts';
import { DecodeError } from './xdr-decoder.ts';

const header = { program: 0x2000_8086, version: 1, procedure: 59, type: 1, serial: 7, status: 0 };

describe('packets', () => {
  it('carry header and body unchanged', () => {
    const packet = encodeMessage(header, Uint8Array.of(1, 2, 3, 4));
    expect(packet.length).toBe(32);
    expect(decodeMessage(packet)).toEqual({ header, body: Buffer.from([1, 2, 3, 4]) });
  });

  it('come out whole, however the stream is cut into chunks', () => {
    const packets = [encodeMessage(header, new Uint8Array()), encodeMessage({ ...header, serial: 8 }, new Uint8Array(100).fill(5))];
    const stream = Buffer.concat([...packets, ...packets]);
    fc.assert(
      fc.property(fc.array(fc.nat({ max: stream.length }), { maxLength: 12 }), (cuts) => {
        const splitter = new PacketSplitter();
        const edges = [0, ...cuts.toSorted((a, b) => a - b), stream.length];
        const out = edges.slice(1).flatMap((end, index) => splitter.push(stream.subarray(edges[index], end)));
        expect(Buffer.concat(out).equals(stream)).toBe(true);
        expect(out).toHaveLength(4);
        expect(splitter.bufferedBytes).toBe(0);
      }),
    );
  });

  it('hold back an incomplete packet and no more than what came', () => {
    const splitter = new PacketSplitter();
    // 32 MiB are announced, 8 bytes are there.
    expect(splitter.push(Uint8Array.of(2, 0, 0, 4, 0, 0, 0, 0))).toEqual([]);
    expect(splitter.bufferedBytes).toBe(8);
  });

  it('are refused by their length word alone when it is out of bounds', () => {
    for (const word of [0, 4, 27, 32 * 1024 * 1024 + 5, 0xffff_ffff]) {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(word);
      expect(() => new PacketSplitter().push(bytes)).toThrow(DecodeError);
    }
  });
});
