import { describe, expect, it } from 'vitest';
import type { StrongswanError } from './errors.ts';
import { Fields } from './fields.ts';

const fields = new Fields(
  { text: 'abc', count: '42', bytes: Uint8Array.of(255), list: ['a', 'b'], mixed: [Uint8Array.of(255)], sub: { up: 'yes' } },
  'test',
);

describe("the fields of charon's messages", () => {
  it('are read as what they are', () => {
    expect([fields.text('text'), fields.count('count'), fields.texts('list')]).toEqual(['abc', 42, ['a', 'b']]);
    expect(fields.fields('sub').flag('up')).toBe(true);
    expect(fields.sections().map(([name]) => name)).toEqual(['sub']);
  });

  it('are empty where charon leaves them out', () => {
    expect([fields.optionalText('no'), fields.optionalCount('no'), fields.flag('no'), fields.texts('no')]).toEqual([
      undefined,
      undefined,
      false,
      [],
    ]);
    expect(fields.fields('no').sections()).toEqual([]);
  });

  it.each<[string, () => unknown]>([
    ['a missing text', () => fields.text('no')],
    ['a list for a text', () => fields.text('list')],
    ['bytes for a text', () => fields.text('bytes')],
    ['a missing count', () => fields.count('no')],
    ['a text for a count', () => fields.count('text')],
    ['a negative count', () => new Fields({ n: '-1' }, 'test').count('n')],
    ['a count beyond 2^53', () => new Fields({ n: '9007199254740993' }, 'test').count('n')],
    ['a text for a list', () => fields.texts('text')],
    ['a section for a list', () => fields.texts('sub')],
    ['an item that is not text', () => fields.texts('mixed')],
    ['a text for a section', () => fields.fields('text')],
  ])('are an error for %s', (_what, read) => {
    expect(read).toThrow(expect.objectContaining({ name: 'StrongswanError', code: 'strongswan-malformed-reply' }) as StrongswanError);
  });
});
