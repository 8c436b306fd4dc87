import { describe, expect, it } from 'vitest';
import { applyMove } from './apply-move.ts';
import { clusterOf, findHost } from './cluster.ts';
import { exampleSnapshot, gibibyte } from './examples.ts';

const cluster = clusterOf(
  exampleSnapshot([
    {
      id: 'a',
      vms: [
        { id: 'vm', cores: 2, gib: 8 },
        { id: 'still', cores: 0, state: 'paused' },
      ],
    },
    { id: 'b', otherGib: 1 },
    { id: 'small', gib: 6, otherGib: 1 },
    { id: 'slow', cores: 2, otherCores: 1 },
  ]),
  new Map(),
);

function move(vmId: string, toHostId: string, fromHostId = 'a') {
  return applyMove(cluster, { vmId, fromHostId, toHostId });
}

describe('applying a move', () => {
  it('takes the load from one host to the other', () => {
    const result = move('vm', 'b');
    if (!result.ok) throw new Error(result.reason);
    expect(findHost(result.cluster, 'a')).toMatchObject({ cpuUsedCores: 0, memoryUsedBytes: 4 * gibibyte });
    expect(findHost(result.cluster, 'b')).toMatchObject({ cpuUsedCores: 2, memoryUsedBytes: 9 * gibibyte });
    expect(findHost(cluster, 'b')).toMatchObject({ cpuUsedCores: 0 });
  });

  it('refuses with a typed reason what cannot be', () => {
    expect(move('vm', 'a')).toEqual({ ok: false, reason: 'destination-same-as-source' });
    expect(move('vm', 'nowhere')).toEqual({ ok: false, reason: 'host-unknown', hostId: 'nowhere' });
    expect(move('vm', 'b', 'nowhere')).toEqual({ ok: false, reason: 'host-unknown', hostId: 'nowhere' });
    expect(move('nobody', 'b')).toEqual({ ok: false, reason: 'vm-unknown', vmId: 'nobody' });
    expect(move('still', 'b')).toEqual({ ok: false, reason: 'vm-not-running', state: 'paused' });
    expect(move('vm', 'small')).toEqual({ ok: false, reason: 'no-memory', needBytes: 8 * gibibyte, freeBytes: 5 * gibibyte });
    expect(move('vm', 'slow')).toEqual({ ok: false, reason: 'no-cpu', needCores: 2, freeCores: 1 });
  });

  it('counts what VMs may use, not only what they use: memory that is promised is not free', () => {
    const promised = exampleSnapshot([
      { id: 'a', vms: [{ id: 'vm', cores: 1, gib: 8 }] },
      { id: 'b', gib: 12, vms: [{ id: 'lazy', cores: 0, gib: 8 }] },
    ]);
    const hosts = promised.hosts.map((host) =>
      host.hostId === 'b' ? { ...host, memoryUsedBytes: 0 as typeof host.memoryUsedBytes } : host,
    );
    expect(applyMove(clusterOf({ ...promised, hosts }, new Map()), { vmId: 'vm', fromHostId: 'a', toHostId: 'b' })).toMatchObject({
      reason: 'no-memory',
    });
  });
});
