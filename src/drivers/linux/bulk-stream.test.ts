import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CountReader, encodeCount } from './bulk-stream.ts';

describe('the counts of a bulk stream', () => {
  it('are read as they were written, however the network cuts them', () => {
    const counts = fc.array(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(counts, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (values, cuts) => {
        const wire = Buffer.concat(values.map(encodeCount));
        const reader = new CountReader();
        let [last, at, index] = [null as number | null, 0, 0];
        while (at < wire.length) {
          const size = cuts[index % cuts.length] ?? 1;
          const read = reader.read(wire.subarray(at, at + size));
          at += size;
          index += 1;
          const whole = Math.floor(Math.min(at, wire.length) / 8);
          if (read !== null) last = read;
          expect(last).toBe(whole === 0 ? null : values[whole - 1]);
        }
      }),
    );
  });
});
