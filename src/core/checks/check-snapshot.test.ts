import { describe, expect, it } from 'vitest';
import type { Rule } from '#core/model/rule.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { exampleEntry, exampleNowMs, exampleSnapshot } from '#core/planner/examples.ts';
import { checkSnapshot } from './check-snapshot.ts';

const sound = exampleSnapshot([{ id: 'a', vms: [{ id: 'vm', cores: 2 }] }, { id: 'b' }]);

const pin: Rule = { kind: 'pin', name: 'p', vms: ['*'], hosts: ['a'] };

const standard = { downtimeMsMax: 0, costFactor: 1, moves: 'automatic' } as const;
const activity = { measuredAtMs: 1, measuredForMs: 1, usedBytes: null, dirtyBytesPerSecond: 1, workingSetBytes: 1 };
const facts = { vmId: 'vm', slaClass: null, tenant: null, activity };
const channel = { hostA: 'a', hostB: 'b', bytesPerSecond: 1e6, measuredAtMs: 1, factors: { total: 1, downtime: 1, bytes: 1 } };

function codes(more: Partial<Snapshot>): readonly string[] {
  return checkSnapshot({ ...sound, ...more }).map((violation) => violation.code);
}

describe('the linter of snapshots', () => {
  it('finds nothing in a sound snapshot', () => {
    expect(checkSnapshot(sound)).toEqual([]);
    expect(codes({ vmFacts: [facts], bandwidths: [channel] })).toEqual([]);
  });

  it.each<[string, Partial<Snapshot>]>([
    ['duplicate-host', { hosts: [...sound.hosts, ...sound.hosts.slice(1)] }],
    ['duplicate-vm', { vms: [...sound.vms, ...sound.vms.map((vm) => ({ ...vm, hostId: 'b' }))] }],
    ['host-unknown', { vms: sound.vms.map((vm) => ({ ...vm, hostId: 'nowhere' })) }],
    ['figure-unusable', { vms: sound.vms.map((vm) => ({ ...vm, vcpus: Number.NaN })) }],
    ['figure-unusable', { hosts: sound.hosts.map((host) => ({ ...host, roundsOverLine: -1 })) }],
    ['figure-unusable', { hosts: sound.hosts.map((host) => ({ ...host, networkBytesPerSecond: -1 })) }],
    ['figure-unusable', { vms: sound.vms.map((vm) => ({ ...vm, diskBytesPerSecond: Number.NaN })) }],
    ['figure-unusable', { takenAtMs: Number.NaN }],
    ['in-flight-invalid', { inFlight: [{ vmId: 'vm', fromHostId: 'a', toHostId: 'a' }] }],
    ['host-unknown', { inFlight: [{ vmId: 'vm', fromHostId: 'a', toHostId: 'nowhere' }] }],
    ['ledger-invalid', { ledger: [exampleEntry('vm', 0, { startedAtMs: exampleNowMs + 1 })] }],
    ['policy-invalid', { policy: { ...sound.policy, cpuLine: { startPercent: 60, stopPercent: 80 } } }],
    ['policy-invalid', { policy: { ...sound.policy, sustainedRounds: 0 } }],
    ['policy-invalid', { policy: { ...sound.policy, coolDownMsMax: 1 } }],
    ['rule-invalid', { rules: [pin, pin] }],
    ['rule-invalid', { rules: [{ ...pin, vms: [] }] }],
    ['rule-invalid', { rules: [{ ...pin, vms: ['label:Tier=*'] }] }],
    ['policy-invalid', { policy: { ...sound.policy, classes: {} } }],
    ['policy-invalid', { policy: { ...sound.policy, classes: { ...sound.policy.classes, x: { ...standard, costFactor: -1 } } } }],
    ['policy-invalid', { policy: { ...sound.policy, budgets: { ...sound.policy.budgets, gibPerHour: Number.NaN } } }],
    ['policy-invalid', { policy: { ...sound.policy, assumedBandwidthBytesPerSecond: -1 } }],
    ['ledger-invalid', { ledger: [exampleEntry('vm', 0, { sentBytes: -1 })] }],
    ['facts-invalid', { vmFacts: [facts, facts] }],
    ['facts-invalid', { vmFacts: [{ ...facts, activity: { ...activity, workingSetBytes: Number.NaN } }] }],
    ['facts-invalid', { bandwidths: [channel, channel] }],
    ['facts-invalid', { bandwidths: [{ ...channel, hostA: 'b', hostB: 'a' }] }],
    ['facts-invalid', { bandwidths: [{ ...channel, bytesPerSecond: 0 }] }],
    ['facts-invalid', { bandwidths: [{ ...channel, factors: { total: 1, downtime: Number.NaN, bytes: 1 } }] }],
  ])('finds %s', (code, wrong) => {
    expect(codes(wrong)).toContain(code);
  });

  it('accepts that both hosts of a migration report the VM', () => {
    expect(codes({ vms: [...sound.vms, ...sound.vms.map((vm) => ({ ...vm, hostId: 'b', state: 'incoming' as const }))] })).toEqual([]);
  });
});
