import { describe, expect, it } from 'vitest';
import type { Rule } from '#core/model/rule.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { exampleEntry, exampleNowMs, exampleSnapshot } from '#core/planner/examples.ts';
import { checkSnapshot } from './check-snapshot.ts';

const sound = exampleSnapshot([{ id: 'a', vms: [{ id: 'vm', cores: 2 }] }, { id: 'b' }]);

const pin: Rule = { kind: 'pin', name: 'p', vms: ['*'], hosts: ['a'] };

function codes(more: Partial<Snapshot>): readonly string[] {
  return checkSnapshot({ ...sound, ...more }).map((violation) => violation.code);
}

describe('the linter of snapshots', () => {
  it('finds nothing in a sound snapshot', () => {
    expect(checkSnapshot(sound)).toEqual([]);
  });

  it.each<[string, Partial<Snapshot>]>([
    ['duplicate-host', { hosts: [...sound.hosts, ...sound.hosts.slice(1)] }],
    ['duplicate-vm', { vms: [...sound.vms, ...sound.vms.map((vm) => ({ ...vm, hostId: 'b' }))] }],
    ['host-unknown', { vms: sound.vms.map((vm) => ({ ...vm, hostId: 'nowhere' })) }],
    ['figure-unusable', { vms: sound.vms.map((vm) => ({ ...vm, vcpus: Number.NaN })) }],
    ['figure-unusable', { hosts: sound.hosts.map((host) => ({ ...host, roundsOverLine: -1 })) }],
    ['figure-unusable', { takenAtMs: Number.NaN }],
    ['in-flight-invalid', { inFlight: [{ vmId: 'vm', fromHostId: 'a', toHostId: 'a' }] }],
    ['host-unknown', { inFlight: [{ vmId: 'vm', fromHostId: 'a', toHostId: 'nowhere' }] }],
    ['ledger-invalid', { ledger: [exampleEntry('vm', 0, { startedAtMs: exampleNowMs + 1 })] }],
    ['policy-invalid', { policy: { ...sound.policy, cpuLine: { startPercent: 60, stopPercent: 80 } } }],
    ['policy-invalid', { policy: { ...sound.policy, sustainedRounds: 0 } }],
    ['policy-invalid', { policy: { ...sound.policy, coolDownMsMax: 1 } }],
    ['rule-invalid', { rules: [pin, pin] }],
    ['rule-invalid', { rules: [{ ...pin, vms: [] }] }],
  ])('finds %s', (code, wrong) => {
    expect(codes(wrong)).toContain(code);
  });

  it('accepts that both hosts of a migration report the VM', () => {
    expect(codes({ vms: [...sound.vms, ...sound.vms.map((vm) => ({ ...vm, hostId: 'b', state: 'incoming' as const }))] })).toEqual([]);
  });
});
