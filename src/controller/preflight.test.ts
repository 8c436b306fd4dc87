import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { exampleFacts, exampleOptions } from '#core/migration/forecast-examples.ts';
import { noCorrections } from '#core/migration/forecast-corrections.ts';
import { predict } from '#core/migration/prediction.ts';
import type { Choice } from '#core/migration/choice.ts';
import type { CheckName, CheckRow } from '#core/model/definition.ts';
import type { RefusalCode } from '#core/model/result.ts';
import { bytes } from '#core/model/units.ts';
import { definition, FakeAgent, guardState, otherVmId, plan, refuse, runningVm, sampleOf, settings, silence, vmSample } from './fakes.ts';
import { bridged, type Cluster, count, newCluster, request, wish } from './fake-cluster.ts';

let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

const gibibyte = 2 ** 30;
const hourMs = 3_600_000;
const disk = { target: 'vda', kind: 'network', source: 'iscsi:iqn:vm/1', readOnly: false, shareable: false, cache: 'none' };

function findingOf(row: CheckRow | undefined, check: CheckName) {
  return row?.findings.find((finding) => finding.check === check);
}

describe('a refusal of the checks', () => {
  const cases: readonly (readonly [check: CheckName, code: RefusalCode, spoil: (world: Cluster) => unknown])[] = [
    ['vm-state', 'vm-not-running', ({ source }) => (source.vm = runningVm({ state: 'paused' }))],
    ['vm-state', 'post-copy-broken', ({ source }) => (source.vm = runningVm({ state: 'paused', postCopy: 'failed' }))],
    ['other-job', 'vm-busy', ({ source }) => (source.vm = runningVm({ jobActive: true }))],
    ['versions', 'version-unsupported', ({ destination }) => (destination.offered = { libvirtVersion: 7_000_000 })],
    ['method', 'method-unsupported', ({ source }) => refuseMethods(source)],
    ['cpu', 'cpu-incompatible', ({ destination }) => (destination.offered = { cpu: 'incompatible' })],
    ['machine', 'machine-unsupported', ({ source, destination }) => useMachine(source, destination)],
    ['memory', 'no-memory', ({ destination }) => (destination.offered = { memoryFreeBytes: bytes(gibibyte) })],
    ['devices', 'device-host-only', ({ source }) => (source.definition = definition({ hostOnly: ['PCI device 0000:01:00.0'] }))],
    ['networks', 'network-missing', ({ source }) => (source.definition = definition({ interfaces: bridged }))],
    ['disks', 'disk-unreachable', ({ source, destination }) => useDisk(source, destination, 'network')],
    ['disks', 'disk-not-shared', ({ source, destination }) => useDisk(source, destination, 'file')],
    ['locks', 'lock-missing', ({ source, destination }) => useLease(source, destination)],
    ['copy', 'destination-has-vm', ({ destination }) => (destination.offered = { ownCopy: 'running' })],
    ['channel', 'ipsec-unavailable', ({ destination }) => withoutCharon(destination)],
  ];

  function refuseMethods(agent: FakeAgent): void {
    const fault = { code: 'method-unsupported', message: 'this QEMU has no userfaultfd' };
    agent.answers['vm.method-faults'] = ({ options }) => ({ faults: Array.isArray(options) ? options.map(() => fault) : [] });
  }

  function useMachine(source: FakeAgent, destination: FakeAgent): void {
    source.definition = definition({ machine: 'pc-q35-9.0' });
    destination.offered = { machines: ['pc-q35-7.2'] };
  }

  function useDisk(source: FakeAgent, destination: FakeAgent, kind: string): void {
    source.definition = definition({ disks: [{ ...disk, kind }] });
    destination.offered = { disks: [{ target: 'vda', reachable: false, why: null }] };
  }

  function useLease(source: FakeAgent, destination: FakeAgent): void {
    source.definition = definition({ leases: [{ lockspace: 'locks', key: 'web1', path: '/srv' }] });
    destination.offered = { leasesMissing: ['locks/web1'] };
  }

  function withoutCharon(agent: FakeAgent): void {
    agent.answers['channel.list'] = () => ({ backend: null, guard: guardState(0), errors: null, sas: [], tuned: [] });
  }

  it.each(cases)('(%s: %s) reaches the operator, in the row and as the end of the migration', async (check, code, spoil) => {
    const world = await newCluster(stop.signal);
    const asked = { ...request, wish: { method: check === 'method' ? ('post-copy' as const) : ('auto' as const) } };
    await expect(world.rooms.preflight.check(asked)).resolves.toMatchObject({ row: { possible: true }, blind: null });
    spoil(world);
    const { row } = await world.rooms.preflight.inspect(asked);
    expect(row.possible).toBe(false);
    expect(findingOf(row, check)).toMatchObject({ verdict: 'refuse', code });
    await expect(world.rooms.preflight.check(asked)).rejects.toMatchObject({ code });
    expect(await world.end(await world.start({ wish: asked.wish }))).toMatchObject({ phase: 'failed', failure: { code } });
    expect([...world.source.asked, ...world.destination.asked]).not.toContain('ticket.accept');
  });
});

describe('a host that does not tell', () => {
  it.each([
    [
      'the source, what the VM is',
      ({ source }: Cluster) => (source.answers['vm.describe'] = refuse('hypervisor-unavailable')),
      'hypervisor-unavailable',
    ],
    [
      'the destination, what it offers',
      ({ destination }: Cluster) => (destination.answers['vm.offer'] = refuse('hypervisor-failed')),
      'hypervisor-failed',
    ],
    ['the destination, by silence', ({ destination }: Cluster) => (destination.answers['vm.offer'] = () => silence), 'command-timeout'],
    [
      'the destination, by rubbish',
      ({ destination }: Cluster) => (destination.answers['vm.offer'] = () => ({ offer: 'all' })),
      'message-invalid',
    ],
  ] as const)('(%s) refuses with its reason instead of letting the VM go on blind', async (_story, spoil, code) => {
    const world = await newCluster(stop.signal);
    spoil(world);
    const checked = world.rooms.preflight.inspect(request);
    await vi.advanceTimersByTimeAsync(11_000);
    const { row, blind } = await checked;
    // Nothing speaks against it as far as was looked: that alone would let it go.
    expect(row.possible).toBe(true);
    expect(blind).toMatchObject({ code });
    expect(findingOf(row, 'disks')).toMatchObject({ verdict: 'unknown' });
    for (const agent of [world.source, world.destination]) agent.dial();
    expect(await world.end(await world.start())).toMatchObject({ phase: 'failed', failure: { code } });
    expect(world.source.asked).not.toContain('ticket.accept');
  });

  it('its versions only is no reason: the check of the versions says so', async () => {
    const { rooms, source } = await newCluster(stop.signal);
    source.answers['vm.offer'] = refuse('hypervisor-failed');
    const { row, blind } = await rooms.preflight.check(request);
    expect([blind, findingOf(row, 'versions')?.verdict]).toEqual([null, 'unknown']);
  });
});

describe('memory', () => {
  it('of VMs on their way to the host is counted, that of the VM itself once', async () => {
    const { rooms, start, bystander } = await newCluster(stop.signal, { changes: { migrationsPerHostMax: 2 } });
    const big = vmSample({ vmId: otherVmId, name: 'web2', memoryBytes: bytes(7 * gibibyte) });
    rooms.view.ingest(sampleOf('c', 1, [big]), Date.now());
    rooms.view.ingest(sampleOf('a', 1, [vmSample()]), Date.now());
    bystander.answers['vm.find'] = () => silence;
    expect(findingOf((await rooms.preflight.inspect(request)).row, 'memory')).toMatchObject({ verdict: 'pass' });
    await start({ vmId: otherVmId, vmName: 'web2', fromHostId: 'c' });
    const { row } = await rooms.preflight.inspect(request);
    expect(findingOf(row, 'memory')).toMatchObject({
      verdict: 'refuse',
      code: 'no-memory',
      sentence: expect.stringContaining('7 GiB for VMs on their way'),
    });
    const own = rooms.executor.migrationOf(otherVmId) ?? '';
    const itself = await rooms.preflight.inspect({ ...request, migrationId: own });
    expect(findingOf(itself.row, 'memory')).toMatchObject({ verdict: 'pass' });
  });
});

describe('a cool-down', () => {
  it('warns an operator and refuses the planner, until it is over', async () => {
    const { rooms, parts } = await newCluster(stop.signal);
    const { vmId, fromHostId, toHostId } = wish;
    const times = { startedAtMs: 990_000, endedAtMs: 999_000 };
    parts.store.ledger.push({
      migrationId: 'm0',
      vmId,
      fromHostId,
      toHostId,
      cause: 'operator',
      ...times,
      outcome: 'moved',
      failureCode: null,
      sentBytes: null,
    });
    expect(findingOf((await rooms.preflight.check(request)).row, 'cool-down')).toMatchObject({ verdict: 'warn' });
    await expect(rooms.preflight.check({ ...request, cause: 'balance' })).rejects.toMatchObject({ code: 'cool-down' });
    vi.setSystemTime(999_000 + settings.policy.coolDownMs + 1);
    await expect(rooms.preflight.check({ ...request, cause: 'balance' })).resolves.toMatchObject({ row: { possible: true } });
  });
});

describe('a VM against all hosts', () => {
  it('is looked at on every one of many, a few at a time', async () => {
    const { rooms, parts, source } = await newCluster(stop.signal);
    const hostIds = Array.from({ length: 100 }, (_, index) => `host${index}`);
    const agents = hostIds.map((hostId) => new FakeAgent(parts, hostId));
    expect(agents).toHaveLength(100);
    const rows = await rooms.preflight.inspectAll(request, ['b', ...hostIds]);
    expect(rows.map(({ hostId }) => hostId)).toEqual(['b', ...hostIds]);
    expect(rows.filter(({ possible }) => !possible)).toEqual([]);
    expect(count(source, 'vm.describe')).toBe(1);
  });

  it('says of a host that is down only that, and of the others what it would alone', async () => {
    const { rooms, destination, bystander } = await newCluster(stop.signal);
    destination.line.close('gone');
    bystander.answers['vm.offer'] = refuse('hypervisor-failed');
    const [down, blind] = await rooms.preflight.inspectAll(request, ['b', 'c']);
    expect(findingOf(down, 'host')).toMatchObject({ code: 'host-down' });
    expect([blind?.possible, findingOf(blind, 'memory')?.verdict]).toEqual([true, 'unknown']);
  });
});

describe('the row, judged again with what was chosen', () => {
  function chosen(totalMs: number): Choice {
    const prediction = {
      ...predict(exampleOptions(), { ...exampleFacts(), corrections: noCorrections }),
      totalMs: { low: totalMs / 2, expected: totalMs / 1.5, high: totalMs },
    };
    return { ok: true, plan: { ...plan, prediction }, decisions: [] };
  }

  async function judged(leftMs: number, choice: Choice): Promise<CheckRow> {
    const { rooms } = await newCluster(stop.signal, { lifeMs: leftMs });
    return rooms.preflight.judgeAgain(await rooms.preflight.check(request), choice);
  }

  it('refuses a certificate that was not renewed in time and ends before the predicted end', async () => {
    expect(findingOf(await judged(3 * hourMs, chosen(4 * hourMs)), 'certificate')).toMatchObject({ code: 'certificate-expired' });
    expect(findingOf(await judged(3 * hourMs, chosen(hourMs)), 'certificate')).toMatchObject({ verdict: 'pass' });
    expect(findingOf(await judged(3 * hourMs, { ok: true, plan, decisions: [] }), 'certificate')).toMatchObject({ verdict: 'pass' });
  });

  it('lets one pass that is renewed in the course of a long migration', async () => {
    expect(findingOf(await judged(20 * hourMs, chosen(30 * hourMs)), 'certificate')).toMatchObject({ verdict: 'pass' });
  });

  it('says of the downtime that it is accepted, or not predicted, or why it is refused', async () => {
    expect(findingOf(await judged(20 * hourMs, chosen(1000)), 'downtime')).toMatchObject({ verdict: 'pass' });
    expect(findingOf(await judged(20 * hourMs, { ok: true, plan, decisions: [] }), 'downtime')).toMatchObject({ verdict: 'unknown' });
    for (const code of ['downtime-budget', 'not-converging'] as const) {
      const row = await judged(20 * hourMs, { ok: false, refusal: { code, message: 'the VM writes too fast' }, decisions: [] });
      expect([row.possible, findingOf(row, 'downtime')?.code, findingOf(row, 'method')?.verdict]).toEqual([false, code, 'unknown']);
    }
  });

  it('says of the method that it can be had, or why it cannot', async () => {
    expect(findingOf(await judged(20 * hourMs, chosen(1000)), 'method')).toMatchObject({ verdict: 'pass' });
    const refusal = { code: 'post-copy-not-allowed', message: 'post-copy is not allowed' } as const;
    expect(findingOf(await judged(20 * hourMs, { ok: false, refusal, decisions: [] }), 'method')).toMatchObject({ code: refusal.code });
  });
});
