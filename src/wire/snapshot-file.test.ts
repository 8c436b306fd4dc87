import { cores } from '#core/model/units.ts';
import { exampleEntry, exampleSnapshot } from '#core/planner/examples.ts';
import { describe, expect, test } from 'vitest';
import { parseSnapshotFile, snapshotFileOf, snapshotOf, unsoundIn } from './snapshot-file.ts';

const id = '00000000-0000-4000-8000-000000000001';
const snapshot = exampleSnapshot([{ id: 'h1', vms: [{ id, cores: 2 }] }, { id: 'h2' }], {
  inFlight: [{ vmId: id, fromHostId: 'h1', toHostId: 'h2' }],
  ledger: [exampleEntry(id, 60_000, { outcome: 'stayed', failureCode: 'link-lost' })],
  rules: [
    { kind: 'pin', name: 'rack-1', vms: ['db-*', id], hosts: ['h1'] },
    { kind: 'anti-affinity', name: 'web', vms: ['web-*'] },
    { kind: 'blackout', name: 'night', vms: ['*'], when: { fromMinute: 1320, untilMinute: 360, weekdays: ['fri'], utcOffsetMinutes: 60 } },
  ],
  refusals: [{ vmId: id, hostId: 'h2', code: 'cpu-incompatible', reason: 'h2 has no AVX-512', untilMs: 1_800_000_001_000 }],
});

const throughText = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('a snapshot file', () => {
  test('holds the whole snapshot', () => {
    const file = parseSnapshotFile(throughText(snapshotFileOf(snapshot, 'automatic')), 's.json');
    expect(snapshotOf(file)).toEqual(snapshot);
    expect(file.mode).toBe('automatic');
    expect(unsoundIn(file)).toEqual([]);
  });

  test('of before there were forecasts and quarantines says that neither is known', () => {
    const { forecast: _forecast, ...policy } = snapshot.policy;
    const hosts = snapshot.hosts.map(({ quarantine: _quarantine, ...host }) => host);
    const vms = snapshot.vms.map(({ forecast: _vmForecast, ...vm }) => vm);
    const file = parseSnapshotFile(throughText({ ...snapshotFileOf(snapshot, 'automatic'), policy, hosts, vms }), 's.json');
    expect(snapshotOf(file)).toEqual(snapshot);
  });

  test('holds what is known of a host that is not believed, and of what a VM will use', () => {
    const quarantine = { code: 'implausible', message: '16 cores used of 8', sinceMs: 5, cleanSamplesLeft: 3 };
    const forecast = { meanCores: cores(1.5), highCores: cores(3), horizonMs: 1_800_000, confidencePercent: 72 };
    const usual = { meanCores: cores(1.2), spreadCores: cores(0.3) };
    for (const one of [forecast, { ...forecast, usual }]) {
      const known = exampleSnapshot([{ id: 'h1', quarantine, vms: [{ id, cores: 2, forecast: one }] }]);
      expect(snapshotOf(parseSnapshotFile(throughText(snapshotFileOf(known, null)), 's.json'))).toEqual(known);
    }
  });

  test('holds what is known of channels, of the memory and the class of VMs, and of what moves sent', () => {
    const activity = { measuredAtMs: 5, measuredForMs: 20_000, usedBytes: null, dirtyBytesPerSecond: 1.5, workingSetBytes: 7 };
    const known = exampleSnapshot([{ id: 'h1', vms: [{ id, cores: 2 }] }], {
      vmFacts: [{ vmId: id, slaClass: 'critical', tenant: 'acme', activity }],
      bandwidths: [{ hostA: 'h1', hostB: 'h2', bytesPerSecond: 1e8, measuredAtMs: 5, factors: { total: 1.1, downtime: 2, bytes: 1 } }],
      ledger: [exampleEntry(id, 60_000, { sentBytes: 4e9 })],
      automatic: false,
    });
    expect(snapshotOf(parseSnapshotFile(throughText(snapshotFileOf(known, 'automatic')), 's.json'))).toEqual(known);
  });

  test.each([
    ['automatic', true],
    ['approve', false],
  ] as const)('of before there were classes and budgets is read with the defaults, in mode %s', (mode, automatic) => {
    const { vmFacts: _f, bandwidths: _b, automatic: _a, policy, ledger, ...old } = snapshotFileOf(snapshot, mode);
    const { classes: _c, budgets: _bu, assumedBandwidthBytesPerSecond: _as, ...oldPolicy } = policy;
    const oldLedger = ledger.map(({ sentBytes: _sent, ...entry }) => entry);
    const file = parseSnapshotFile(throughText({ ...old, ledger: oldLedger, policy: oldPolicy }), 's.json');
    expect(snapshotOf(file)).toEqual({ ...snapshot, automatic });
  });

  test('from before there were rules is read as one without any', () => {
    const { rules: _, refusals: _refusals, hosts, policy, ...old } = snapshotFileOf(snapshot, null);
    const { headroom: _headroom, ...oldPolicy } = policy;
    const oldHosts = hosts.map(({ cordoned: _cordoned, unfit: _unfit, ...host }) => host);
    const file = parseSnapshotFile(throughText({ ...old, hosts: oldHosts, policy: oldPolicy }), 's.json');
    expect(snapshotOf(file)).toEqual({ ...snapshot, rules: [], refusals: [] });
  });

  test('from before there was traffic is read as one in which it is not known', () => {
    const without = <One extends object>(one: One) => ({ ...one, networkBytesPerSecond: undefined, diskBytesPerSecond: undefined });
    const { hosts, vms, ...old } = snapshotFileOf(snapshot, null);
    const file = parseSnapshotFile(throughText({ ...old, hosts: hosts.map(without), vms: vms.map(without) }), 's.json');
    const unknown = { networkBytesPerSecond: null, diskBytesPerSecond: null };
    expect(snapshotOf(file)).toEqual({
      ...snapshot,
      hosts: hosts.map((one) => ({ ...one, ...unknown })),
      vms: vms.map((one) => ({ ...one, ...unknown })),
    });
    expect(vms.length).toBeGreaterThan(0);
  });

  test.each<readonly [string, unknown, string]>([
    ['no object', [], 'input-invalid'],
    ['nothing', null, 'input-invalid'],
    ['another format', { format: 'x', version: 1 }, 'input-invalid'],
    ['a later version', { ...snapshotFileOf(snapshot, null), version: 2 }, 'version-unsupported'],
    ['no version', { format: 'plimsoll-snapshot' }, 'version-unsupported'],
    ['a part too few', { ...snapshotFileOf(snapshot, null), policy: undefined }, 'input-invalid'],
    ['a part too many', { ...snapshotFileOf(snapshot, null), also: 1 }, 'input-invalid'],
    [
      'a class that is no word',
      { ...snapshotFileOf(snapshot, null), vmFacts: [{ vmId: id, slaClass: 'A B', tenant: null, activity: null }] },
      'input-invalid',
    ],
    ['a VM without a UUID', { ...snapshotFileOf(snapshot, null), vms: [{ ...snapshot.vms[0], vmId: 'web' }] }, 'input-invalid'],
  ])('with %s is refused', (_what, value, code) => {
    expect(() => parseSnapshotFile(throughText(value), 's.json')).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining('s.json') as string }),
    );
  });

  test('that cannot be true can be read, and says what is wrong', () => {
    const file = parseSnapshotFile(throughText(snapshotFileOf({ ...snapshot, hosts: [] }, null)), 's.json');
    expect(unsoundIn(file).map(({ code }) => code)).toContain('host-unknown');
  });
});
