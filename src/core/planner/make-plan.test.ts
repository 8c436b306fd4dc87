import { describe, expect, it } from 'vitest';
import type { Snapshot } from '#core/model/snapshot.ts';
import { checkPlan } from '#core/checks/check-plan.ts';
import { exampleEntry, exampleNowMs, exampleSnapshot } from './examples.ts';
import type { ExampleFacts, ExampleHost, ExampleVm } from './examples.ts';
import { makePlan } from './make-plan.ts';

const hot: ExampleHost = {
  id: 'hot',
  vms: [
    { id: 'db', cores: 3 },
    { id: 'web', cores: 2 },
    { id: 'mail', cores: 2 },
  ],
};
const cool: ExampleHost = { id: 'cool', vms: [{ id: 'wiki', cores: 1 }] };
const idle: ExampleHost = { id: 'idle', vms: [{ id: 'cron', cores: 0.5 }] };

function plan(hosts: readonly ExampleHost[], facts?: ExampleFacts) {
  const snapshot = exampleSnapshot(hosts, facts);
  const made = makePlan(snapshot);
  expect(checkPlan(snapshot, made)).toEqual([]);
  return made;
}

function steps(made: ReturnType<typeof makePlan>): readonly string[] {
  return made.moves.map((move) => `${move.vmName} ${move.fromHostId} > ${move.toHostId}`);
}

function codes(made: ReturnType<typeof makePlan>): readonly string[] {
  return made.skipped.map((skip) => `${skip.vmName ?? skip.hostId}: ${skip.code}`);
}

function manyVms(amount: number, cores: number, prefix: string): readonly ExampleVm[] {
  return Array.from({ length: amount }, (_, index) => ({ id: `${prefix}-${String(index).padStart(3, '0')}`, cores, gib: 0.25 }));
}

describe('relief', () => {
  it('moves VMs from the host over its line to the least loaded one until it is at its stop line', () => {
    const made = plan([hot, cool, idle]);
    expect(steps(made)).toEqual(['db hot > idle']);
    expect(made.verdict).toBe('moves');
    expect(made.moves[0]?.source.cpuAfterPercent).toBeCloseTo(50);
    expect(made.moves[0]?.reason).toBe(
      'hot is at 87.5 % CPU, over its start line of 80 %; db uses 3 cores and 4 GiB, and idle has the best room: ' +
        '6.3 % CPU and 6.3 % memory now, 43.8 % and 12.5 % with it; hot comes down to 50 % CPU, 12.5 % memory.',
    );
  });

  it('leaves hosts alone that are not over a start line, however unequal', () => {
    const made = plan([{ id: 'busy', otherCores: 6.3, vms: [{ id: 'vm', cores: 0.1 }] }, { id: 'empty' }]);
    expect(made).toMatchObject({ verdict: 'balanced', moves: [], skipped: [] });
  });

  it('relieves a host that is over its memory line by the memory that leaves', () => {
    const full: ExampleHost = {
      id: 'full',
      vms: [
        { id: 'cache', cores: 0.1, gib: 40 },
        { id: 'small', cores: 3, gib: 20 },
      ],
    };
    const made = plan([full, { id: 'empty' }]);
    expect(made.moves[0]?.source.memoryAfterPercent).toBeLessThanOrEqual(80);
    expect(made.moves).toHaveLength(1);
  });

  it('fills a target to just below its start line only while the source is above its own', () => {
    const others: ExampleHost[] = [
      { id: 'b', otherCores: 4 },
      { id: 'c', otherCores: 4 },
    ];
    const made = plan([{ id: 'a', vms: manyVms(7, 1, 'vm') }, ...others]);
    // 87.5 % -> 75 %, below the start line: nobody suffers, so the targets are not filled above their stop line any more.
    expect(steps(made)).toEqual(['vm-000 a > b']);
    expect(codes(made)).toContain('vm-001: no-target-cpu');
  });

  it('never fills a target up to its start line', () => {
    const made = plan([
      { id: 'a', vms: manyVms(7, 1, 'vm') },
      { id: 'b', otherCores: 5.1 },
    ]);
    expect(made.verdict).toBe('no-beneficial-move');
    expect(made.skipped[0]?.reason).toContain('b, would be at 76.3 % CPU, 75 % is the most a target may reach');
  });

  it('stops at the most moves of a plan and says so', () => {
    const made = plan([{ id: 'a', vms: manyVms(30, 0.25, 'vm') }, { id: 'b' }], { policy: { movesPerPlanMax: 2 } });
    expect(made.moves).toHaveLength(2);
    expect(codes(made)).toContain('a: limit-reached');
  });

  it('breaks ties by id', () => {
    const twin = (id: string): ExampleHost => ({ id });
    expect(steps(plan([{ id: 'a', vms: manyVms(2, 3.5, 'vm') }, twin('c'), twin('b')]))).toEqual(['vm-000 a > b']);
  });
});

describe('what stays', () => {
  it('waits until the overload is sustained', () => {
    const made = plan([{ ...hot, roundsOverLine: 2 }, idle]);
    expect(made.verdict).toBe('no-beneficial-move');
    expect(made.skipped).toEqual([
      { hostId: 'hot', vmId: null, vmName: null, code: 'not-sustained', reason: 'hot is over its line for 2 rounds, relief begins at 3' },
    ]);
  });

  it('plans around a VM that is in cool-down, paused or being migrated', () => {
    const ledger = [exampleEntry('db', 60_000, { cause: 'operator' })];
    const paused: ExampleHost = { ...hot, vms: [...(hot.vms ?? []), { id: 'still', cores: 0, state: 'paused' }] };
    const made = plan([paused, cool, idle], { ledger });
    expect(steps(made)).not.toContain('db hot > idle');
    expect(codes(made)).toEqual(['db: cool-down', 'still: not-running']);
    expect(made.skipped[0]?.reason).toContain('29 min');
  });

  it('counts a migration under way as done: no second move for the same load, and its room is taken', () => {
    const inFlight = [{ vmId: 'db', fromHostId: 'hot', toHostId: 'idle' }];
    const made = plan([hot, cool, idle], { inFlight, policy: { migrationsPerHostMax: 4 } });
    expect(made.moves).toEqual([]);
    expect(codes(made)).toEqual(['hot: in-flight']);
    const full = plan(
      [
        {
          ...hot,
          id: 'warm',
          vms: [
            { id: 'x', cores: 3.9 },
            { id: 'y', cores: 3 },
          ],
        },
        { id: 'idle' },
        { id: 'src', vms: [{ id: 'z', cores: 4 }] },
      ],
      {
        inFlight: [{ vmId: 'z', fromHostId: 'src', toHostId: 'idle' }],
        policy: { migrationsPerHostMax: 4 },
      },
    );
    expect(full.verdict).toBe('no-beneficial-move');
  });

  it('respects the limits on migrations per host and in the cluster', () => {
    const other = [{ id: 'p', vms: [{ id: 'v', cores: 1 }] }, { id: 'q' }];
    const inFlight = [{ vmId: 'v', fromHostId: 'p', toHostId: 'q' }];
    expect(steps(plan([hot, idle, ...other], { inFlight }))).toEqual(['db hot > idle']);
    expect(codes(plan([hot, idle, ...other], { inFlight, policy: { migrationsPerClusterMax: 1 } }))).toEqual(['hot: limit-reached']);
    const busyTarget = plan([hot, ...other], { inFlight });
    expect(busyTarget.skipped[0]?.code).toBe('limit-reached');
  });

  it('leaves the only VM of a host where it is when moving it would only move the problem', () => {
    const made = plan([{ id: 'a', vms: [{ id: 'giant', cores: 7 }] }, { id: 'b' }]);
    expect(codes(made)).toEqual(['giant: only-vm']);
    expect(made.verdict).toBe('no-beneficial-move');
    const bigger = plan([
      { id: 'a', vms: [{ id: 'giant', cores: 7 }] },
      { id: 'b', cores: 16 },
    ]);
    expect(steps(bigger)).toEqual(['giant a > b']);
  });

  it('does not plan again for a host whose smoothed load does not show its last move yet', () => {
    const ledger = [exampleEntry('gone', 4_000, { fromHostId: 'hot', toHostId: 'cool' })];
    const made = plan([hot, cool, idle], { ledger });
    expect(made.verdict).toBe('frozen');
    expect(codes(made)).toEqual(['cool: stale-sample', 'hot: stale-sample']);
    const failed = [exampleEntry('gone', 4_000, { fromHostId: 'hot', toHostId: 'cool', outcome: 'stayed' })];
    expect(plan([hot, cool, idle], { ledger: failed }).verdict).toBe('moves');
  });

  it('leaves a host alone that is not believed, as source and as target, and says until when', () => {
    const quarantine = { code: 'cpu-contradicts', message: 'its VMs use 4 cores, the host says 0', sinceMs: 1, cleanSamplesLeft: 2 };
    const trusting = plan([hot, { ...idle, id: 'liar' }]);
    expect(steps(trusting)).toEqual(['db hot > liar']);
    const made = plan([hot, { ...idle, id: 'liar', quarantine }]);
    expect(made).toMatchObject({ moves: [], verdict: 'frozen' });
    expect(made.skipped[0]).toMatchObject({ hostId: 'liar', vmId: null, code: 'quarantined' });
    expect(made.skipped[0]?.reason).toBe(
      'liar is left alone: its samples cannot be true (its VMs use 4 cores, the host says 0), it is believed again after 2 clean samples in a row',
    );
    expect(plan([{ ...hot, quarantine }, idle])).toMatchObject({ moves: [], verdict: 'frozen' });
  });

  it('says why every VM of a host that cannot be relieved stays', () => {
    const made = plan([hot, { id: 'small', gib: 2 }, { id: 'silent', status: 'silent' }]);
    expect(codes(made)).toEqual(['silent: stale-sample', 'db: no-target-memory', 'mail: no-target-memory', 'web: no-target-memory']);
    expect(plan([hot]).skipped.map((skip) => skip.code)).toEqual(['no-target-fresh', 'no-target-fresh', 'no-target-fresh']);
    expect(plan([hot]).verdict).toBe('frozen');
  });
});

describe('mistakes found in other balancers', () => {
  it('keeps CPU and memory apart when it predicts a move', () => {
    const made = plan([
      {
        id: 'a',
        vms: [
          { id: 'cpu', cores: 4, gib: 1 },
          { id: 'ram', cores: 3, gib: 40 },
        ],
      },
      { id: 'b' },
    ]);
    expect(made.moves[0]).toMatchObject({
      vmId: 'cpu',
      destination: { cpuBeforePercent: 0, cpuAfterPercent: 50, memoryBeforePercent: 0, memoryAfterPercent: 1.5625 },
    });
  });

  it('is not switched off by the NaN of one idle host', () => {
    const made = plan([hot, idle, { id: 'nan', otherCores: Number.NaN }]);
    expect(steps(made)).toEqual(['db hot > idle']);
    expect(made.scoreAfter).toBeLessThan(made.scoreBefore);
    expect(made.skipped[0]).toMatchObject({ hostId: 'nan', code: 'stale-sample' });
  });

  it('never moves a VM whose own figures are NaN, and never to a target on the strength of NaN', () => {
    const snapshot = exampleSnapshot([{ id: 'a', otherCores: 7, vms: [{ id: 'vm', cores: 0 }] }, { id: 'b' }]);
    const broken: Snapshot = { ...snapshot, vms: snapshot.vms.map((vm) => ({ ...vm, memoryBytes: Number.NaN as typeof vm.memoryBytes })) };
    expect(makePlan(broken)).toMatchObject({ moves: [], verdict: 'no-beneficial-move' });
  });

  it('chooses a target anew for each move, so that not all VMs go to one host', () => {
    const targets = ['b', 'c', 'd', 'e'].map((id) => ({ id }));
    const made = plan([{ id: 'a', cores: 16, vms: manyVms(15, 1, 'vm') }, ...targets], { policy: { movesPerPlanMax: 8 } });
    expect(new Set(made.moves.map((move) => move.toHostId)).size).toBe(4);
  });

  it('checks memory in bytes against bytes', () => {
    const source: ExampleHost = {
      id: 'a',
      vms: [
        { id: 'vm', cores: 4, gib: 8 },
        { id: 'other', cores: 3, gib: 8 },
      ],
    };
    expect(plan([source, { id: 'b', gib: 9 }]).moves).toEqual([]);
    expect(plan([source, { id: 'b', gib: 10.1 }]).moves).toHaveLength(1);
  });

  it.each([2, 9, 64, 500])('relieves one hot host among %i: no threshold that fades with the size of the cluster', (amount) => {
    const others = Array.from({ length: amount }, (_, index) => ({ id: `n${index}`, otherCores: 3 }));
    expect(plan([{ ...hot, vms: manyVms(14, 0.5, 'vm') }, ...others]).verdict).toBe('moves');
  });

  it.each([2, 10, 40, 200])('relieves a host with %i equal VMs: no threshold that a small VM cannot reach', (amount) => {
    expect(plan([{ id: 'a', vms: manyVms(amount, 7 / amount, 'vm') }, { id: 'b' }]).verdict).toBe('moves');
  });

  it('remembers cool-downs over a restart, because they are read from the ledger alone', () => {
    const ledger = (hot.vms ?? []).map((vm) => exampleEntry(vm.id, 5 * 60_000));
    const made = plan([hot, idle], { ledger });
    expect(made.moves).toEqual([]);
    expect(new Set(made.skipped.map((skip) => skip.code))).toEqual(new Set(['cool-down']));
    expect(plan([hot, idle], { ledger: [] }).verdict).toBe('moves');
  });

  it('does not move a whole cluster on one bad round', () => {
    const all = ['a', 'b', 'c', 'd'].map((id) => ({ ...hot, id, vms: manyVms(7, 1, id), roundsOverLine: 1 }));
    expect(plan([...all, { id: 'z' }]).moves).toEqual([]);
    expect(plan([...all.map((host) => ({ ...host, roundsOverLine: 3 })), { id: 'z' }]).moves.length).toBeGreaterThan(0);
  });

  it.each([
    { id: 'idle', status: 'silent' as const },
    { id: 'idle', status: 'joined' as const },
    { id: 'idle', sampledAtMs: exampleNowMs - 15_001 },
    { id: 'idle', sampledAtMs: Number.NaN },
  ])('never sends a VM to a host that is down or stale: %o', (target) => {
    expect(plan([hot, target])).toMatchObject({ moves: [], verdict: 'frozen' });
  });

  it('never takes a VM from a stale host, even if it was over its line', () => {
    expect(plan([{ ...hot, sampledAtMs: exampleNowMs - 20_000 }, idle])).toMatchObject({ moves: [], verdict: 'frozen' });
  });

  it('counts a failed move as a failed one: cool-down, but no doubling and no change of load', () => {
    const failed = [0, 1, 2].map((hour) => exampleEntry('db', 31 * 60_000 + hour * 3_600_000, { outcome: 'stayed' }));
    expect(steps(plan([hot, idle], { ledger: failed }))).toEqual(['db hot > idle']);
    const moved = failed.map((entry) => ({ ...entry, outcome: 'moved' as const }));
    expect(steps(plan([hot, idle], { ledger: moved }))).not.toEqual(['db hot > idle']);
  });

  it('does not plan for a VM that two hosts report', () => {
    const made = plan([
      { ...hot, vms: [{ id: 'db', cores: 7 }] },
      { id: 'idle', vms: [{ id: 'db', cores: 0, state: 'incoming' }] },
    ]);
    expect(made.skipped[0]).toMatchObject({ vmId: 'db', code: 'in-flight' });
  });
});
