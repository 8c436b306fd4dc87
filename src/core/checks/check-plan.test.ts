import { describe, expect, it } from 'vitest';
import type { Move, PlanDraft } from '#core/model/plan.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { exampleEntry, exampleSnapshot } from '#core/planner/examples.ts';
import type { ExampleFacts } from '#core/planner/examples.ts';
import { checkPlan } from './check-plan.ts';

function snapshot(facts: ExampleFacts = {}, roundsOverLine = 3): Snapshot {
  return exampleSnapshot(
    [
      {
        id: 'hot',
        roundsOverLine,
        vms: [
          { id: 'db', cores: 3 },
          { id: 'web', cores: 4 },
          { id: 'still', cores: 0, state: 'paused' },
        ],
      },
      { id: 'cool', vms: [{ id: 'wiki', cores: 1 }] },
      { id: 'busy', otherCores: 5 },
      { id: 'tiny', gib: 4 },
      { id: 'gone', status: 'silent' },
    ],
    facts,
  );
}

/** A sound move, written by hand: 7 of 8 cores and 12 of 64 GiB on the source, 1 core and 4 GiB on the target. */
const sound: Move = {
  vmId: 'db',
  vmName: 'db',
  fromHostId: 'hot',
  toHostId: 'cool',
  reason: 'hot is over its line',
  scoreBefore: 10,
  scoreAfter: 5,
  source: { hostId: 'hot', cpuBeforePercent: 87.5, cpuAfterPercent: 50, memoryBeforePercent: 18.75, memoryAfterPercent: 12.5 },
  destination: { hostId: 'cool', cpuBeforePercent: 12.5, cpuAfterPercent: 50, memoryBeforePercent: 6.25, memoryAfterPercent: 12.5 },
};

function draft(moves: readonly Move[], more: Partial<PlanDraft> = {}): PlanDraft {
  return {
    verdict: moves.length > 0 ? 'moves' : 'balanced',
    summary: 'a plan',
    scoreBefore: 10,
    scoreAfter: 5,
    moves,
    skipped: [],
    ...more,
  };
}

function codes(plan: PlanDraft, of = snapshot()): readonly string[] {
  return checkPlan(of, plan).map((violation) => violation.code);
}

describe('the linter of plans', () => {
  it('finds nothing in a sound plan', () => {
    expect(checkPlan(snapshot(), draft([sound]))).toEqual([]);
    expect(checkPlan(snapshot(), draft([]))).toEqual([]);
  });

  it('finds a host in use that is not believed, and one that is not named as such', () => {
    const quarantine = { code: 'implausible', message: '16 cores used of 8', sinceMs: 1, cleanSamplesLeft: 5 };
    const of = (hostId: string) => ({
      ...snapshot(),
      hosts: snapshot().hosts.map((host) => (host.hostId === hostId ? { ...host, quarantine } : host)),
    });
    const named = (hostId: string) => ({
      skipped: [{ hostId, vmId: null, vmName: null, code: 'quarantined' as const, reason: 'not believed' }],
    });
    expect(codes(draft([sound], named('hot')), of('hot'))).toEqual(['host-quarantined']);
    expect(codes(draft([sound], named('cool')), of('cool'))).toEqual(['host-quarantined']);
    expect(codes(draft([sound], named('tiny')), of('tiny'))).toEqual([]);
    expect(codes(draft([sound]), of('tiny'))).toEqual(['host-quarantined']);
    expect(codes(draft([sound], named('tiny')))).toEqual(['host-quarantined']);
  });

  it.each<[string, Partial<Move>]>([
    ['same-host', { toHostId: 'hot' }],
    ['host-unknown', { toHostId: 'nowhere' }],
    ['vm-unknown', { vmId: 'nobody' }],
    ['vm-not-running', { vmId: 'still' }],
    ['vm-not-on-source', { vmId: 'wiki' }],
    ['source-not-over-line', { vmId: 'wiki', fromHostId: 'cool', toHostId: 'tiny' }],
    ['host-stale', { toHostId: 'gone' }],
    ['target-over-line', { toHostId: 'busy' }],
    ['target-over-line', { toHostId: 'tiny' }],
    ['reason-missing', { reason: ' ' }],
    ['score-not-lower', { scoreAfter: 10 }],
    ['score-not-lower', { scoreAfter: Number.NaN }],
    ['prediction-wrong', { destination: { ...sound.destination, cpuAfterPercent: 12.5, memoryAfterPercent: 50 } }],
    ['prediction-wrong', { source: { ...sound.source, memoryAfterPercent: 12.5 / 1.024 } }],
  ])('finds %s', (code, wrong) => {
    expect(codes(draft([{ ...sound, ...wrong }]))).toContain(code);
  });

  it('finds a VM that is moved twice, and one that is in flight', () => {
    expect(codes(draft([sound, sound]))).toContain('vm-twice');
    const inFlight = [{ vmId: 'db', fromHostId: 'hot', toHostId: 'cool' }];
    expect(codes(draft([sound]), snapshot({ inFlight }))).toEqual(expect.arrayContaining(['vm-in-flight', 'limit-exceeded']));
  });

  it('finds a VM in cool-down, and none whose cool-down is over', () => {
    expect(codes(draft([sound]), snapshot({ ledger: [exampleEntry('db', 29 * 60_000)] }))).toEqual(['vm-cooling']);
    expect(codes(draft([sound]), snapshot({ ledger: [exampleEntry('db', 31 * 60_000)] }))).toEqual([]);
    const twice = [exampleEntry('db', 31 * 60_000), exampleEntry('db', 70 * 60_000)];
    expect(codes(draft([sound]), snapshot({ ledger: twice }))).toEqual(['vm-cooling']);
  });

  it('finds a host whose load does not show its last move yet', () => {
    const ledger = [exampleEntry('other', 5_000, { toHostId: 'cool' })];
    expect(codes(draft([sound]), snapshot({ ledger }))).toEqual(['host-settling']);
  });

  it('finds a source that is not over its line long enough', () => {
    expect(codes(draft([sound]), snapshot({}, 2))).toEqual(['source-not-sustained']);
  });

  it('finds more moves than a plan may have, and moves in a cluster at its limit', () => {
    expect(codes(draft([sound]), snapshot({ policy: { movesPerPlanMax: 0 } }))).toEqual(['limit-exceeded']);
    const inFlight = [{ vmId: 'wiki', fromHostId: 'busy', toHostId: 'tiny' }];
    expect(codes(draft([sound]), snapshot({ inFlight, policy: { migrationsPerClusterMax: 1 } }))).toContain('limit-exceeded');
  });

  it('finds memory that was promised away, even if it is not in use', () => {
    const lazy = exampleSnapshot([
      {
        id: 'hot',
        vms: [
          { id: 'db', cores: 3 },
          { id: 'web', cores: 4 },
        ],
      },
      { id: 'cool', gib: 8, vms: [{ id: 'wiki', cores: 1, gib: 6 }] },
    ]);
    const hosts = lazy.hosts.map((host) =>
      host.hostId === 'cool' ? { ...host, memoryUsedBytes: 0 as typeof host.memoryUsedBytes } : host,
    );
    expect(codes(draft([sound]), { ...lazy, hosts })).toContain('target-without-memory');
  });

  it('finds a verdict that does not go with the moves, and empty sentences', () => {
    expect(codes(draft([sound], { verdict: 'balanced' }))).toEqual(['verdict-wrong']);
    expect(codes(draft([], { verdict: 'moves' }))).toEqual(['verdict-wrong']);
    expect(codes(draft([], { summary: '' }))).toEqual(['reason-missing']);
    const skip = { hostId: 'hot', vmId: null, vmName: null, code: 'not-sustained' as const, reason: '' };
    expect(codes(draft([], { skipped: [skip] }))).toEqual(['reason-missing']);
  });
});
