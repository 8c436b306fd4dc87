import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EchoText } from './echo-text.ts';

describe('lines out of pieces', () => {
  it('are the same however the text is cut', () => {
    const line = fc.string({ maxLength: 20 }).map((text) => text.replaceAll('\n', ' '));
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat({ max: 7 })), (lines, cuts) => {
        const text = new EchoText();
        let rest = lines.map((words) => `${words}\n`).join('');
        const found: string[] = [];
        for (const cut of [...cuts, Number.MAX_SAFE_INTEGER]) {
          found.push(...text.push(rest.slice(0, cut)));
          rest = rest.slice(cut);
        }
        expect(found).toEqual(lines);
      }),
    );
  });

  it('leave out one that is too long, and nothing else', () => {
    const text = new EchoText(5);
    expect(text.push('one\n123456')).toEqual(['one']);
    expect(text.push('789')).toEqual([]);
    expect(text.push('0\ntwo\n')).toEqual(['two']);
    expect(text.push('1234567\nthree\n12345\n')).toEqual(['three', '12345']);
  });
});
