import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DecodeError, EncodeError } from './errors.ts';
import { decodeMessage } from './message-decoder.ts';
import { encodeMessage } from './message-encoder.ts';
import { type Element, type Section, depthMax, elementsMax, messageBytesMax } from './message.ts';

const name = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'success', 'a'),
  fc.string({ unit: 'binary', minLength: 0, maxLength: 12 }).filter((text) => !text.includes('\0')),
);
// Bytes that are no text; bytes that happen to be text come back as text, on purpose.
const blob = fc.uint8Array({ maxLength: 20 }).map((bytes) => Uint8Array.of(0xff, ...bytes));
const value = fc.oneof(fc.string({ unit: 'binary', maxLength: 20 }), blob);
const { section } = fc.letrec<{ section: Section; element: Element }>((tie) => ({
  element: fc.oneof({ depthSize: 'small' }, value, fc.array(value, { maxLength: 4 }), tie('section')),
  section: fc.dictionary(name, tie('element'), { maxKeys: 5, noNullPrototype: false }),
}));

function nested(depth: number): Section {
  return depth === 0 ? {} : { s: nested(depth - 1) };
}

describe('a VICI message', () => {
  it('comes back as it was written', () => {
    fc.assert(
      fc.property(section, (message) => {
        expect(decodeMessage(encodeMessage(message))).toEqual(message);
      }),
    );
  });

  it('is written as in the example of the protocol', () => {
    const message = {
      key1: 'value1',
      section1: { 'sub-section': { key2: 'value2' }, list1: ['item1', 'item2'] },
    };
    const text =
      '\x03\x04key1\0\x06value1\x01\x08section1\x01\x0bsub-section\x03\x04key2\0\x06value2\x02' +
      '\x04\x05list1\x05\0\x05item1\x05\0\x05item2\x06\x02';
    expect(Buffer.from(encodeMessage(message)).toString('latin1')).toBe(text);
    expect(decodeMessage(Buffer.from(text, 'latin1'))).toEqual(message);
  });

  it('keeps a key named __proto__ as an ordinary key', () => {
    const read = decodeMessage(Buffer.from('\x03\x09__proto__\0\x01x', 'latin1'));
    expect(Object.keys(read)).toEqual(['__proto__']);
    expect(Object.getPrototypeOf(read)).toBeNull();
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  it('does not keep the bytes it was read from', () => {
    const bytes = encodeMessage({ data: Uint8Array.of(0xff, 1) });
    const read = decodeMessage(bytes);
    bytes.fill(0);
    expect(read['data']).toEqual(Uint8Array.of(0xff, 1));
  });

  it.each([
    ['name-too-long', { ['x'.repeat(256)]: '' }],
    ['invalid-name', { 'a\0b': '' }],
    ['invalid-name', { '\ud800': '' }],
    ['value-too-long', { a: 'x'.repeat(0x1_0000) }],
    ['value-too-long', { a: [new Uint8Array(0x1_0000)] }],
    ['too-deep', nested(depthMax + 1)],
    ['too-many-elements', { a: Array.from({ length: elementsMax }, () => '') }],
    ['oversized-message', { a: Array.from({ length: 9 }, () => 'x'.repeat(0xffff)) }],
  ])('is not written when it is %s', (code, message: Section) => {
    expect(() => encodeMessage(message)).toThrow(expect.objectContaining({ name: 'EncodeError', code }) as EncodeError);
  });

  it('is written and read up to its limits', () => {
    const deep = nested(depthMax);
    expect(decodeMessage(encodeMessage(deep))).toEqual(deep);
    const wide = { ['x'.repeat(255)]: 'x'.repeat(0xffff) };
    expect(decodeMessage(encodeMessage(wide))).toEqual(wide);
  });

  it('is not read beyond its limits', () => {
    const items = Buffer.concat([Buffer.from('\x04\x01l', 'latin1'), Buffer.from('\x05\0\0'.repeat(elementsMax), 'latin1')]);
    expect(() => decodeMessage(items)).toThrow(expect.objectContaining({ code: 'too-many-elements' }) as DecodeError);
    expect(() => decodeMessage(new Uint8Array(messageBytesMax + 1))).toThrow(
      expect.objectContaining({ code: 'oversized-message' }) as DecodeError,
    );
  });

  it('tells where it is broken', () => {
    const bytes = Buffer.from('\x03\x01a\0\x01b\x09', 'latin1');
    expect(() => decodeMessage(bytes)).toThrow(expect.objectContaining({ code: 'unknown-element-type', offset: 6 }) as DecodeError);
  });
});
