import { expect, test } from 'vitest';
import { combinations, faults, keyOf, leftOf, parseOnly, phases, planRuns, reasonAgainst } from './plan.ts';

const everything = { fault: undefined, phase: undefined };

test('every fault in every phase is played, or has a reason against it', () => {
  const against = faults.flatMap((fault) => phases.filter((phase) => reasonAgainst(fault, phase) !== undefined));
  expect(combinations().length + against.length).toBe(faults.length * phases.length);
  expect(combinations().every(({ fault, phase }) => reasonAgainst(fault, phase) === undefined)).toBe(true);
});

test('no fault and no phase is left out altogether', () => {
  expect(new Set(combinations().map(({ fault }) => fault))).toEqual(new Set(faults));
  expect(new Set(combinations().map(({ phase }) => phase))).toEqual(new Set(phases));
});

test('each combination comes once before any comes twice', () => {
  const each = combinations().length;
  const plan = planRuns(each * 2, 7, everything);
  expect(new Set(plan.slice(0, each).map(keyOf)).size).toBe(each);
  expect(plan.slice(0, each).every(({ time }) => time === 1)).toBe(true);
  expect(plan.slice(each).every(({ time }) => time === 2)).toBe(true);
});

test('the same seed gives the same order, another gives another', () => {
  expect(planRuns(50, 3, everything)).toEqual(planRuns(50, 3, everything));
  expect(planRuns(50, 3, everything)).not.toEqual(planRuns(50, 4, everything));
});

test('what was played is not played again, whatever the order', () => {
  const plan = planRuns(20, 1, everything);
  const played = plan.filter((_, index) => index % 2 === 0);
  expect(leftOf(plan, played)).toEqual(plan.filter((_, index) => index % 2 === 1));
  expect(leftOf(plan, plan)).toEqual([]);
});

test('a plan may be of one fault, one phase, or one of both', () => {
  const one = parseOnly('kill controller, switching');
  expect(one).toEqual({ fault: 'kill controller', phase: 'switching' });
  expect(planRuns(3, 1, one ?? everything)).toHaveLength(3);
  expect(planRuns(100, 1, parseOnly(',verifying') ?? everything).every(({ phase }) => phase === 'verifying')).toBe(true);
});

test('a word that is no fault is refused, a combination without sense gives an empty plan', () => {
  expect(parseOnly('kill printer')).toBeNull();
  expect(parseOnly('abort,never')).toBeNull();
  expect(planRuns(3, 1, parseOnly('port refused,switching') ?? everything)).toEqual([]);
});
