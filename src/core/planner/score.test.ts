import { describe, expect, it } from 'vitest';
import type { PlanDraft } from '#core/model/plan.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { accountOf } from './account.ts';
import { clusterOf } from './cluster.ts';
import { type ExampleFacts, type ExampleHost, exampleSnapshot } from './examples.ts';
import { makePlan } from './make-plan.ts';

/** Over its line: one of two equal VMs has to go. */
const hot: ExampleHost = {
  id: 'hot',
  netMib: 100,
  diskMib: 100,
  vms: [
    { id: 'busy', cores: 3.4, netMib: 80, diskMib: 10 },
    { id: 'calm', cores: 3.4, netMib: 10, diskMib: 10 },
  ],
};
const idle = (id: string, more: Partial<ExampleHost> = {}): ExampleHost => ({
  id,
  netMib: 0,
  diskMib: 0,
  ...more,
  vms: [{ id: `vm-${id}`, cores: 0.4 }],
});

const planOf = (hosts: readonly ExampleHost[], facts: ExampleFacts = {}) => makePlan(exampleSnapshot(hosts, facts));
const firstTarget = (hosts: readonly ExampleHost[]) => planOf(hosts).moves[0]?.toHostId;

/** The values of one term: before the first move, and after each. */
function course(snapshot: Snapshot, { moves }: PlanDraft, name: string): readonly number[] {
  const term = accountOf(snapshot, moves).terms.find((one) => one.name === name);
  if (term === undefined) throw new Error(`there is no term ${name}`);
  return term.values;
}

describe('what decides between moves that relieve alike', () => {
  it('the VM that leaves both hosts with more even traffic', () => {
    // 100 and 0 MiB/s: with the 80 of the one VM they have 20 and 80, with the 10 of the other 90 and 10.
    expect(planOf([hot, idle('free')]).moves[0]?.vmName).toBe('busy');
    // 100 and 40: 20 and 120, or 90 and 50.
    expect(planOf([hot, idle('free', { netMib: 40 })]).moves[0]?.vmName).toBe('calm');
  });

  it.each([
    ['network', { netMib: 90 }],
    ['disk', { diskMib: 90 }],
    ['pressure of CPU', { pressure: { cpuSomePercent: 70, memorySomePercent: 0, ioSomePercent: 0 } }],
    ['pressure of memory', { pressure: { cpuSomePercent: 0, memorySomePercent: 40, ioSomePercent: 0 } }],
    ['pressure of disks', { diskMib: 5, pressure: { cpuSomePercent: 0, memorySomePercent: 0, ioSomePercent: 70 } }],
  ])('the host with less %s', (_, trouble) => {
    expect(firstTarget([hot, idle('a'), idle('b')])).toBe('a');
    expect(firstTarget([hot, idle('a', trouble), idle('b')])).toBe('b');
  });

  it('pressure that is usual on a busy host decides nothing', () => {
    const pressure = { cpuSomePercent: 25, memorySomePercent: 10, ioSomePercent: 25 };
    expect(firstTarget([hot, idle('a', { pressure }), idle('b')])).toBe('a');
  });

  it('CPU comes first: a host with much more of it free is taken in spite of its traffic', () => {
    const loaded: ExampleHost = { ...idle('loaded'), vms: [{ id: 'vm-loaded', cores: 3.9 }] };
    expect(firstTarget([hot, idle('a', { netMib: 200, diskMib: 200 }), loaded])).toBe('a');
  });

  it('what is not known counts for nothing: hosts of agents that measure no traffic are planned as ever', () => {
    const unknown = (host: ExampleHost): ExampleHost => ({ ...host, netMib: null, diskMib: null });
    const snapshot = exampleSnapshot([hot, idle('a', { netMib: 90 }), idle('b')].map(unknown));
    const plan = makePlan(snapshot);
    expect(plan.moves[0]?.toHostId).toBe('a');
    expect(course(snapshot, plan, 'spread of network')).toEqual([0, 0]);
    expect(course(snapshot, plan, 'spread of disk')).toEqual([0, 0]);
  });
});

describe('spread of network and disk', () => {
  const spreadOf = (rates: readonly (number | null)[]) => {
    const snapshot = exampleSnapshot(rates.map((netMib, index) => ({ id: `host-${index}`, netMib })));
    return course(snapshot, makePlan(snapshot), 'spread of network')[0];
  };

  it('is the share of all traffic that would have to be elsewhere', () => {
    expect(spreadOf([100, 100, 100])).toBeCloseTo(0);
    expect(spreadOf([300, 0, 0])).toBeCloseTo(100 * (2 / 3));
    expect(spreadOf([200, 100, 0])).toBeCloseTo(100 / 3);
    expect(spreadOf([200, null, 0])).toBeCloseTo(50);
  });

  it('is next to nothing in a cluster with next to no traffic', () => {
    expect(spreadOf([0.03, 0, 0])).toBeCloseTo(0.067, 2);
    expect(spreadOf([0, 0, 0])).toBe(0);
  });

  it('two VMs that talk to each other inside a host take along no more than goes through its cards', () => {
    const chatty = { id: 'talks', cores: 1, netMib: 500 };
    const { hosts } = clusterOf(
      exampleSnapshot([
        { id: 'a', netMib: 100, vms: [chatty, { ...chatty, id: 'answers' }] },
        { id: 'b', netMib: 0 },
      ]),
      new Map(),
    );
    expect(hosts[0]?.vms.map(({ networkPercent }) => networkPercent)).toEqual([50, 50]);
  });
});

describe('what is counted by where the VMs are', () => {
  it('a move that mends a rule shows it, and one that relieves leaves it as it is', () => {
    const rules = [{ name: 'apart', kind: 'anti-affinity' as const, vms: ['x', 'y', 'z'] }];
    const hosts: readonly ExampleHost[] = [
      {
        id: 'a',
        vms: [
          { id: 'x', cores: 0.5 },
          { id: 'y', cores: 0.5 },
          { id: 'z', cores: 0.5 },
        ],
      },
      { id: 'b' },
      { id: 'c' },
    ];
    const snapshot = exampleSnapshot(hosts, { rules });
    const plan = makePlan(snapshot);
    // Three pairs, then one, then none.
    expect(course(snapshot, plan, 'rule violations')).toEqual([3, 1, 0]);
    expect(plan.moves.every(({ scoreBefore, scoreAfter }) => scoreAfter < scoreBefore - 150)).toBe(true);
  });

  it('counts VMs that are not where they are pinned to, and VMs that are apart though they are to be together', () => {
    const rules = [
      { name: 'here', kind: 'pin' as const, vms: ['x'], hosts: ['b'] },
      { name: 'together', kind: 'affinity' as const, vms: ['y', 'z'] },
    ];
    const hosts = [
      {
        id: 'a',
        cordoned: true,
        vms: [
          { id: 'x', cores: 0 },
          { id: 'y', cores: 0 },
        ],
      },
      { id: 'b', cordoned: true, vms: [{ id: 'z', cores: 0 }] },
    ];
    const snapshot = exampleSnapshot(hosts, { rules });
    expect(course(snapshot, makePlan(snapshot), 'rule violations')).toEqual([2]);
  });

  it('headroom that lacks, in percent of a host, and only where the policy asks for it', () => {
    const full: readonly ExampleHost[] = [
      {
        id: 'a',
        vms: [
          { id: 'x', cores: 0, gib: 32 },
          { id: 'y', cores: 0, gib: 16 },
        ],
      },
      { id: 'b', vms: [{ id: 'z', cores: 0, gib: 48 }] },
    ];
    const asked = exampleSnapshot(full, { policy: { headroom: { hostFailures: 1 } } });
    // Of the 48 GiB of the first host 16 find room on the other: 32 of 64 are short.
    expect(course(asked, makePlan(asked), 'headroom lacking')[0]).toBeCloseTo(50);
    const unasked = exampleSnapshot(full);
    expect(course(unasked, makePlan(unasked), 'headroom lacking')).toEqual([0]);
  });
});
