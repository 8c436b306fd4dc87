/** The simulator has teeth: bugs that are planted in the product's code break its invariants, and without them the same schedules break nothing. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Patch, patched, PatchRefused } from './bug.ts';
import { bugNamed, bugs } from './bugs.ts';
import { repositoryRoot } from './plant.ts';
import { provocations } from './provocations.ts';
import { bite, playInnocent } from './run.ts';

/** A second of CPU for most; a busy machine may take its time over it. */
const wallMsMax = 300_000;
const { signal } = new AbortController();

function textOf({ file }: Patch): string {
  return readFileSync(join(repositoryRoot, file), 'utf8');
}

describe('a patch', () => {
  const patch: Patch = { name: 'gap-left-open', file: 'src/gate.ts', find: 'close(gap)', replace: 'leave(gap)' };

  test('changes the one place that it names', () => {
    expect(patched(patch, 'open(gap); close(gap);')).toBe('open(gap); leave(gap);');
  });

  test('puts in what it says, dollars too', () => {
    expect(patched({ ...patch, replace: '`$&${gap}`' }, 'close(gap)')).toBe('`$&${gap}`');
  });

  test.each([
    ['is not found', patch, 'open(gap);', 'not found'],
    ['is found twice', patch, 'close(gap); close(gap);', 'found 2 times'],
    ['is empty', { ...patch, find: '' }, 'close(gap);', 'not found'],
    ['is what replaces it', { ...patch, replace: patch.find }, 'close(gap);', 'changes nothing'],
  ])('whose text %s is refused by its name', (_what, given, text, why) => {
    const plant = () => patched(given, text);
    expect(plant).toThrow(PatchRefused);
    expect(plant).toThrow(`gap-left-open does not fit src/gate.ts`);
    expect(plant).toThrow(why);
  });

  test.each([...bugs, ...Object.values(provocations)].map((one) => [one.name, one] as const))('%s fits the text as it is', (_name, one) => {
    expect(patched(one, textOf(one))).not.toBe(textOf(one));
  });
});

describe('planted bugs', () => {
  test('are at least fourteen, each with a name of its own', () => {
    expect(new Set(bugs.map(({ name }) => name)).size).toBe(bugs.length);
    expect(bugs.length).toBeGreaterThanOrEqual(14);
  });

  test.each(bugs.map((bug) => [bug.name, bug] as const))('%s is caught', { timeout: wallMsMax }, async (_name, bug) => {
    const { verdict, played, failure } = await bite(bug, [bug.schedule], signal);
    expect({ verdict, failure, codes: played?.breaches.map(({ code }) => code) }).toMatchObject({ verdict: 'caught', failure: null });
  });

  test('are what breaks: the same schedules without them break nothing', { timeout: wallMsMax }, async () => {
    const played = await playInnocent(bugs, signal);
    expect(new Set(played.map(({ schedule }) => schedule))).toEqual(new Set(bugs.map(({ schedule }) => schedule)));
    expect(played.filter(({ breaches }) => breaches.length > 0)).toEqual([]);
  });

  test('are not called caught by a schedule that does not touch them', { timeout: wallMsMax }, async () => {
    const { verdict } = await bite(bugNamed('cap-of-the-cluster-off-by-one'), ['three-migrations'], signal);
    expect(verdict).toBe('missed');
  });

  test('are not called caught by another invariant', { timeout: wallMsMax }, async () => {
    const { verdict } = await bite({ ...bugNamed('receipt-without-predecessor'), caughtBy: ['two-copies'] }, ['three-migrations'], signal);
    expect(verdict).toBe('elsewhere');
  });

  test('that are not there, or schedules that are not, fail by their name', { timeout: wallMsMax }, async () => {
    const [bug] = bugs;
    if (bug === undefined) throw new RangeError('there is no bug');
    const unknown = await bite({ ...bug, name: 'no-such-bug' }, ['three-migrations'], signal);
    expect(unknown).toMatchObject({ verdict: 'failed', failure: expect.stringContaining('no planted bug no-such-bug') as string });
    const unplayable = await bite(bug, ['no-such-story'], signal);
    expect(unplayable).toMatchObject({ verdict: 'failed', failure: expect.stringContaining('no schedule no-such-story') as string });
  });
});
