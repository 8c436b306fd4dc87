import { expect, test } from 'vitest';
import { planTrials, styles } from './plan.ts';

const interruptedOf = (count: number) => planTrials(count).filter(({ fault }) => fault !== 'none');

test('both drivers meet the same faults at the same moments, turn by turn', () => {
  const plan = planTrials(20);
  const of = (style: string) => plan.filter((trial) => trial.style === style).map(({ fault, moment }) => `${fault} | ${moment}`);
  expect(of('naive')).toEqual(of('careful'));
  expect(plan.map(({ style }) => style)).toEqual(plan.map((_, index) => styles[index % styles.length]));
});

test('each driver is interrupted as often as asked for, and first moves a VM undisturbed', () => {
  expect(interruptedOf(31)).toHaveLength(62);
  expect(planTrials(1).slice(0, 2)).toEqual([
    { style: 'naive', fault: 'none', moment: 'completed' },
    { style: 'careful', fault: 'none', moment: 'completed' },
  ]);
});

test('six interruptions of each driver are every fault at every moment', () => {
  const combinations = new Set(interruptedOf(6).map(({ fault, moment }) => `${fault} | ${moment}`));
  expect(combinations.size).toBe(6);
});
