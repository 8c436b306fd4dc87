import { describe, expect, it } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import { defaultPolicy, type Policy } from '#core/model/policy.ts';
import { exampleEntry, exampleSnapshot, type ExampleHost } from './examples.ts';
import { makePlan } from './make-plan.ts';

const byBalance: Partial<Policy> = { strategy: 'balance', cpuLine: { startPercent: 85, stopPercent: 80 } };
const snapshotOf = (hosts: readonly ExampleHost[], policy: Partial<Policy> = {}) =>
  exampleSnapshot(hosts, { policy: { ...byBalance, ...policy } });
const idle: ExampleHost = { id: 'idle', cores: 8, gib: 64, vms: [] };

function planned(hosts: readonly ExampleHost[], policy: Partial<Policy> = {}) {
  const snapshot = snapshotOf(hosts, policy);
  const plan = makePlan(snapshot);
  expect(checkPlan(snapshot, plan)).toEqual([]);
  return plan;
}

describe('by the strategy balance', () => {
  it('a host that is short gives the VM away that ends it for the least bytes, at once and to the host with room', () => {
    const vms = [
      { id: 'large', cores: 3, gib: 32 },
      { id: 'small', cores: 3, gib: 2 },
      { id: 'tiny', cores: 0.2, gib: 1 },
    ];
    const { moves } = planned([{ id: 'hot', cores: 8, gib: 64, otherCores: 1.2, roundsOverLine: 1, vms }, idle]);
    expect(moves.map(({ vmName, toHostId }) => [vmName, toHostId])).toEqual([['small', 'idle']]);
  });

  it('nothing is moved that would save less than it costs, and the reason has both figures', () => {
    const vms = [{ id: 'huge', cores: 0.2, gib: 48 }];
    const { moves, verdict, skipped } = planned([{ id: 'hot', cores: 8, gib: 64, otherCores: 6.7, vms }, idle], {
      balance: { shortageMs: 200_000, coreSecondsPerGib: 1000 },
    });
    expect([moves, verdict]).toEqual([[], 'no-beneficial-move']);
    expect(skipped).toMatchObject([{ code: 'only-vm', reason: expect.stringMatching(/would save \d+ core-seconds.*must save 48000/) }]);
  });

  it('what VMs wait for counts as wanted, so a full host is relieved of more than it shows', () => {
    const vms = [
      { id: 'a', cores: 4, gib: 4, delayCores: 2 },
      { id: 'b', cores: 4, gib: 4 },
    ];
    const full: ExampleHost = { id: 'full', cores: 8, gib: 64, vms: [{ id: 'c', cores: 2, gib: 4 }] };
    expect(
      planned([
        { id: 'hot', cores: 8, gib: 64, vms },
        { ...full, id: 'fits' },
      ]).moves,
    ).toMatchObject([{ vmName: 'b', toHostId: 'fits' }]);
    const waiting = { ...full, vms: [{ id: 'c', cores: 2, gib: 4, delayCores: 3 }] };
    const { moves, skipped } = planned([{ id: 'hot', cores: 8, gib: 64, vms }, waiting]);
    expect(moves).toEqual([]);
    expect(skipped[0]).toMatchObject({
      code: 'no-target-cpu',
      reason: 'with a the VMs of the best of 1 target, full, would want 137.5 % of its CPU with what they wait for, more than it has',
    });
  });

  it('a host is spared whose VMs are expected to want more soon', () => {
    const forecast = { meanCores: 6, highCores: 7, horizonMs: 1_800_000, confidencePercent: 90 } as never;
    const vms = [
      { id: 'a', cores: 4, gib: 4 },
      { id: 'b', cores: 4, gib: 4 },
    ];
    const soon: ExampleHost = { id: 'calm-now', cores: 8, gib: 64, vms: [{ id: 'c', cores: 0.1, gib: 4, forecast }] };
    const later: ExampleHost = { id: 'steady', cores: 8, gib: 64, vms: [{ id: 'd', cores: 1, gib: 4 }] };
    expect(planned([{ id: 'hot', cores: 8, gib: 64, vms }, soon, later]).moves).toMatchObject([{ toHostId: 'steady' }]);
  });

  it('a host is spared whose VMs usually want more, where that is reckoned', () => {
    const quietNow = { meanCores: 0.1, highCores: 0.1, horizonMs: 1_800_000, confidencePercent: 100 };
    const vms = [
      { id: 'a', cores: 4, gib: 4 },
      { id: 'b', cores: 4, gib: 4 },
    ];
    const bursty = { ...quietNow, usual: { meanCores: 3, spreadCores: 3 } } as never;
    const hosts: readonly ExampleHost[] = [
      { id: 'hot', cores: 8, gib: 64, vms },
      { id: 'often-busy', cores: 8, gib: 64, vms: [{ id: 'c', cores: 0.1, gib: 4, forecast: bursty }] },
      { id: 'steady', cores: 8, gib: 64, vms: [{ id: 'd', cores: 1, gib: 4 }] },
    ];
    expect(planned(hosts).moves).toMatchObject([{ toHostId: 'often-busy' }]);
    const reckoned = { balance: { ...defaultPolicy.balance, usualMs: 3_600_000 } };
    expect(planned(hosts, reckoned).moves).toMatchObject([{ toHostId: 'steady' }]);
  });

  describe('where nobody waits yet, but would for a copy', () => {
    const forecast = (meanCores: number, highCores: number) =>
      ({ meanCores, highCores, horizonMs: 1_800_000, confidencePercent: 100 }) as never;
    const hot = (expected: never): ExampleHost => ({
      id: 'hot',
      cores: 8,
      gib: 64,
      vms: [
        { id: 'a', cores: 4, gib: 4, forecast: expected },
        { id: 'b', cores: 3.6, gib: 4, forecast: forecast(3.6, 3.6) },
      ],
    });
    const reckoned = { balance: { ...defaultPolicy.balance, copyCores: 1 } };

    it('nothing moves, and the plan says why; without copyCores it would', () => {
      const { moves, skipped } = planned([hot(forecast(4, 4)), idle], reckoned);
      expect(moves).toEqual([]);
      expect(skipped[0]).toMatchObject({
        code: 'gain-too-small',
        reason: expect.stringMatching(
          /^no VM of hot waits yet, but would for the copy of a: by the forecasts that saves -?\d+ core-seconds/,
        ),
      });
      expect(planned([hot(forecast(4, 4)), idle]).moves).toHaveLength(1);
    });

    it('it does where the forecasts expect more than the host has', () => {
      expect(planned([hot(forecast(6, 6)), idle], reckoned).moves).toHaveLength(1);
    });

    it('it does once they wait, and while a copy leaves them what they want', () => {
      const vms = [
        { id: 'a', cores: 4, gib: 4, delayCores: 1 },
        { id: 'b', cores: 4, gib: 4 },
      ];
      expect(planned([{ id: 'hot', cores: 8, gib: 64, vms }, idle], reckoned).moves).toHaveLength(1);
      const calm = [
        { id: 'a', cores: 4, gib: 4 },
        { id: 'b', cores: 2.9, gib: 4 },
      ];
      expect(planned([{ id: 'warm', cores: 8, gib: 64, vms: calm }, idle], reckoned).moves).toHaveLength(1);
    });
  });

  it('memory is relieved by its lines', () => {
    const vms = [
      { id: 'a', cores: 0.1, gib: 30 },
      { id: 'b', cores: 0.1, gib: 30 },
    ];
    expect(planned([{ id: 'hot', cores: 8, gib: 64, vms }, idle]).moves).toHaveLength(1);
  });

  it('nothing moves while nobody wants more than the line', () => {
    const vms = [{ id: 'a', cores: 6.7, gib: 4 }];
    expect(planned([{ id: 'busy', cores: 8, gib: 64, vms }, idle])).toMatchObject({ moves: [], verdict: 'balanced' });
  });
});

describe.each(['lines', 'balance'] as const)('by the strategy %s', (strategy) => {
  it('a VM is not sent back to a host that it has left within the hour', () => {
    const vms = [
      { id: 'a', cores: 4, gib: 4 },
      { id: 'b', cores: 4, gib: 4 },
    ];
    const policy: Policy = { ...defaultPolicy, ...byBalance, strategy, coolDownMs: 60_000, coolDownMsMax: 60_000 };
    const at = (agoMs: number) => {
      const past = ['a', 'b'].map((vmId) => exampleEntry(vmId, agoMs, { fromHostId: 'idle', toHostId: 'hot' }));
      const snapshot = { ...exampleSnapshot([{ id: 'hot', cores: 8, gib: 64, vms }, idle], { policy }), ledger: past };
      const plan = makePlan(snapshot);
      expect(checkPlan(snapshot, plan)).toEqual([]);
      return plan;
    };
    expect(at(10 * 60_000).moves).toEqual([]);
    expect(at(10 * 60_000).skipped.map(({ code }) => code)).toEqual(['returned', 'returned']);
    expect(at(61 * 60_000).moves).toHaveLength(1);
  });
});
