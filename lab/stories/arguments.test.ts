import { expect, test } from 'vitest';
import { LabError } from '#lab/errors.ts';
import { argumentsOf, helpText } from './arguments.ts';
import { stories } from './stories.ts';

const namesOf = (args: readonly string[]) => argumentsOf(args, stories).stories.map(({ name }) => name);

test('without arguments all stories are told, in their order', () => {
  expect(namesOf([])).toEqual(['hot-host', 'two-hot-hosts', 'drained-host']);
});

test('some are told in their order, however they are named', () => {
  expect(namesOf(['--only', 'drained-host', '--only=hot-host'])).toEqual(['hot-host', 'drained-host']);
});

test.each([
  [['--only', 'cold-host'], "no story 'cold-host': they are hot-host, two-hot-hosts, drained-host"],
  [['--only'], '--only needs a name'],
  [['--fast'], "unknown option '--fast'"],
  [['--keep=yes'], "unknown option '--keep=yes'"],
  [['--keep'], 'say which story'],
])('%j is refused with what to do', (args, sentence) => {
  expect(() => argumentsOf(args, stories)).toThrow(LabError);
  expect(() => argumentsOf(args, stories)).toThrow(sentence);
});

test('the help names every story, and one that is kept is allowed', () => {
  for (const { name, title } of stories) expect(helpText(stories)).toMatch(new RegExp(`${name} +${title}`));
  expect(argumentsOf(['--only', 'hot-host', '--keep'], stories).keep).toBe(true);
  expect(argumentsOf(['--help'], stories).help).toBe(true);
});

test('labs have names of their own, and cores for each of their hosts', () => {
  expect(new Set(stories.map(({ lab }) => lab.name)).size).toBe(stories.length);
  for (const { lab } of stories) expect(Object.keys(lab.coresByHost ?? {})).toHaveLength(lab.hosts ?? 0);
});
