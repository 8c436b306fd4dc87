import { array, assert, constantFrom, integer, nat, option, property, record, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultPolicy } from '#core/model/policy.ts';
import { bytes, cores } from '#core/model/units.ts';
import { clusterVmOf, withVm } from './cluster.ts';
import type { ClusterHost } from './cluster.ts';
import { exampleSnapshot } from './examples.ts';
import { Front } from './front.ts';
import { isNoSteeper, pressureSlopes } from './pressure.ts';
import { RunningTotals, scoreOf, totalsOf } from './score.ts';
import { outlookOf } from './shortage.ts';
import { Targets } from './targets.ts';

// Few values, so that many hosts are equal to others.
const host = record({
  size: constantFrom(8, 16),
  used: integer({ min: 0, max: 6 }),
  gib: integer({ min: 0, max: 6 }),
  promised: nat(6),
  network: option(integer({ min: -2, max: 2 }), { freq: 3 }),
  disk: option(integer({ min: -2, max: 2 }), { freq: 3 }),
  pressed: constantFrom(0, 0, 0, 40, 80),
});
const arrivals = array(tuple(nat(), integer({ min: 0, max: 3 }), integer({ min: 0, max: 3 })), { maxLength: 30 });
const filled = tuple(array(host, { minLength: 1, maxLength: 40 }), arrivals).map(([hosts, more]) => ({
  hosts: hosts.map(({ size, used, gib, promised, network, disk, pressed }, index) => ({
    hostId: `host-${String(index).padStart(2, '0')}`,
    capacity: { cpuCores: cores(size), memoryBytes: bytes(64) },
    cpuUsedCores: cores(used),
    memoryUsedBytes: bytes(gib),
    memoryPromisedBytes: bytes(promised),
    networkAbovePercent: network,
    diskAbovePercent: disk,
    pressure: pressureSlopes(
      { cpuSomePercent: pressed, memorySomePercent: 0, ioSomePercent: pressed },
      {
        capacity: { cpuCores: cores(size), memoryBytes: bytes(64) },
        cpuUsedCores: used,
        memoryUsedBytes: gib,
        diskAbovePercent: disk,
        evenDiskPercent: 3,
      },
    ),
    vms: [],
  })),
  arrivals: more.map(([which, used, memory]) => ({
    index: which % hosts.length,
    vm: { ...vmOf(used, memory), networkPercent: used, diskPercent: memory },
  })),
}));

function vmOf(cpuCores: number, memoryBytes: number) {
  const { vms } = exampleSnapshot([{ id: 'host', vms: [{ id: 'vm', cores: cpuCores, gib: 1 }] }]);
  const vm = vms[0];
  if (vm === undefined) throw new Error('the example has a VM');
  return { ...clusterVmOf(vm, memoryBytes), memoryBytes: bytes(memoryBytes) };
}

/** The hosts as they are after each arrival. */
function* states(hosts: readonly ClusterHost[], more: readonly { readonly index: number; readonly vm: ReturnType<typeof vmOf> }[]) {
  const now = [...hosts];
  for (const { index, vm } of more) {
    const before = now[index];
    if (before === undefined) continue;
    const after = withVm(before, vm);
    now[index] = after;
    yield { index, host: after, now: [...now] };
  }
}

function beats(a: ClusterHost, b: ClusterHost): boolean {
  const sameSize = a.capacity.cpuCores === b.capacity.cpuCores;
  const noFuller = (one: number | null, other: number | null) => (one === null ? other === null : other !== null && one <= other);
  return (
    sameSize &&
    a.cpuUsedCores <= b.cpuUsedCores &&
    a.memoryUsedBytes <= b.memoryUsedBytes &&
    a.memoryPromisedBytes <= b.memoryPromisedBytes &&
    noFuller(a.networkAbovePercent, b.networkAbovePercent) &&
    noFuller(a.diskAbovePercent, b.diskAbovePercent) &&
    isNoSteeper(a.pressure, b.pressure)
  );
}

describe('what is kept from move to move equals what is computed anew', () => {
  it('the front: nobody outside it is better than all of it, nobody inside it is beaten', () => {
    assert(
      property(filled, ({ hosts, arrivals: more }) => {
        const front = new Front(hosts);
        for (const { index, host: after, now } of states(hosts, more)) {
          front.worsen(index, after);
          const members = front.members();
          expect(members).toEqual(new Front(now).members());
          expect(members.every((one) => members.every((other) => one === other || !beats(other, one)))).toBe(true);
          expect(now.every((one) => members.some((member) => member === one || beats(member, one)))).toBe(true);
        }
      }),
    );
  });

  it('the emptiest hosts, in their order', () => {
    assert(
      property(filled, integer({ min: 1, max: 10 }), ({ hosts, arrivals: more }, amount) => {
        const targets = new Targets(hosts);
        targets.emptiest(amount);
        for (const { host: after, now } of states(hosts, more)) {
          targets.fill(after);
          expect(targets.all).toEqual(now);
          const chosen = targets.emptiest(amount);
          expect(chosen).toEqual(new Targets(now).emptiest(amount));
          const spare = (one: ClusterHost) => outlookOf(one).capacityCores - outlookOf(one).wantedCores;
          const least = Math.min(...chosen.map(spare));
          expect(now.filter((one) => !chosen.includes(one)).every((one) => spare(one) <= least)).toBe(true);
          expect(chosen).toEqual(chosen.toSorted((a, b) => (a.hostId < b.hostId ? -1 : 1)));
        }
      }),
    );
  });

  it('the totals, and with them the score', () => {
    assert(
      property(filled, ({ hosts, arrivals: more }) => {
        const totals = new RunningTotals(hosts, defaultPolicy);
        for (const { index, host: after, now } of states(hosts, more)) {
          totals.change(index, after);
          expect(totals.total).toEqual(totalsOf(now, defaultPolicy));
          expect(scoreOf(totals.total)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});
