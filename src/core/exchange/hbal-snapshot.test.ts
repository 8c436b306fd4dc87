import type { Snapshot } from '#core/model/snapshot.ts';
import { bytes, cores } from '#core/model/units.ts';
import { checkSnapshot } from '#core/checks/check-snapshot.ts';
import { exampleNowMs, exampleSnapshot } from '#core/planner/examples.ts';
import { makePlan } from '#core/planner/make-plan.ts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exampleData, exampleUtil } from './hbal-examples.ts';
import { hbalOfSnapshot } from './hbal-export.ts';
import { snapshotOfHbal } from './hbal-import.ts';
import { readHbalCluster, readHbalUtilisation } from './hbal-reader.ts';
import { writeHbalCluster, writeHbalUtilisation } from './hbal-writer.ts';
import type { Loss } from './loss.ts';

/** A busy machine may take its time over a property. */
const wallMsMax = 60_000;
const mebibyte = 2 ** 20;
const facts = { takenAtMs: exampleNowMs };

function imported(data: string, util: string | null) {
  const cluster = readHbalCluster(data);
  const uses = util === null ? null : readHbalUtilisation(util);
  if (!cluster.ok || uses?.ok === false) throw new Error(`not read: ${JSON.stringify([cluster, uses])}`);
  return snapshotOfHbal(cluster.cluster, uses?.uses ?? null, facts);
}

function snapshotOf(data: string, util: string | null): Snapshot {
  const result = imported(data, util);
  if (!result.ok) throw new Error(result.message);
  return result.snapshot;
}

function codes(lost: readonly Loss[]): readonly string[] {
  return [...new Set(lost.map(({ code }) => code))].toSorted();
}

describe('a cluster of hbal as a snapshot', () => {
  test('has the hosts and VMs, memory in bytes and CPU in cores', () => {
    const snapshot = snapshotOf(exampleData, exampleUtil);
    expect(checkSnapshot(snapshot)).toEqual([]);
    expect(
      snapshot.hosts.map(({ hostId, status, cpuUsedCores, memoryUsedBytes }) => [hostId, status, cpuUsedCores, memoryUsedBytes / mebibyte]),
    ).toEqual([
      ['h1', 'up', 11, 45_056],
      ['h2', 'up', 1.6, 20_480],
      ['h3', 'silent', 0, 4096],
    ]);
    expect(snapshot.vms.map(({ name, hostId, state, cpuUsedCores }) => [name, hostId, state, cpuUsedCores])).toEqual([
      ['web', 'h1', 'running', 4],
      ['mail', 'h1', 'running', 7],
      ['db', 'h2', 'running', 1.6],
      ['old', 'h2', 'shut-off', 0],
    ]);
  });

  test('can be planned at once', () => {
    const hot = exampleUtil.replace('mail 0.4375', 'mail 0.6');
    const { moves } = makePlan(snapshotOf(exampleData, hot));
    expect(moves.map(({ vmName, fromHostId, toHostId }) => `${vmName} ${fromHostId} ${toHostId}`)).toEqual(['web h1 h2']);
  });

  test('says what is lost and what is assumed', () => {
    const result = imported(exampleData, exampleUtil);
    expect(result.ok && codes(result.lost)).toEqual([
      'cpu-speed',
      'disk',
      'figures-assumed',
      'not-movable',
      'other-use',
      'policy',
      'tags',
      'use-unknown',
    ]);
    const idle = imported(exampleData, null);
    expect(idle.ok && idle.lost[0]?.message).toBe('no utilisation was given: every VM and host counts as idle');
  });

  test('a VM without a UUID gets the same one each time, and another one than any other', () => {
    const ids = snapshotOf(exampleData, exampleUtil).vms.map(({ vmId }) => vmId);
    expect(new Set(ids).size).toBe(4);
    expect(snapshotOf(exampleData, null).vms.map(({ vmId }) => vmId)).toEqual(ids);
    expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test.each([
    ['a node whose name no host may have', exampleData.replaceAll('h3|', 'H_3|'), 'host-name'],
    ['an instance that is there twice', exampleData.replace('mail|', 'web|'), 'instance-repeated'],
    ['memory below nothing', exampleData.replace('web|8192', 'web|-8192'), 'amount-negative'],
  ])('is refused for %s', (_what, data, reason) => {
    expect(imported(data, null)).toMatchObject({ ok: false, reason });
  });
});

describe('law: what was written is read again', () => {
  const uuid = fc.uuid().map((id) => id.toLowerCase());
  const name = fc.oneof(
    fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/),
    fc.string({ minLength: 1, maxLength: 20 }),
    fc.constantFrom('a|b', 'a b', 'ä,~', 'web'),
  );
  const vmStates = fc.constantFrom('running', 'paused', 'incoming', 'shut-off', 'crashed', 'unknown');
  const vm = (hosts: number) =>
    fc.record({
      vmId: uuid,
      name,
      host: fc.nat(hosts - 1),
      state: vmStates,
      vcpus: fc.nat(128),
      cpu: fc.double({ min: 0, max: 64, noNaN: true }),
      mib: fc.nat(1_000_000),
    });
  const snapshots = fc
    .integer({ min: 1, max: 5 })
    .chain((hosts) =>
      fc.record({
        vms: fc.uniqueArray(vm(hosts), { maxLength: 12, selector: ({ vmId }) => vmId }),
        hosts: fc.array(
          fc.record({
            cpus: fc.integer({ min: 1, max: 256 }),
            mib: fc.integer({ min: 1, max: 4_000_000 }),
            ownMib: fc.nat(10_000),
            up: fc.boolean(),
          }),
          { minLength: hosts, maxLength: hosts },
        ),
      }),
    )
    .map((made): Snapshot => {
      const holdsMemory = (state: string) => state !== 'shut-off' && state !== 'crashed';
      const vms = made.vms.map((one) => ({
        vmId: one.vmId,
        name: one.name,
        hostId: `host-${one.host}`,
        state: one.state,
        vcpus: one.vcpus,
        cpuUsedCores: cores(one.cpu),
        cpuDelayCores: cores(0),
        memoryBytes: bytes(one.mib * mebibyte),
        networkBytesPerSecond: null,
        diskBytesPerSecond: null,
        forecast: null,
      }));
      const hosts = made.hosts.map((host, index) => {
        const own = vms.filter(({ hostId }) => hostId === `host-${index}`);
        return {
          hostId: `host-${index}`,
          status: host.up ? ('up' as const) : ('silent' as const),
          capacity: { cpuCores: cores(host.cpus), memoryBytes: bytes(host.mib * mebibyte) },
          cpuUsedCores: cores(own.reduce((sum, one) => sum + one.cpuUsedCores, 0)),
          memoryUsedBytes: bytes(
            own.filter(({ state }) => holdsMemory(state)).reduce((sum, one) => sum + one.memoryBytes, host.ownMib * mebibyte),
          ),
          networkBytesPerSecond: null,
          diskBytesPerSecond: null,
          pressure: null,
          sampledAtMs: exampleNowMs,
          roundsOverLine: 0,
          relieving: { cpu: false, memory: false },
          quarantine: null,
          cordoned: false,
          unfit: null,
        };
      });
      return { ...exampleSnapshot([]), hosts, vms };
    });

  const near = (value: number) => expect.closeTo(value, 6) as number;

  test('hosts and VMs are the same, by way of the text', { timeout: wallMsMax }, () => {
    fc.assert(
      fc.property(snapshots, (snapshot) => {
        const { cluster, uses, lost } = hbalOfSnapshot(snapshot);
        const back = snapshotOf(writeHbalCluster(cluster), writeHbalUtilisation(uses));
        expect(back.vms).toEqual(snapshot.vms.map((one) => ({ ...one, cpuUsedCores: near(one.cpuUsedCores) })));
        expect(back.hosts).toEqual(
          snapshot.hosts.map((host) => ({ ...host, cpuUsedCores: near(host.cpuUsedCores), roundsOverLine: expect.any(Number) as number })),
        );
        expect(codes(lost).filter((code) => code.startsWith('vm-') || code === 'host-memory' || code === 'host-status')).toEqual([]);
      }),
    );
  });

  test('free memory is what hbal reckons it to be', { timeout: wallMsMax }, () => {
    fc.assert(
      fc.property(snapshots, (snapshot) => {
        for (const node of hbalOfSnapshot(snapshot).cluster.nodes) {
          const held = snapshot.vms.filter(({ hostId, state }) => hostId === node.name && state !== 'shut-off' && state !== 'crashed');
          const heldMib = held.reduce((sum, one) => sum + one.memoryBytes / mebibyte, 0);
          expect(node.freeMemoryMib).toBe(node.memoryMib - node.ownMemoryMib - heldMib);
        }
      }),
    );
  });
});

describe('what a snapshot loses is named', () => {
  const plain = exampleSnapshot([{ id: 'h1', vms: [{ id: '00000000-0000-4000-8000-000000000001', cores: 2 }] }, { id: 'h2' }]);
  const [first, second] = plain.hosts;
  const [vm] = plain.vms;
  if (first === undefined || second === undefined || vm === undefined) throw new Error('the example has changed');
  const always = ['history', 'policy'];

  test.each<readonly [string, Snapshot, readonly string[]]>([
    ['nothing of hosts and VMs', plain, []],
    ['CPU of the host itself', { ...plain, hosts: [{ ...first, cpuUsedCores: cores(3) }, second] }, ['host-cpu']],
    ['memory that VMs have not touched', { ...plain, hosts: [{ ...first, memoryUsedBytes: bytes(1024) }, second] }, ['host-memory']],
    ['a host that has joined only', { ...plain, hosts: [first, { ...second, status: 'joined' }] }, ['host-status']],
    ['parts of a MiB', { ...plain, vms: [{ ...vm, memoryBytes: bytes(4 * 2 ** 30 + 1) }] }, ['host-memory', 'vm-memory']],
    [
      'a VM on a host that is not there',
      { ...plain, vms: [vm, { ...vm, vmId: '00000000-0000-4000-8000-000000000002', hostId: 'h9' }] },
      ['vms-left-out'],
    ],
    ['migrations under way', { ...plain, inFlight: [{ vmId: vm.vmId, fromHostId: 'h1', toHostId: 'h2' }] }, ['in-flight']],
    [
      'a host without CPUs',
      { ...plain, hosts: [{ ...first, capacity: { ...first.capacity, cpuCores: cores(0) } }, second] },
      ['host-cpu', 'vm-cpu'],
    ],
  ])('%s', (_what, snapshot, expected) => {
    expect(codes(hbalOfSnapshot(snapshot).lost)).toEqual([...always, ...expected].toSorted());
  });
});
