import { describe, expect, it } from 'vitest';
import { checkPlan } from '#core/checks/check-plan.ts';
import { predict } from '#core/migration/prediction.ts';
import { plainOptions } from '#core/migration/choice-options.ts';
import { noCorrections } from '#core/migration/calibration.ts';
import { defaultPolicy, type Policy } from '#core/model/policy.ts';
import type { PairBandwidth, Snapshot, VmFacts } from '#core/model/snapshot.ts';
import { type ExampleFacts, type ExampleHost, exampleNowMs, exampleSnapshot, gibibyte } from './examples.ts';
import { makePlan } from './make-plan.ts';

const mebibyte = 2 ** 20;
const byBalance: Partial<Policy> = {
  strategy: 'balance',
  cpuLine: { startPercent: 85, stopPercent: 80 },
  balance: { shortageMs: 200_000, coreSecondsPerGib: 20 },
};
const hot: ExampleHost = { id: 'hot', vms: ['a', 'b', 'c'].map((id) => ({ id, cores: 2.5, gib: 8 })) };
const idle = (id: string): ExampleHost => ({ id, vms: [] });

function channel(one: string, other: string, mibPerSecond: number, factors = { total: 1, downtime: 1, bytes: 1 }): PairBandwidth {
  const [hostA = '', hostB = ''] = [one, other].toSorted();
  return { hostA, hostB, bytesPerSecond: mibPerSecond * mebibyte, measuredAtMs: exampleNowMs, factors };
}

function facts(vmId: string, more: Partial<VmFacts> = {}): VmFacts {
  return { vmId, slaClass: null, tenant: null, activity: null, ...more };
}

/** Of 8 GiB it uses 1, and writes `mibPerSecond` of it. */
function light(mibPerSecond = 0) {
  const usedBytes = gibibyte;
  return {
    measuredAtMs: exampleNowMs,
    measuredForMs: 20_000,
    usedBytes,
    dirtyBytesPerSecond: mibPerSecond * mebibyte,
    workingSetBytes: Math.min(usedBytes, 3 * mibPerSecond * mebibyte),
  };
}

function planned(hosts: readonly ExampleHost[], more: ExampleFacts = {}) {
  const snapshot: Snapshot = exampleSnapshot(hosts, { ...more, policy: { ...byBalance, ...more.policy } });
  const plan = makePlan(snapshot);
  expect(checkPlan(snapshot, plan)).toEqual([]);
  return { ...plan, stays: new Map(plan.skipped.map(({ vmId, code, reason }) => [vmId, { code, reason }])) };
}

describe('what a move costs', () => {
  it('is by all the memory of a VM where nothing is known, and no time is made up', () => {
    const [move] = planned([hot, idle('cool')]).moves;
    expect(move?.cost).toEqual({
      bytes: 8 * gibibyte,
      bytesBy: 'memory',
      durationMs: null,
      downtimeMs: null,
      slaClass: 'standard',
      priceCoreSeconds: 160,
      savedCoreSeconds: expect.any(Number) as number,
    });
    expect(move?.reason).toMatch(/that saves \d+ core-seconds of shortage, copying 8 GiB must save 160\.$/);
  });

  it('is by what the VM uses where that was looked at, as a migration of it would be forecast', () => {
    const activity = light(20);
    const bandwidths = [channel('hot', 'cool', 100)];
    const { moves } = planned([hot, idle('cool')], { vmFacts: [facts('b', { activity })], bandwidths });
    const expected = predict(
      plainOptions('pre-copy', { wish: { method: 'auto' }, policy: defaultPolicy, streams: { max: 1, reason: '' } }),
      {
        memoryBytes: 8 * gibibyte,
        activity,
        bandwidth: { bytesPerSecond: 100 * mebibyte, measuredAtMs: 0, by: 'stream' },
        corrections: noCorrections,
      },
    );
    expect(moves).toMatchObject([
      {
        vmName: 'b',
        cost: {
          bytes: expected.bytes.expected,
          bytesBy: 'activity',
          durationMs: expected.totalMs.expected,
          downtimeMs: expected.downtimeMs.expected,
          priceCoreSeconds: (20 * expected.bytes.expected) / gibibyte,
        },
      },
    ]);
    expect(moves[0]?.reason).toMatch(/copying 1\.\d GiB, which takes about 1\d s and stops it for about \d+ ms, must save 2\d\.$/);
  });

  it('counts what earlier migrations of the pair took against the model', () => {
    const slow = { total: 2, downtime: 3, bytes: 1.5 };
    const cost = (factors?: typeof slow) => {
      const more = { vmFacts: [facts('b', { activity: light() })], bandwidths: [channel('hot', 'cool', 100, factors)] };
      return planned([hot, idle('cool')], more).moves[0]?.cost;
    };
    const [plain, corrected] = [cost(), cost(slow)];
    expect(corrected?.durationMs).toBeCloseTo(2 * (plain?.durationMs ?? 0), 6);
    expect(corrected?.bytes).toBeCloseTo(1.5 * (plain?.bytes ?? 0), 3);
    expect(corrected?.downtimeMs).toBeCloseTo(3 * (plain?.downtimeMs ?? 0), 6);
  });

  it('takes the pair of hosts between which a copy ends sooner, where they are alike otherwise', () => {
    const bandwidths = [channel('hot', 'a-far', 60), channel('hot', 'b-near', 900)];
    expect(planned([hot, idle('a-far'), idle('b-near')], { bandwidths }).moves).toMatchObject([{ toHostId: 'b-near' }]);
    expect(planned([hot, idle('a-far'), idle('b-near')]).moves).toMatchObject([{ toHostId: 'a-far' }]);
  });

  it('of a pair that was never measured is by the slowest that was, and before any by what the policy takes for granted', () => {
    const bandwidths = [channel('x', 'y', 80), channel('y', 'z', 800)];
    const ms = (mib: number) => (8 * 1024 * 1000) / mib + 120;
    expect(planned([hot, idle('cool')], { bandwidths }).moves[0]?.cost?.durationMs).toBeCloseTo(ms(80), 3);
    const policy = { assumedBandwidthBytesPerSecond: 200 * mebibyte };
    expect(planned([hot, idle('cool')], { policy }).moves[0]?.cost?.durationMs).toBeCloseTo(ms(200), 3);
  });

  it('a copy that ends after the shortage is not made, and says so', () => {
    const bandwidths = [channel('hot', 'cool', 4)];
    const { moves, stays } = planned([hot, idle('cool')], { bandwidths });
    expect(moves).toEqual([]);
    expect(stays.get('a')).toEqual({
      code: 'copy-too-long',
      reason: 'copying a to cool would take about 35 min, longer than the 30 min that a shortage is seen ahead',
    });
    expect(planned([hot, idle('cool')], { bandwidths, policy: { strategy: 'lines' } }).stays.get('a')?.code).toBe('copy-too-long');
    const patient = { forecast: { horizonMs: 7_200_000 } };
    expect(planned([hot, idle('cool')], { bandwidths, policy: patient }).moves).toHaveLength(1);
  });

  it('what is short only for now is lost when the copy takes as long as that', () => {
    const forecast = { meanCores: 1, highCores: 1, horizonMs: 1_800_000, confidencePercent: 100 } as never;
    const peak: ExampleHost = { id: 'hot', vms: ['a', 'b', 'c'].map((id) => ({ id, cores: 2.5, gib: 8, forecast })) };
    const at = (mib: number) =>
      planned([peak, idle('cool')], {
        bandwidths: [channel('hot', 'cool', mib)],
        policy: { balance: { shortageMs: 200_000, coreSecondsPerGib: 5 } },
      });
    expect(at(1000).moves).toHaveLength(1);
    expect(at(41).moves).toEqual([]);
    expect(at(41).stays.get('a')).toMatchObject({ code: 'gain-too-small', reason: expect.stringContaining('its copy takes about 4 min') });
  });

  it('a rule is mended however long the copy takes', () => {
    const rules = [{ kind: 'pin' as const, name: 'licence', vms: ['a'], hosts: ['cool'] }];
    const calm: ExampleHost = { id: 'calm', vms: [{ id: 'a', cores: 1, gib: 8 }] };
    const { moves } = planned([calm, idle('cool')], { rules, bandwidths: [channel('calm', 'cool', 1)] });
    expect(moves).toMatchObject([{ vmName: 'a', cost: { savedCoreSeconds: null, priceCoreSeconds: null } }]);
  });
});

describe('SLA classes', () => {
  const classes: Policy['classes'] = {
    ...defaultPolicy.classes,
    fixed: { downtimeMsMax: 0, costFactor: 1, moves: 'never' },
    asked: { downtimeMsMax: 0, costFactor: 1, moves: 'approve-only' },
  };
  const all = (slaClass: string, more: Partial<VmFacts> = {}) => ['a', 'b', 'c'].map((vmId) => facts(vmId, { slaClass, ...more }));

  it.each(['lines', 'balance'] as const)('by %s, one that is never moved stays, and its neighbour goes', (strategy) => {
    const policy = { classes, strategy };
    expect(planned([hot, idle('cool')], { policy, vmFacts: [facts('a', { slaClass: 'fixed' })] }).moves).toMatchObject([{ vmName: 'b' }]);
    const { moves, stays } = planned([hot, idle('cool')], { policy, vmFacts: all('fixed') });
    expect(moves).toEqual([]);
    expect(stays.get('a')).toEqual({ code: 'class-never', reason: 'a is of class fixed, which the balancer does not move' });
  });

  it.each(['lines', 'balance'] as const)('by %s, one that a person must approve is not moved automatically', (strategy) => {
    const more = { policy: { classes, strategy }, vmFacts: all('asked') };
    expect(planned([hot, idle('cool')], { ...more, automatic: true }).stays.get('a')?.code).toBe('class-approve-only');
    expect(planned([hot, idle('cool')], { ...more, automatic: false }).moves).toHaveLength(1);
  });

  it('a dear VM must save more, so another one goes before it', () => {
    expect(planned([hot, idle('cool')], { vmFacts: [facts('a', { slaClass: 'critical' })] }).moves).toMatchObject([{ vmName: 'b' }]);
    expect(planned([hot, idle('cool')], { vmFacts: [facts('c', { slaClass: 'batch' })] }).moves).toMatchObject([
      {
        vmName: 'c',
        cost: { slaClass: 'batch', priceCoreSeconds: 80 },
        reason: expect.stringMatching(/must save 80 \(class batch\)\.$/) as string,
      },
    ]);
    const dear = { ...classes, critical: { downtimeMsMax: 0, costFactor: 900, moves: 'automatic' as const } };
    expect(planned([hot, idle('cool')], { policy: { classes: dear }, vmFacts: all('critical') }).stays.get('a')).toMatchObject({
      code: 'gain-too-small',
      reason: expect.stringContaining('must save 144000') as string,
    });
  });

  it.each(['lines', 'balance'] as const)('by %s, none is moved that would stand still for longer than its class bears', (strategy) => {
    // 60 MiB are written again and again, and the channel carries 20 MiB/s: what is left takes long.
    const activity = { ...light(), dirtyBytesPerSecond: 40 * mebibyte, workingSetBytes: 60 * mebibyte };
    const bandwidths = [channel('hot', 'cool', 20), channel('hot', 'fast', 2000)];
    const more = { policy: { strategy }, vmFacts: all('critical', { activity }), bandwidths };
    const { moves, stays } = planned([hot, idle('cool')], more);
    expect(moves).toEqual([]);
    expect(stays.get('a')).toMatchObject({
      code: 'downtime-limit',
      reason: expect.stringMatching(
        /^a would stand still for about [\d.]+ s on its way to cool, its class critical bears 250 ms$/,
      ) as string,
    });
    const { moves: quick } = planned([hot, idle('cool'), idle('fast')], more);
    expect(quick).toMatchObject([{ toHostId: 'fast' }]);
    expect(quick[0]?.cost?.downtimeMs).toBeLessThanOrEqual(250);
  });

  it('one that the policy does not have counts as standard, and the plan says so', () => {
    const { moves } = planned([hot, idle('cool')], { vmFacts: all('gold') });
    expect(moves).toMatchObject([
      {
        cost: { slaClass: 'standard' },
        reason: expect.stringMatching(/must save 160 \(its own class, gold, is not in policy\.classes\)\.$/) as string,
      },
    ]);
    const strict = { ...classes, standard: { downtimeMsMax: 0, costFactor: 1, moves: 'never' as const } };
    expect(planned([hot, idle('cool')], { policy: { classes: strict }, vmFacts: all('constructor') }).stays.get('a')?.reason).toBe(
      'a is of class standard (its own class, constructor, is not in policy.classes), which the balancer does not move',
    );
  });
});
