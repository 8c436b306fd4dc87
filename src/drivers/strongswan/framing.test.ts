import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameReader, encodeFrame, frameBytesMax } from './framing.ts';

describe('VICI frames', () => {
  it('come back whole, however the stream was cut', () => {
    const packets = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 });
    fc.assert(
      fc.property(packets, fc.infiniteStream(fc.integer({ min: 1, max: 50 })), (sent, sizes) => {
        const stream = Buffer.concat(sent.map((packet) => encodeFrame(packet)));
        const reader = new FrameReader();
        const received: Uint8Array[] = [];
        let offset = 0;
        while (offset < stream.length) {
          const size = sizes.next().value;
          received.push(...reader.push(stream.subarray(offset, offset + size)));
          offset += size;
        }
        expect(received.map((packet) => [...packet])).toEqual(sent.map((packet) => [...packet]));
      }),
    );
  });

  it('are accepted up to the limit and refused at their length beyond it', () => {
    const largest = encodeFrame(new Uint8Array(frameBytesMax));
    expect(new FrameReader().push(largest)[0]).toHaveLength(frameBytesMax);
    const header = Buffer.alloc(4);
    header.writeUInt32BE(frameBytesMax + 1);
    expect(() => new FrameReader().push(header)).toThrow(expect.objectContaining({ code: 'oversized-frame' }) as Error);
  });
});
