import { describe, expect, it } from 'vitest';
import type { Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import { cores } from '#core/model/units.ts';
import { exampleEntry, exampleNowMs, exampleSnapshot } from './examples.ts';
import { judgeReturn, type MadeMove } from './rollback.ts';

/** web was moved from hot to cool. */
const made: MadeMove = { vmId: 'web', vmName: 'web', fromHostId: 'hot', toHostId: 'cool', migrationId: 'm1', outcome: 'moved' };
const snapshot = exampleSnapshot([
  { id: 'hot', vms: [{ id: 'shop', cores: 7 }] },
  { id: 'cool', vms: [{ id: 'web', cores: 1 }] },
  { id: 'third', vms: [] },
]);
const withVm = (change: Partial<SnapshotVm>): Snapshot => ({
  ...snapshot,
  vms: snapshot.vms.map((vm) => (vm.vmId === 'web' ? { ...vm, ...change } : vm)),
});
const withHot = (change: Partial<SnapshotHost>): Snapshot => ({
  ...snapshot,
  hosts: snapshot.hosts.map((host) => (host.hostId === 'hot' ? { ...host, ...change } : host)),
});

describe('a VM that a plan has moved', () => {
  it('goes back, also right after it came, and to a host that is over its line', () => {
    expect(judgeReturn(snapshot, made)).toEqual({ kind: 'return' });
    expect(judgeReturn({ ...snapshot, ledger: [exampleEntry('web', 1000, { fromHostId: 'third' })] }, made)).toEqual({ kind: 'return' });
  });

  it('goes back to a host that has less CPU free than it uses', () => {
    expect(judgeReturn(withHot({ cpuUsedCores: cores(7.9) }), made)).toEqual({ kind: 'return' });
  });

  it('is back when it is there, when its migration did not move it, and on its way when that is under way', () => {
    expect(judgeReturn(withVm({ hostId: 'hot' }), made)).toEqual({ kind: 'back' });
    expect(judgeReturn(snapshot, { ...made, outcome: 'stayed' })).toEqual({ kind: 'back' });
    const inFlight = [{ vmId: 'web', fromHostId: 'cool', toHostId: 'hot' }];
    expect(judgeReturn({ ...snapshot, inFlight }, made)).toEqual({ kind: 'returning' });
  });

  it.each<readonly [string, Snapshot, Partial<MadeMove>, string]>([
    ['not-ended', snapshot, { outcome: null }, 'migration m1 has not ended'],
    ['unclear', snapshot, { outcome: 'unclear' }, 'is not clear'],
    ['vm-gone', { ...snapshot, vms: snapshot.vms.filter(({ vmId }) => vmId !== 'web') }, {}, 'no host runs web'],
    ['vm-elsewhere', withVm({ hostId: 'third' }), {}, 'it is on third'],
    ['in-flight', { ...snapshot, inFlight: [{ vmId: 'web', fromHostId: 'cool', toHostId: 'third' }] }, {}, 'migrated to third'],
    ['not-running', withVm({ state: 'paused' }), {}, 'is paused'],
    ['stale-sample', withHot({ status: 'silent' }), {}, 'hot is left alone: it is silent'],
    ['cordoned', withHot({ cordoned: true }), {}, 'takes no new VMs'],
    ['rule-pin', { ...snapshot, rules: [{ kind: 'pin', name: 'p', vms: ['web'], hosts: ['cool'] }] }, {}, 'rule p'],
    [
      'refused',
      { ...snapshot, refusals: [{ vmId: 'web', hostId: 'hot', code: 'no-memory', reason: 'full', untilMs: exampleNowMs + 1 }] },
      {},
      'full',
    ],
    ['no-target-memory', withVm({ memoryBytes: (61 * 2 ** 30) as SnapshotVm['memoryBytes'] }), {}, 'hot has 60 GiB free'],
  ])('is left where it is: %s', (code, now, change, words) => {
    expect(judgeReturn(now, { ...made, ...change })).toEqual({ kind: 'left', code, reason: expect.stringContaining(words) });
  });

  it('is not held up by a rule that only keeps the balancer away', () => {
    expect(judgeReturn({ ...snapshot, rules: [{ kind: 'ignore', name: 'i', vms: ['web'] }] }, made)).toEqual({ kind: 'return' });
  });
});
