import { describe, expect, it } from 'vitest';
import { exampleSnapshot } from './examples.ts';
import { makePlan } from './make-plan.ts';
import { nextRelief, noRelief } from './line.ts';

const betweenTheLines = { id: 'a', vms: [1.4, 1.4, 1.4, 1.4].map((cores, index) => ({ id: `vm${index}`, cores })) };
const cold = { id: 'b' };

describe('between the stop line and the start line', () => {
  it('nothing moves off a host that was never over its line', () => {
    expect(makePlan(exampleSnapshot([betweenTheLines, cold]))).toMatchObject({ verdict: 'balanced', moves: [] });
  });

  it('relief that has begun goes on down to the stop line', () => {
    const plan = makePlan(exampleSnapshot([{ ...betweenTheLines, relieving: { cpu: true, memory: false } }, cold]));
    expect(plan).toMatchObject({ verdict: 'moves', moves: [{ fromHostId: 'a', toHostId: 'b' }] });
    expect(plan.moves[0]?.reason).toContain('not yet down to its stop line');
  });

  it('relief for one resource does not draw the other one in', () => {
    const memoryOnly = { ...betweenTheLines, relieving: { cpu: false, memory: true } };
    expect(makePlan(exampleSnapshot([memoryOnly, cold])).moves).toEqual([]);
  });
});

describe('relief of a host', () => {
  const { policy } = exampleSnapshot([]);
  const host = (cpuPercent: number, roundsOverLine: number) => {
    const [example] = exampleSnapshot([{ id: 'a', cores: 100, otherCores: cpuPercent }]).hosts;
    if (!example) throw new Error('no host');
    return { ...example, roundsOverLine };
  };
  const begun = { cpu: true, memory: false };

  it('begins over the start line, and only when that was sustained', () => {
    expect(nextRelief(noRelief, host(85, policy.sustainedRounds - 1), policy)).toEqual(noRelief);
    expect(nextRelief(noRelief, host(85, policy.sustainedRounds), policy)).toEqual(begun);
    expect(nextRelief(noRelief, host(70, policy.sustainedRounds), policy)).toEqual(noRelief);
  });

  it('goes on between the lines and ends at the stop line', () => {
    expect(nextRelief(begun, host(70, 0), policy)).toEqual(begun);
    expect(nextRelief(begun, host(60, 0), policy)).toEqual(noRelief);
  });

  it('is forgotten when the host falls silent', () => {
    expect(nextRelief(begun, { ...host(70, 0), status: 'silent' }, policy)).toEqual(noRelief);
  });
});
