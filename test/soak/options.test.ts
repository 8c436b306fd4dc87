import { describe, expect, test } from 'vitest';
import { replayCommandOf, scheduleOptionsOf, soakOptionsOf } from './options.ts';

describe('the options of a soak', () => {
  test('are a hundred seeds on two threads when nothing is said', () => {
    expect(soakOptionsOf([])).toMatchObject({
      seed: null,
      seedsMax: 100,
      from: 1,
      workers: 2,
      hosts: null,
      placement: true,
      shrink: false,
      saveDir: null,
    });
  });

  test('take seeds or hours, a place to begin, threads and hosts', () => {
    expect(soakOptionsOf(['--hours', '2.5', '--from', '7', '--workers', '1', '--hosts', '3'])).toMatchObject({
      seedsMax: Number.POSITIVE_INFINITY,
      virtualHoursMax: 2.5,
      from: 7,
      workers: 1,
      hosts: 3,
    });
  });

  test.each([
    [['--seeds', '0'], /--seeds is 0/],
    [['--seeds', '3', '--hours', '1'], /not both/],
    [['--hours', '0'], /--hours is 0/],
    [['--shrink'], /one --seed/],
    [['--hosts', '1'], /from 2 to 200/],
    [['--sedes', '3'], /--sedes/],
    [['3'], /3/],
  ])('that make no sense are refused: %s', (args, words) => {
    expect(() => soakOptionsOf(args)).toThrow(
      expect.objectContaining({ code: 'input-invalid', message: expect.stringMatching(words) as string }),
    );
  });

  test('are needed in part to play a seed again', () => {
    expect(replayCommandOf({ hosts: null, placement: true })(7)).toBe('npm run sim:soak -- --seed 7');
    expect(replayCommandOf({ hosts: 3, placement: false })(7)).toBe('npm run sim:soak -- --seed 7 --hosts 3 --no-placement');
    expect(scheduleOptionsOf(soakOptionsOf(['--no-placement']))).toEqual({ placement: false });
  });
});
