import { expect, test } from 'vitest';
import { holdersOf } from './locks.ts';

const text = `1: POSIX  ADVISORY  WRITE 123 00:2b:456 0 0
1: -> POSIX  ADVISORY  WRITE 124 00:2b:456 0 0
2: FLOCK  ADVISORY  WRITE 200 00:2b:999 0 EOF
`;

test('who holds a lock is listed, who waits for it is not', () => {
  expect(holdersOf(text, 456)).toEqual([123]);
});

test('a lock of another file is nobody of ours', () => {
  expect(holdersOf(text, 4)).toEqual([]);
});
