import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { leaseEndMs, leaseHolds, leaseIsOver, type LeaseTerms, leaseTerms, noGrant, renewed, waitMs } from './lease.ts';

/** One renewal, in real milliseconds: what passes before the reply, before the grant is sent, and before it arrives. */
interface Round {
  readonly stampToSendMs: number;
  readonly sendToArrivalMs: number;
  readonly pauseMs: number;
}

const anyRounds = fc.array(
  fc.record({
    stampToSendMs: fc.nat({ max: 30_000 }),
    sendToArrivalMs: fc.oneof(fc.nat({ max: 100 }), fc.nat({ max: 300_000 })),
    pauseMs: fc.nat({ max: 20_000 }),
  }),
  { minLength: 1, maxLength: 12 },
);
const anyDrift = fc.double({ min: -leaseTerms.driftShare, max: leaseTerms.driftShare, noNaN: true });

interface Story {
  readonly rounds: readonly Round[];
  /** How much faster than real time each clock runs. */
  readonly agentDrift: number;
  readonly controllerDrift: number;
}

/** Real times: until when the agent lets its VMs run, and from when on the controller calls that over. */
function play({ rounds, agentDrift, controllerDrift }: Story, terms: LeaseTerms, countFrom: 'stamp' | 'arrival') {
  const agentClock = (realMs: number) => 5_000_000 + realMs * (1 + agentDrift);
  const realOfAgent = (clockMs: number) => (clockMs - 5_000_000) / (1 + agentDrift);
  const controllerClock = (realMs: number) => 77 + realMs * (1 + controllerDrift);
  let [nowMs, sentAtMs, grant] = [0, 0, noGrant];
  for (const { stampToSendMs, sendToArrivalMs, pauseMs } of rounds) {
    const stampMs = agentClock(nowMs);
    const sentMs = nowMs + stampToSendMs;
    sentAtMs = Math.max(sentAtMs, controllerClock(sentMs));
    const arrivalMs = agentClock(sentMs + sendToArrivalMs);
    const endsAtMs = leaseEndMs(countFrom === 'stamp' ? stampMs : arrivalMs, arrivalMs, terms);
    grant = renewed(grant, { endsAtMs, vmIds: ['vm'] }, arrivalMs);
    nowMs = sentMs + pauseMs;
  }
  const runsUntilMs = realOfAgent(grant.endsAtMs + terms.fenceMs);
  const isOverAt = (realMs: number) => leaseIsOver(sentAtMs, controllerClock(realMs), terms);
  return { runsUntilMs, isOverAt };
}

const anyStory = fc.record({ rounds: anyRounds, agentDrift: anyDrift, controllerDrift: anyDrift });

/** The law: at no time is it called over while the agent may still let a VM run. */
function isSafe(story: Story, terms: LeaseTerms, countFrom: 'stamp' | 'arrival' = 'stamp'): boolean {
  const { runsUntilMs, isOverAt } = play(story, terms, countFrom);
  return !isOverAt(runsUntilMs - 1);
}

describe('a lease', () => {
  it(
    'is never called over while its agent may let a VM run: clocks that drift, messages held up, grants that never come',
    { timeout: 20_000 },
    () => {
      fc.assert(
        fc.property(anyStory, (story) => isSafe(story, leaseTerms)),
        { numRuns: 5000 },
      );
    },
  );

  it('would be, were it counted from the arrival of the grant', () => {
    const law = fc.property(anyStory, (story) => isSafe(story, leaseTerms, 'arrival'));
    expect(fc.check(law, { numRuns: 20_000 }).failed).toBe(true);
  });

  it('would be, did the controller not allow for drift', () => {
    const blind = (story: Story) => {
      const { runsUntilMs } = play(story, leaseTerms, 'stamp');
      const sent = story.rounds.reduce(
        (at, { stampToSendMs, pauseMs }, n, all) => at + stampToSendMs + (n === all.length - 1 ? 0 : pauseMs),
        0,
      );
      return (runsUntilMs - 1 - sent) * (1 + story.controllerDrift) < leaseTerms.leaseMs + leaseTerms.fenceMs;
    };
    const stories = anyStory.map((story) => ({ ...story, agentDrift: -0.01, controllerDrift: 0.01 }));
    expect(fc.check(fc.property(stories, blind), { numRuns: 1000 }).failed).toBe(true);
  });

  it('is called over some time: without renewal a host is not waited for for ever', () => {
    expect(waitMs(leaseTerms)).toBe(76_516);
    expect(leaseIsOver(1000, 1000 + waitMs(leaseTerms), leaseTerms)).toBe(true);
    expect(leaseIsOver(1000, 999 + waitMs(leaseTerms), leaseTerms)).toBe(false);
    expect(leaseIsOver(null, 0, leaseTerms)).toBe(true);
  });

  it('is not granted for a stamp from the future, and never made shorter by an older grant that arrives late', () => {
    expect(leaseEndMs(101, 100, leaseTerms)).toBeNull();
    const grant = renewed(noGrant, { endsAtMs: leaseEndMs(90, 100, leaseTerms), vmIds: ['a'] }, 100);
    expect(renewed(grant, { endsAtMs: leaseEndMs(10, 110, leaseTerms), vmIds: ['a'] }, 110).endsAtMs).toBe(60_090);
    expect(renewed(grant, { endsAtMs: null, vmIds: ['a', 'b'] }, 110)).toEqual({ endsAtMs: 60_090, vmIds: ['a', 'b'], fencedVmIds: [] });
  });

  it('that does not hold binds no VM anew, and lets go of those that it is told to', () => {
    expect(renewed(noGrant, { endsAtMs: null, vmIds: ['a'] }, 100).vmIds).toEqual([]);
    const over = { endsAtMs: 50, vmIds: ['a', 'b'], fencedVmIds: [] };
    expect(renewed(over, { endsAtMs: null, vmIds: ['b', 'c'] }, 100).vmIds).toEqual(['b']);
    expect(renewed(over, { endsAtMs: 60_000, vmIds: ['b', 'c'] }, 100).vmIds).toEqual(['b', 'c']);
  });

  it('that is about to end binds nobody anew, and goes on to bind whom it bound', () => {
    const short = { endsAtMs: 29_999, vmIds: ['a'], fencedVmIds: [] };
    expect(renewed(short, { endsAtMs: null, vmIds: ['a', 'b'] }, 0).vmIds).toEqual(['a']);
    expect(renewed(short, { endsAtMs: 30_000, vmIds: ['a', 'b'] }, 0).vmIds).toEqual(['a']);
    expect(renewed(short, { endsAtMs: 30_001, vmIds: ['a', 'b'] }, 0).vmIds).toEqual(['a', 'b']);
  });

  it('holds until its end and not at it', () => {
    const grant = renewed(noGrant, { endsAtMs: 60_090, vmIds: [] }, 0);
    expect([leaseHolds(grant, 60_089), leaseHolds(grant, 60_090), leaseHolds(noGrant, 0)]).toEqual([true, false, false]);
  });

  it('forgets that it ended a VM as soon as it does not bind that VM any more', () => {
    const fenced = { endsAtMs: 1, vmIds: ['a', 'b'], fencedVmIds: ['a', 'b'] };
    expect(renewed(fenced, { endsAtMs: 20, vmIds: ['b'] }, 10).fencedVmIds).toEqual(['b']);
  });
});
