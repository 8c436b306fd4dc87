import { assert, boolean, constant, date, double, jsonValue, object, property, string } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jsonCopy } from './json-copy.ts';

function asText(value: unknown): unknown {
  const text: string | undefined = JSON.stringify(value);
  return text === undefined ? undefined : JSON.parse(text);
}

function sameAsText(value: unknown): void {
  expect(jsonCopy(value)).toStrictEqual(asText(value));
}

describe('a copy for the other end of a wire', () => {
  test('of any JSON value is that value', () => {
    assert(
      property(jsonValue({ maxDepth: 4 }), (value) => sameAsText(value)),
      { numRuns: 150 },
    );
  });

  test('of anything else is what its text says', () => {
    const values = [boolean(), constant(undefined), constant(null), date(), double(), string()];
    const strange = object({ values, maxDepth: 3, maxKeys: 4 });
    assert(
      property(strange, (value) => sameAsText(value)),
      { numRuns: 150 },
    );
  });

  test.each([
    ['a number that JSON does not know', { a: Number.NaN, b: Number.POSITIVE_INFINITY, c: -0, d: [-0, Number.NaN] }],
    ['what is not there', { a: undefined, b: [undefined, () => 1], c: () => 1 }],
    ['places of a list that hold nothing', { a: Object.assign([1], { length: 3 }) }],
    ['an object that says itself what it is', { a: { toJSON: () => 'itself' }, b: new Date(0) }],
    ['a key that is more than a key', JSON.parse('{"__proto__": {"a": 1}}')],
  ])('of %s too', (_, value) => {
    sameAsText(value);
  });

  test('shares nothing with the original', () => {
    const value = { list: [{ a: 1 }], inner: { b: 2 } };
    const copy = jsonCopy(value);
    value.list.push({ a: 2 });
    value.inner.b = 3;
    expect(copy).toStrictEqual({ list: [{ a: 1 }], inner: { b: 2 } });
  });

  test('of a bigint is refused', () => {
    expect(() => jsonCopy({ a: 1n })).toThrow(TypeError);
  });
});
