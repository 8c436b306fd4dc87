import { describe, expect, it } from 'vitest';
import type { Rule } from '#core/model/rule.ts';
import { drainSteps, movedAway, restoreSteps } from './drain.ts';
import { exampleEntry, exampleNowMs, exampleSnapshot } from './examples.ts';
import type { ExampleFacts, ExampleHost } from './examples.ts';

const away: ExampleHost = {
  id: 'a',
  cordoned: true,
  vms: [
    { id: 'web', cores: 1, gib: 4 },
    { id: 'db', cores: 2, gib: 16 },
    { id: 'off', cores: 0, state: 'shut-off' },
  ],
};
const others: readonly ExampleHost[] = [{ id: 'b', otherCores: 1 }, { id: 'c' }];

function decide(hosts: readonly ExampleHost[], facts: ExampleFacts = {}) {
  const decision = drainSteps(exampleSnapshot(hosts, facts), 'a', 0);
  return {
    steps: decision.steps.map(({ vmName, toHostId }) => `${vmName} > ${toHostId}`),
    stays: decision.stays.map(({ vmName, code, passing }) => `${vmName}: ${code}${passing ? ', for now' : ''}`),
    reasons: decision.stays.map(({ reason }) => reason),
  };
}

describe('a host that is emptied', () => {
  it('gives its large VMs away first, each to the host that is least loaded with it; what is shut off stays', () => {
    expect(decide([away, ...others])).toMatchObject({ steps: ['db > c', 'web > b'], stays: [] });
  });

  it('is not held up by a cool-down, a window or the headroom', () => {
    const always = {
      fromMinute: 0,
      untilMinute: 1440,
      weekdays: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const,
      utcOffsetMinutes: 0,
    };
    const rules: Rule[] = [
      { kind: 'blackout', name: 'x', vms: ['*'], when: always },
      { kind: 'ignore', name: 'y', vms: ['*'] },
    ];
    const facts: ExampleFacts = { rules, ledger: [exampleEntry('db', 60_000)], policy: { headroom: { hostFailures: 1 } } };
    expect(decide([away, ...others], facts).steps).toHaveLength(2);
  });

  it('keeps to placement rules and refused pairs, and names what stays', () => {
    const rules: Rule[] = [
      { kind: 'pin', name: 'home', vms: ['db'], hosts: ['a'] },
      { kind: 'anti-affinity', name: 'apart', vms: ['web', 'web-2'] },
    ];
    const refusals = [{ vmId: 'web', hostId: 'b', code: 'cpu-incompatible' as const, reason: 'no AVX', untilMs: exampleNowMs + 1000 }];
    const hosts: ExampleHost[] = [away, { id: 'b' }, { id: 'c', vms: [{ id: 'web-2', cores: 0.1 }] }];
    expect(decide(hosts, { rules, refusals })).toMatchObject({ steps: [], stays: ['db: rule-pin', 'web: refused'] });
  });

  it('sends VMs that belong together to a host that takes them all', () => {
    const rules: Rule[] = [{ kind: 'affinity', name: 'pair', vms: ['web', 'db'] }];
    const hosts: ExampleHost[] = [away, { id: 'b', gib: 20 }, { id: 'c', otherCores: 3 }];
    expect(decide(hosts).steps).toEqual(['db > b', 'web > c']);
    expect(decide(hosts, { rules }).steps).toEqual(['db > c', 'web > c']);
    const split = [away, { id: 'b', gib: 20 }];
    expect(decide(split, { rules }).stays).toEqual(['db: no-target-memory', 'web: no-target-memory']);
  });

  it('sends a group that several rules make to one host, and keeps it whole when one of it cannot leave', () => {
    const rules: Rule[] = [
      { kind: 'affinity', name: 'first', vms: ['web', 'db'] },
      { kind: 'affinity', name: 'second', vms: ['db', 'log'] },
    ];
    const log = { id: 'log', cores: 1, gib: 16 };
    const three = { ...away, vms: [...(away.vms ?? []), log] };
    const hosts: ExampleHost[] = [three, { id: 'b', gib: 36 }, { id: 'c', otherCores: 1 }];
    expect(decide(hosts, { rules }).steps).toEqual(['db > c', 'log > c', 'web > c']);
    const paused = { ...three, vms: [...(away.vms ?? []), { ...log, state: 'paused' as const }] };
    const held = decide([paused, ...hosts.slice(1)], { rules });
    expect(held).toMatchObject({ steps: [], stays: ['db: not-running', 'log: not-running', 'web: not-running'] });
    expect(held.reasons[0]).toBe(
      'db leaves together with log, by rule first, second: log is paused, only a running VM can be moved live: resume it, or shut it down',
    );
    const begun: ExampleHost[] = [paused, { id: 'b' }, { id: 'c', vms: [{ id: 'mate', cores: 1 }] }];
    const more: Rule[] = [...rules, { kind: 'affinity', name: 'third', vms: ['web', 'mate'] }];
    expect(decide(begun, { rules: more }).steps).toEqual(['db > c', 'web > c']);
  });

  it('fills no host over its start line, and says what would be needed', () => {
    const hosts: ExampleHost[] = [away, { id: 'b', otherCores: 5 }];
    const decision = decide(hosts);
    expect(decision).toMatchObject({ steps: ['web > b'], stays: ['db: no-target-cpu'] });
    expect(decision.reasons).toEqual(['with db b would be at 87.5 % CPU, over its start line of 80 %']);
  });

  it('waits after a failure, longer each time, and gives up after the third', () => {
    const failed = (agoMs: number) =>
      exampleEntry('web', agoMs, { cause: 'drain', outcome: 'stayed', failureCode: 'link-lost', fromHostId: 'a', toHostId: 'b' });
    expect(decide([away, ...others], { ledger: [failed(50_000)] }).stays).toEqual(['web: link-lost, for now']);
    expect(decide([away, ...others], { ledger: [failed(70_000)] }).stays).toEqual([]);
    expect(decide([away, ...others], { ledger: [failed(300_000), failed(70_000)] }).stays).toEqual(['web: link-lost, for now']);
    const ledger = [failed(900_000), failed(800_000), failed(700_000)];
    expect(decide([away, ...others], { ledger }).stays).toEqual(['web: link-lost']);
  });

  it('waits for a sample of a host that has just taken a VM', () => {
    const ledger = [exampleEntry('other', 500, { cause: 'drain', toHostId: 'c' })];
    expect(decide([away, { id: 'c' }], { ledger }).stays).toEqual(['db: no-target-fresh, for now', 'web: no-target-fresh, for now']);
  });

  it('is not called empty as long as nobody knows what runs there', () => {
    const unseen = (hosts: readonly ExampleHost[]) => drainSteps(exampleSnapshot(hosts), 'a', 0).unseen;
    expect(unseen([{ id: 'a' }, ...others])).toBeNull();
    expect(unseen(others)).toBe('a has sent no sample yet');
    expect(unseen([{ id: 'a', status: 'silent', sampledAtMs: exampleNowMs - 120_000 }])).toBe(
      'a is silent, its newest sample is 2 min old',
    );
    const quarantine = { code: 'more-cpu-than-cores', message: 'it says 9 of 8 cores', sinceMs: 0, cleanSamplesLeft: 3 };
    expect(unseen([{ id: 'a', quarantine }])).toBe('a is not believed: it says 9 of 8 cores');
  });
});

describe('VMs that are brought back', () => {
  const drain = { hostId: 'a', startedAtMs: exampleNowMs - 3_600_000 };
  const gone = (vmId: string, agoMs: number, more = {}) =>
    exampleEntry(vmId, agoMs, { cause: 'drain', fromHostId: 'a', toHostId: 'b', ...more });

  it('are those that the drain has moved, and no others', () => {
    const ledger = [
      gone('late', 1000),
      gone('web', 60_000),
      gone('stayed', 60_000, { outcome: 'stayed' }),
      gone('by hand', 60_000, { cause: 'operator' }),
      gone('other host', 60_000, { fromHostId: 'c' }),
      gone('before', 7_200_000),
    ];
    expect(movedAway(ledger, drain)).toEqual(['web', 'late']);
  });

  it('come back as far as the host has room for them below its lines', () => {
    const hosts: ExampleHost[] = [
      { id: 'a', otherCores: 5 },
      {
        id: 'b',
        vms: [
          { id: 'web', cores: 1 },
          { id: 'db', cores: 2, gib: 8 },
          { id: 'mine', cores: 0.1 },
        ],
      },
      { id: 'c', vms: [{ id: 'still', cores: 0, state: 'paused' }] },
    ];
    const { steps, stays } = restoreSteps(exampleSnapshot(hosts), 'a', ['web', 'db', 'still'], 0);
    expect(steps).toMatchObject([{ vmId: 'web', fromHostId: 'b', toHostId: 'a' }]);
    expect(stays.map(({ vmName, code }) => `${vmName}: ${code}`)).toEqual(['db: no-target-cpu', 'still: not-running']);
  });

  it('are not given up for CPU that the last move itself took: what is still in the smoothed load is waited out', () => {
    const hosts: ExampleHost[] = [
      { id: 'a', otherCores: 5 },
      { id: 'b', vms: [{ id: 'db', cores: 2, gib: 8 }] },
    ];
    const stays = (agoMs: number) => {
      const ledger = [exampleEntry('web', agoMs, { cause: 'restore', fromHostId: 'b', toHostId: 'a' })];
      return restoreSteps(exampleSnapshot(hosts, { ledger }), 'a', ['db'], 0).stays.map(({ code, passing }) => ({ code, passing }));
    };
    expect(stays(30_000)).toEqual([{ code: 'no-target-cpu', passing: true }]);
    expect(stays(60_000)).toEqual([{ code: 'no-target-cpu', passing: false }]);
  });

  it('are waited for where they went to a host that says nothing yet, and not where they are gone', () => {
    const ledger = [gone('web', 60_000)];
    const back = (hosts: readonly ExampleHost[]) => restoreSteps(exampleSnapshot(hosts, { ledger }), 'a', ['web'], 0).stays;
    const why = 'it went there, and b has sent no sample yet';
    expect(back([{ id: 'a' }])).toEqual([{ vmId: 'web', vmName: 'web', hostId: 'b', code: 'stale-sample', reason: why, passing: true }]);
    expect(back([{ id: 'a' }, { id: 'b' }])).toEqual([]);
  });
});
