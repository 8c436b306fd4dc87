import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { bytes } from '#core/model/units.ts';
import { type Controller, startController } from './controller.ts';
import {
  FakeAgent,
  fakeParts,
  type FakeParts,
  MemoryStore,
  otherVmId,
  refuse,
  runningVm,
  sampleOf,
  settings,
  tokens,
  vmId,
  vmSample,
} from './fakes.ts';

let stop: AbortController;
let controller: Controller;
let parts: FakeParts;
let agents: Record<'a' | 'b', FakeAgent>;

/** What an agent may be asked without anything changing, and what each is told as it dials in. */
const looks: readonly string[] = ['vm.find', 'vm.describe', 'vm.offer', 'channel.list', 'trust.update'];

const refusal = (code: string) => expect.objectContaining({ code, message: expect.stringMatching(/.{10,}/) });

beforeEach(async () => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
  const store = new MemoryStore();
  for (const hostId of ['a', 'b', 'c'])
    store.hostRecords.push({ hostId, joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
  parts = fakeParts(store);
  controller = await startController(parts, settings, tokens, stop.signal);
  agents = { a: new FakeAgent(parts, 'a', runningVm()), b: new FakeAgent(parts, 'b') };
  const twins = [vmSample({ vmId: otherVmId, name: 'twin' }), vmSample({ vmId: otherVmId.replace('2', '3'), name: 'twin' })];
  const halted = vmSample({ vmId: otherVmId.replace('2', '4'), name: 'halted', state: 'paused' });
  agents.a.line.deliver({ type: 'sample', sample: sampleOf('a', 1, [vmSample(), halted, ...twins]) });
  agents.b.line.deliver({ type: 'sample', sample: sampleOf('b', 1) });
});
afterEach(async () => {
  stop.abort();
  await controller.stopped;
  vi.useRealTimers();
});

describe('what is asked of the controller', () => {
  it('is done when it can be: a migration by names, with or without a destination', async () => {
    expect(await controller.checkMigrate({ vm: 'web1' })).toMatchObject({ toHostId: 'b', refusal: null });
    expect(await controller.migrate({ vm: 'web1', toHostId: 'b' }, 'anna')).toMatchObject({ phase: 'asked', request: { askedBy: 'anna' } });
  });

  const refused: readonly (readonly [story: string, ask: () => Promise<unknown>, code: string])[] = [
    ['an unknown host', () => controller.host('x'), 'host-unknown'],
    ['the history of an unknown host', () => controller.history('x', 0, 1), 'host-unknown'],
    ['an unknown VM', () => controller.vm('x'), 'vm-unknown'],
    ['a name that two VMs have', () => controller.vm('twin'), 'vm-ambiguous'],
    ['an unknown plan', () => controller.plans.plan('x'), 'plan-unknown'],
    ['an unknown migration', () => controller.migration('x'), 'migration-unknown'],
    ['to abort an unknown migration', () => controller.abortMigration('x', 'anna'), 'migration-unknown'],
    ['an unknown receipt', () => controller.receipt('x'), 'receipt-unknown'],
    ['to apply a plan in observe', () => controller.plans.apply('x', null, 'anna'), 'mode-forbids'],
    ['to move an unknown VM', () => controller.migrate({ vm: 'x' }, 'anna'), 'vm-unknown'],
    ['to move a VM that is not running', () => controller.migrate({ vm: 'halted', toHostId: 'b' }, 'anna'), 'vm-not-running'],
    ['to move a VM to an unknown host', () => controller.migrate({ vm: 'web1', toHostId: 'x' }, 'anna'), 'host-unknown'],
    ['to move a VM to where it is', () => controller.migrate({ vm: 'web1', toHostId: 'a' }, 'anna'), 'destination-same-as-source'],
    ['to move a VM to a host that is down', () => controller.migrate({ vm: 'web1', toHostId: 'c' }, 'anna'), 'host-down'],
  ];

  it.each(refused)('is refused with a code and a sentence for %s', async (_story, ask, code) => {
    await expect(ask()).rejects.toEqual(refusal(code));
    expect(parts.store.records.size).toBe(0);
    expect((await controller.status()).hostsUp).toBe(2);
  });

  it('is refused when no host has room', async () => {
    const full = { ...sampleOf('b', 2).host, memoryUsedBytes: bytes(16 * 2 ** 30) };
    await vi.advanceTimersByTimeAsync(1000);
    agents.b.line.deliver({ type: 'sample', sample: { ...sampleOf('b', 2), host: full } });
    await expect(controller.migrate({ vm: 'web1' }, 'anna')).rejects.toEqual(refusal('no-memory'));
  });

  it('as a dry run names the refusal of the hosts and touches nothing', async () => {
    agents.b.offered = { memoryFreeBytes: bytes(0) };
    expect(await controller.checkMigrate({ vm: 'web1', toHostId: 'b' })).toMatchObject({ refusal: { code: 'no-memory' } });
    agents.a.answers['vm.find'] = refuse('hypervisor-unavailable');
    expect(await controller.checkMigrate({ vm: 'web1', toHostId: 'b' })).toMatchObject({ refusal: { code: 'hypervisor-unavailable' } });
    expect([...agents.a.asked, ...agents.b.asked].filter((name) => !looks.includes(name))).toEqual([]);
    expect(parts.store.records.size).toBe(0);
  });

  it('survives an agent that sends rubbish, and takes it back', async () => {
    agents.b.line.deliver({ type: 'sample', sample: 'rubbish' });
    expect(await controller.host('b')).toMatchObject({ status: 'silent' });
    agents.b.dial();
    await vi.advanceTimersByTimeAsync(1000);
    agents.b.line.deliver({ type: 'sample', sample: sampleOf('b', 2) });
    expect(await controller.host('b')).toMatchObject({ status: 'up' });
  });
});

describe('a VM that a migration has left on its source', () => {
  it('runs there at once, though the newest sample tells of its last round', async () => {
    const { request } = await controller.migrate({ vm: 'web1', toHostId: 'b' }, 'anna');
    await vi.advanceTimersByTimeAsync(1000);
    agents.a.line.deliver({ type: 'sample', sample: sampleOf('a', 2, [vmSample({ state: 'paused' })]) });
    agents.b.line.deliver({ type: 'sample', sample: sampleOf('b', 2, [vmSample({ state: 'incoming' })]) });
    expect(await controller.vm('web1')).toMatchObject({ hostId: 'a', state: 'paused' });
    const stalled = { code: 'switch-over-stalled', message: 'brought back' };
    agents.a.answers['transfer.status'] = () => ({
      status: { kind: 'failed', refusal: stalled, channel: null, decisions: [], attempts: 1 },
    });
    while ((await controller.migration(request.migrationId)).endedAtMs === null) await vi.advanceTimersByTimeAsync(1000);
    expect(await controller.vm('web1')).toMatchObject({ hostId: 'a', state: 'running' });
  });
});

describe('a dry run', () => {
  /** In MiB per second. */
  function writes(dirty: number): void {
    const activity = {
      measuredAtMs: Date.now(),
      measuredForMs: 3000,
      usedBytes: 2 ** 26,
      dirtyBytesPerSecond: dirty * 2 ** 20,
      workingSetBytes: dirty * 2 ** 20,
    };
    agents.a.answers['vm.measure'] = () => ({ activity });
  }

  /** After it the channel between the two is known. */
  async function migrateOnce(): Promise<void> {
    const { request } = await controller.migrate({ vm: 'web1', toHostId: 'b' }, 'anna');
    await vi.advanceTimersByTimeAsync(1000);
    const aborted = { code: 'aborted', message: 'aborted' };
    agents.a.answers['transfer.status'] = () => ({
      status: { kind: 'failed', refusal: aborted, channel: null, decisions: [], attempts: 1 },
    });
    while ((await controller.migration(request.migrationId)).endedAtMs === null) await vi.advanceTimersByTimeAsync(1000);
    agents.a.line.deliver({ type: 'sample', sample: sampleOf('a', 2, [vmSample()]) });
    agents.b.line.deliver({ type: 'sample', sample: sampleOf('b', 2) });
  }

  const finding = (check: string, fields: object) => expect.arrayContaining([expect.objectContaining({ check, ...fields })]);

  it('measures by itself, and says how the VM would be moved and what that costs', async () => {
    await migrateOnce();
    const before = { a: agents.a.asked.length, b: agents.b.asked.length };
    writes(0);
    const check = await controller.checkMigrate({ vm: 'web1', toHostId: 'b' });
    expect(check).toMatchObject({ refusal: null, plan: { prediction: { converges: true, bandwidth: { by: 'stream' } } } });
    expect(check.row?.findings).toEqual(finding('downtime', { verdict: 'pass' }));
    expect(check.decisions.at(-1)).toMatchObject({ by: 'choice', reason: check.plan?.reason });
    const asked = [...agents.a.asked.slice(before.a), ...agents.b.asked.slice(before.b)];
    expect(asked.filter((name) => !looks.includes(name)).toSorted()).toEqual(['vm.measure', 'vm.method-faults']);
  });

  it('of a VM that writes too fast says so in the row, with what was considered', async () => {
    await migrateOnce();
    writes(500);
    const check = await controller.checkMigrate({ vm: 'web1', toHostId: 'b', wish: { method: 'auto', autoConverge: false } });
    expect(check).toMatchObject({ refusal: { code: 'not-converging' }, plan: null, row: { possible: false } });
    expect(check.row?.findings).toEqual(finding('downtime', { verdict: 'refuse', code: 'not-converging' }));
    expect(check.decisions.at(-1)).toMatchObject({ action: 'refuse' });
    expect(check.decisions.length).toBeGreaterThan(1);
  });

  it('says that a certificate would end before the migration does, as the migration itself is refused', async () => {
    await migrateOnce();
    agents.b = new FakeAgent(parts, 'b', null, 310_000);
    agents.b.line.deliver({ type: 'sample', sample: sampleOf('b', 3) });
    agents.a.answers['vm.find'] = () => ({ vm: runningVm({ memoryBytes: bytes(2 ** 30) }), image: null });
    writes(0);
    const usedBytes = 2 ** 30;
    const activity = { measuredAtMs: 0, measuredForMs: 3000, usedBytes, dirtyBytesPerSecond: 0, workingSetBytes: 0 };
    agents.a.answers['vm.measure'] = () => ({ activity });
    const check = await controller.checkMigrate({ vm: 'web1', toHostId: 'b' });
    expect(check).toMatchObject({ refusal: { code: 'certificate-expired', message: expect.stringContaining('may take') }, plan: null });
    expect(check.row?.findings).toEqual(finding('certificate', { verdict: 'refuse' }));
  });

  it('is refused where a host does not tell what a migration needs to know', async () => {
    agents.b.answers['vm.offer'] = refuse('hypervisor-unavailable');
    expect(await controller.checkMigrate({ vm: 'web1', toHostId: 'b' })).toMatchObject({
      refusal: { code: 'hypervisor-unavailable' },
      row: { possible: true },
      plan: null,
    });
  });
});

describe('the settings of a VM', () => {
  it('are the defaults, then what somebody said, in the audit and for the next controller', async () => {
    expect(await controller.vmSettings('web1')).toMatchObject({ vmId, address: null, restartable: false });
    expect(await controller.setVm('web1', { address: '192.0.2.7' }, 'anna')).toMatchObject({ address: '192.0.2.7', restartable: false });
    expect(parts.store.audited.at(-1)).toMatchObject({ who: 'anna', verb: 'vm.set', subject: vmId, detail: '{"address":"192.0.2.7"}' });
    expect(await parts.store.vmSettings()).toMatchObject([{ vmId, address: '192.0.2.7' }]);
    await expect(controller.setVm('web1', { address: 'nowhere' }, 'anna')).rejects.toMatchObject({ code: 'input-invalid' });
  });

  it('are not given to a VM that nobody knows, and can be taken back from one that is no more', async () => {
    await expect(controller.setVm(otherVmId.replace('2', '9'), { restartable: true }, 'anna')).rejects.toMatchObject({
      code: 'vm-unknown',
    });
    await controller.setVm('web1', { restartable: true }, 'anna');
    await vi.advanceTimersByTimeAsync(1000);
    agents.a.line.deliver({ type: 'sample', sample: sampleOf('a', 2) });
    await expect(controller.vm('web1')).rejects.toMatchObject({ code: 'vm-unknown' });
    expect(await controller.setVm(vmId, { restartable: false }, 'anna')).toMatchObject({ restartable: false });
  });

  it('tell where the VM is looked at from outside while it is migrated', async () => {
    await controller.setVm('web1', { address: '192.0.2.7' }, 'anna');
    const started: unknown[] = [];
    agents.b.answers['witness.start'] = ({ address }) => {
      started.push(address);
      return { watching: true };
    };
    await controller.migrate({ vm: 'web1', toHostId: 'b' }, 'anna');
    await vi.advanceTimersByTimeAsync(1000);
    expect(started).toEqual(['192.0.2.7']);
  });
});
