import { describe, expect, it } from 'vitest';
import { parseEchoLine } from './echo-line.ts';

describe('a line of fping', () => {
  it('tells which request was answered, when and how fast', () => {
    expect(parseEchoLine('[1795348964.97775] 10.99.0.2 : [480], 64 bytes, 0.050 ms (0.059 avg, 0% loss)')).toEqual({
      kind: 'answer',
      index: 480,
      atMs: 1_795_348_964_977.75,
      delayMs: 0.05,
    });
    expect(parseEchoLine('[1795348968.01216] fd99::2 : [295], 64 bytes, 1234 ms (0.052 avg, 10% loss)')).toMatchObject({
      index: 295,
      delayMs: 1234,
    });
    expect(parseEchoLine('[1.5] a : [0], 64 bytes, 1.0e+06 ms (0.052 avg, 100% return)')).toMatchObject({ delayMs: 1_000_000 });
  });

  it('tells which request was not', () => {
    const line = { kind: 'silence', index: 100, atMs: 1_795_348_975_165.33 };
    expect(parseEchoLine('[1795348975.16533] 10.99.0.2 : [100], timed out (0.056 avg, 0% loss)')).toEqual(line);
    expect(parseEchoLine('[1795348975.16533] 10.99.0.2 : [100], timed out (NaN avg, 100% loss)')).toEqual(line);
  });

  it.each([
    '',
    '10.99.0.2 : [480], 64 bytes, 0.050 ms (0.059 avg, 0% loss)',
    '[1795348964.97775] 10.99.0.2 : [480], 64 bytes, fast ms',
    '[1795348964.97775] 10.99.0.2 : [480], 64 bytes, 1.2.3 ms',
    '[1795348964.97775] 10.99.0.2 : [-1], timed out',
    '[1795348964.97775] 10.99.0.2 is alive',
    `[1795348964.97775] 10.99.0.2 : [${'9'.repeat(30)}], timed out`,
  ])('is nothing else: %s', (line) => {
    expect(parseEchoLine(line)).toBeNull();
  });
});
