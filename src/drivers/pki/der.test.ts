import fc from 'fast-check';
import { expect, it } from 'vitest';
import { der, derInteger, derTag, derTime, readDerInteger } from './der.ts';

const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');

it('lengths take one byte up to 127 and the fewest bytes above (X.690 section 10.1)', () => {
  expect(hex(der(0x30))).toBe('3000');
  expect(hex(der(0x04, new Uint8Array(127))).slice(0, 4)).toBe('047f');
  expect(hex(der(0x04, new Uint8Array(128))).slice(0, 6)).toBe('048180');
  expect(hex(der(0x04, new Uint8Array(256))).slice(0, 8)).toBe('04820100');
  expect(hex(der(0x04, new Uint8Array(65_536))).slice(0, 10)).toBe('0483010000');
});

it('integers are the shortest non-negative form, and come back', () => {
  expect(['0', '7f', '80', '0080', '100', 'ffff'].map((digits) => hex(derInteger(digits)))).toEqual([
    '020100',
    '02017f',
    '02020080',
    '02020080',
    '02020100',
    '020300ffff',
  ]);
  fc.assert(fc.property(fc.bigInt({ min: 0n, max: 2n ** 152n }), (value) => readDerInteger(derInteger(value.toString(16))) === value));
  for (const bad of ['', '0200', '0302ffff', '02020001ff', '021500'])
    expect(() => readDerInteger(Buffer.from(bad, 'hex'))).toThrow(TypeError);
});

it('times have two digits of the year up to 2049 and four from 2050 (RFC 5280 section 4.1.2.5)', () => {
  const text = (atMs: number): string => Buffer.from(derTime(atMs)).toString('latin1');
  expect(text(Date.UTC(2049, 11, 31, 23, 59, 59, 999)).slice(2)).toBe('491231235959Z');
  expect(text(Date.UTC(2050, 0, 1)).slice(2)).toBe('20500101000000Z');
  expect([derTime(0)[0], derTime(Date.UTC(2050, 0, 1))[0]]).toEqual([derTag.utcTime, derTag.generalizedTime]);
});
