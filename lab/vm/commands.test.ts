import fc from 'fast-check';
import { expect, test } from 'vitest';
import { frame, takeFrames } from './commands.ts';

test('frames come out whole, however the stream is cut', () => {
  const sent = fc.record({ letter: fc.constantFrom('A', 'I', 'O', 'R', 'X'), data: fc.uint8Array({ maxLength: 40 }) });
  fc.assert(
    fc.property(fc.array(sent, { maxLength: 8 }), fc.integer({ min: 1, max: 30 }), (frames, pieceBytes) => {
      const stream = Buffer.concat(frames.map(({ letter, data }) => frame(letter, data)));
      const seen: { letter: string; data: number[] }[] = [];
      let rest: Buffer = Buffer.alloc(0);
      for (let at = 0; at < stream.length; at += pieceBytes) {
        const taken = takeFrames(Buffer.concat([rest, stream.subarray(at, at + pieceBytes)]));
        for (const { letter, data } of taken.frames) seen.push({ letter, data: [...data] });
        rest = taken.rest;
      }
      expect(rest).toHaveLength(0);
      expect(seen).toEqual(frames.map(({ letter, data }) => ({ letter, data: [...data] })));
    }),
  );
});
