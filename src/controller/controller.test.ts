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
  vmSample,
} from './fakes.ts';

let stop: AbortController;
let controller: Controller;
let parts: FakeParts;
let agents: Readonly<Record<'a' | 'b', FakeAgent>>;

/** What an agent may be asked without anything changing, and what each is told as it dials in. */
const looks: readonly string[] = ['vm.find', 'vm.check-destination', 'channel.list', 'trust.update'];

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
    ['an unknown plan', () => controller.plan('x'), 'plan-unknown'],
    ['an unknown migration', () => controller.migration('x'), 'migration-unknown'],
    ['to abort an unknown migration', () => controller.abortMigration('x', 'anna'), 'migration-unknown'],
    ['an unknown receipt', () => controller.receipt('x'), 'receipt-unknown'],
    ['to apply a plan in observe', () => controller.applyPlan('x', 'anna'), 'mode-forbids'],
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
    agents.b.answers['vm.check-destination'] = () => ({ refusal: { code: 'no-memory', message: 'full' }, hypervisor: 'fake' });
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
