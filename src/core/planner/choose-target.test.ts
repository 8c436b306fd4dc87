import { describe, expect, it } from 'vitest';
import { chooseTarget } from './choose-target.ts';
import { exampleSnapshot } from './examples.ts';

describe('a destination nobody named', () => {
  const vm = { vmId: 'web', name: 'web', hostId: 'a' };
  const source = { id: 'a', vms: [{ id: 'web', cores: 1, gib: 8 }] };
  const targetOf = (snapshot: ReturnType<typeof exampleSnapshot>) => {
    const target = chooseTarget(snapshot, vm);
    return target.ok ? target : undefined;
  };
  const choose = (...hosts: readonly Parameters<typeof exampleSnapshot>[0][number][]) =>
    targetOf(exampleSnapshot([source, ...hosts]))?.hostId;

  it('is the least loaded host', () => {
    expect(choose({ id: 'b', otherCores: 4 }, { id: 'c', otherCores: 2 })).toBe('c');
  });

  it('is by id among equals', () => {
    expect(choose({ id: 'c' }, { id: 'b' })).toBe('b');
  });

  it('is never the host it is on, one without memory, or one whose samples are stale', () => {
    expect(choose()).toBeUndefined();
    expect(choose({ id: 'b', gib: 4 })).toBeUndefined();
    expect(choose({ id: 'b', status: 'silent' })).toBeUndefined();
    expect(choose({ id: 'b', gib: 4 }, { id: 'c', otherCores: 5 })).toBe('c');
  });

  it('counts memory that was promised to other VMs, used or not', () => {
    const promised = { id: 'b', gib: 16, otherGib: -10, vms: [{ id: 'db', cores: 0, gib: 12 }] };
    expect(choose(promised)).toBeUndefined();
  });

  it('that would be over its line comes last, and the reason says so', () => {
    const snapshot = exampleSnapshot([source, { id: 'b', cores: 2, otherCores: 0.9 }, { id: 'c', otherCores: 6 }], {
      policy: { cpuLine: { startPercent: 90, stopPercent: 60 } },
    });
    expect(targetOf(snapshot)?.hostId).toBe('c');
    const full = exampleSnapshot([source, { id: 'b', cores: 2, otherCores: 0.9 }]);
    expect(targetOf(full)?.reason).toContain('over its line');
  });
});
