import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { DecodeError, XdrDecoder } from './xdr-decoder.ts';
import { EncodeError, XdrEncoder } from './xdr-encoder.ts';

function decoderOf(...bytes: readonly number[]): XdrDecoder {
  return new XdrDecoder(Uint8Array.from(bytes));
}

function codeOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    return error instanceof DecodeError || error instanceof EncodeError ? error.code : `not typed: ${String(error)}`;
  }
  return 'no failure';
}

describe('XDR', () => {
  it('writes big-endian, and pads strings with zeros to four bytes (RFC 4506)', () => {
    const bytes = new XdrEncoder().u32(1).i32(-2).u64(3n).string('abcde', 16).bool(true).finish();
    expect(Buffer.from(bytes).toString('hex')).toBe('00000001fffffffe000000000000000300000005616263646500000000000001');
  });

  it('reads back what it wrote, for any value of every type', () => {
    const value = fc.record({
      u32: fc.nat({ max: 0xffff_ffff }),
      i32: fc.integer(),
      u64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      i64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      f64: fc.double({ noNaN: true }),
      text: fc.string({ unit: fc.constantFrom('a', 'é', '漢', '😀', ' '), maxLength: 20 }),
      bytes: fc.uint8Array({ maxLength: 40 }),
      list: fc.array(fc.option(fc.boolean()), { maxLength: 9 }),
    });
    fc.assert(
      fc.property(value, (wanted) => {
        const encoder = new XdrEncoder().u32(wanted.u32).i32(wanted.i32).u64(wanted.u64).i64(wanted.i64).f64(wanted.f64);
        encoder.string(wanted.text, 200).opaque(wanted.bytes, 200);
        encoder.array(wanted.list, 9, (list, item) => list.optional(item, (inner, flag) => inner.bool(flag)));
        const decoder = new XdrDecoder(encoder.finish());
        const got = {
          u32: decoder.u32(),
          i32: decoder.i32(),
          u64: decoder.u64(),
          i64: decoder.i64(),
          f64: decoder.f64(),
          text: decoder.string(200),
          bytes: Uint8Array.from(decoder.opaque(200)),
          list: decoder.array(9, 4, (list) => list.optional((inner) => inner.bool())),
        };
        decoder.end();
        expect(got).toEqual(wanted);
      }),
    );
  });

  it('refuses bytes that end too early', () => {
    expect(codeOf(() => decoderOf(0, 0, 1).u32())).toBe('truncated');
    expect(codeOf(() => decoderOf(0, 0, 0, 0, 0, 0, 0).u64())).toBe('truncated');
    expect(codeOf(() => decoderOf(0, 0, 0, 9, 65).string(16))).toBe('truncated');
    expect(codeOf(() => decoderOf(0, 0, 0, 1, 65).string(16))).toBe('truncated');
  });

  it('refuses a length above its bound, and a count that the remaining bytes cannot hold, before it allocates', () => {
    expect(codeOf(() => decoderOf(0xff, 0xff, 0xff, 0xff).string(4_194_304))).toBe('too-long');
    expect(codeOf(() => decoderOf(0, 0, 0, 3).array(2, 4, (d) => d.u32()))).toBe('too-long');
    expect(codeOf(() => decoderOf(0, 3, 0, 0).array(262_144, 12, (d) => d.u32()))).toBe('truncated');
  });

  it('refuses booleans, padding, text and left-over bytes that no encoder writes', () => {
    expect(codeOf(() => decoderOf(0, 0, 0, 2).bool())).toBe('not-boolean');
    expect(codeOf(() => decoderOf(0, 0, 0, 1, 65, 0, 7, 0).string(16))).toBe('bad-padding');
    expect(codeOf(() => decoderOf(0, 0, 0, 1, 0xff, 0, 0, 0).string(16))).toBe('not-utf8');
    expect(codeOf(() => decoderOf(0).end())).toBe('trailing-bytes');
  });

  it('does not send what the protocol cannot carry', () => {
    for (const value of [-1, 1.5, 2 ** 32, Number.NaN]) expect(codeOf(() => new XdrEncoder().u32(value))).toBe('not-encodable');
    expect(codeOf(() => new XdrEncoder().i32(2 ** 31))).toBe('not-encodable');
    expect(codeOf(() => new XdrEncoder().u64(-1n))).toBe('not-encodable');
    expect(codeOf(() => new XdrEncoder().i64(2n ** 63n))).toBe('not-encodable');
    expect(codeOf(() => new XdrEncoder().string('a\0b', 9))).toBe('not-encodable');
    expect(codeOf(() => new XdrEncoder().string('toolong', 3))).toBe('not-encodable');
    expect(codeOf(() => new XdrEncoder().array([1, 2], 1, (e, item) => e.u32(item)))).toBe('not-encodable');
  });
});
