import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PlimsollError } from '#core/model/result.ts';
import { bytes } from '#core/model/units.ts';
import type { VmView } from '#core/model/vm.ts';
import { runningVm, vmId } from './examples.ts';
import { FakeHypervisor } from './fake-hypervisor.ts';
import { timerClock } from './fakes.ts';
import { MemoryWatch } from './memory-watch.ts';

const going = new AbortController().signal;
const mebibyte = 2 ** 20;
let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

/** A host whose VMs write 2 MiB/s on and on; as QEMU it refuses a second look beside the first. */
class Host {
  vms: readonly VmView[] = [runningVm({ memoryBytes: bytes(128 * mebibyte) })];
  /** VMs that a transfer has. */
  readonly owned = new Set<string>();
  /** Its daemon does not answer. */
  isAway = false;
  /** Why looks fail. */
  fault: PlimsollError | null = null;
  writtenBytesPerSecond = 2 * mebibyte;
  readonly looks: { readonly vmId: string; readonly forMs: number; readonly atMs: number }[] = [];
  readonly looking = new Set<string>();
  readonly logged: string[] = [];
  readonly watch: MemoryWatch;

  constructor() {
    const hypervisor = new FakeHypervisor();
    hypervisor.listVms = async () => {
      if (this.isAway) throw new PlimsollError('hypervisor-unavailable', 'libvirtd is away');
      return [...this.vms];
    };
    hypervisor.findVm = async () => this.vms[0] ?? null;
    hypervisor.lookAtMemory = (id, forMs, signal) => this.#look(id, forMs, signal);
    const note = (message: string, fields?: object) => void this.logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
    const log = { info: note, warn: note, error: note };
    this.watch = new MemoryWatch({ clock: timerClock, hypervisor, log }, { owns: (id) => this.owned.has(id) });
  }

  /** Seconds in the background. */
  async run(seconds: number): Promise<void> {
    void this.watch.keep(stop.signal);
    await pass(seconds);
  }

  async #look(id: string, forMs: number, signal: AbortSignal): Promise<{ readonly forMs: number; readonly bytes: number }> {
    if (this.fault) throw this.fault;
    if (this.looking.has(id)) throw new PlimsollError('hypervisor-failed', 'still measuring');
    this.looks.push({ vmId: id, forMs, atMs: Date.now() - 1_000_000 });
    this.looking.add(id);
    try {
      await timerClock.sleep(forMs, signal);
      return { forMs, bytes: (forMs / 1000) * this.writtenBytesPerSecond };
    } finally {
      this.looking.delete(id);
    }
  }
}

async function pass(seconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(seconds * 1000);
}

/** What is found and how long it took, in milliseconds. */
async function asked(host: Host, durationMs = 3000, id = vmId) {
  const beganAtMs = Date.now();
  const asking = host.watch.activity(id, durationMs, going).then((activity) => ({ activity, tookMs: Date.now() - beganAtMs }));
  asking.catch(() => null);
  await pass(15);
  return asking;
}

describe('how a VM writes its memory', () => {
  it('is known at once when the host has been up for a while', async () => {
    const host = new Host();
    await host.run(60);
    const { activity, tookMs } = await asked(host);
    expect(tookMs).toBe(0);
    expect(activity.measuredForMs).toBeGreaterThanOrEqual(15_000);
    expect(activity.measuredForMs).toBeLessThanOrEqual(20_000);
    expect(activity.dirtyBytesPerSecond / mebibyte).toBeCloseTo(2, 2);
    expect(activity.workingSetBytes).toBe(activity.usedBytes);
  });

  it('is found out by two looks where nobody has looked, and they are kept', async () => {
    const host = new Host();
    const first = await asked(host);
    expect(first).toMatchObject({ tookMs: 3000, activity: { measuredForMs: 3000, measuredAtMs: 1_003_000 } });
    expect(host.looks.map(({ forMs }) => forMs)).toEqual([1000, 2000]);
    expect((await asked(host)).activity.measuredForMs).toBe(6000);
  });

  it('is found out by one look when there is time for one only', async () => {
    const host = new Host();
    expect(await asked(host, 1000)).toMatchObject({ tookMs: 1000, activity: { measuredForMs: 1000 } });
    expect(await asked(host, 1900)).toMatchObject({ tookMs: 1000 });
  });

  it('is found out anew when what is known is a minute old, and not mixed with that', async () => {
    const host = new Host();
    await host.run(60);
    stop.abort();
    host.writtenBytesPerSecond = 8 * mebibyte;
    await pass(75);
    const { activity, tookMs } = await asked(host);
    expect([tookMs, activity.measuredForMs]).toEqual([3000, 3000]);
    expect(activity.dirtyBytesPerSecond / mebibyte).toBeCloseTo(8, 2);
  });

  it('is told with its age, also from looks that are kept', async () => {
    const host = new Host();
    await host.run(60);
    stop.abort();
    await pass(30);
    const { activity } = await asked(host);
    expect(Date.now() - 15_000 - activity.measuredAtMs).toBeGreaterThanOrEqual(30_000);
  });

  it('shares the look that is under way, in the background or for somebody else', async () => {
    const host = new Host();
    await host.run(3);
    expect([...host.looking]).toEqual([vmId]);
    // The look of 4 s that has begun 2 s ago, and that of 1 s before it.
    expect(await asked(host)).toMatchObject({ tookMs: 2000, activity: { measuredForMs: 5000 } });
    stop.abort();
    const other = new Host();
    const both = await Promise.all([asked(other), asked(other)]);
    expect(both.map(({ tookMs }) => tookMs)).toEqual([3000, 3000]);
    expect(other.looks).toHaveLength(2);
  });

  it('is looked at by oneself when the look of somebody else has failed', async () => {
    const host = new Host();
    const given = new AbortController();
    const first = host.watch.activity(vmId, 3000, given.signal);
    const failing = expect(first).rejects.toThrow('the sleep was ended');
    await pass(0.5);
    const second = asked(host);
    given.abort(new PlimsollError('aborted', 'no longer wanted'));
    await failing;
    expect(await second).toMatchObject({ tookMs: 3000 });
  });

  it('is refused with what the hypervisor says', async () => {
    const host = new Host();
    host.fault = new PlimsollError('vm-not-running', 'start it');
    await expect(asked(host)).rejects.toMatchObject({ code: 'vm-not-running' });
  });
});

describe('the looks in the background', () => {
  it('go to one VM after the other, for 1 s and for 4 s, with a pause of a second', async () => {
    const host = new Host();
    host.vms = ['a', 'b'].map((id) => runningVm({ vmId: id, memoryBytes: bytes(128 * mebibyte) }));
    await host.run(12.5);
    expect(host.looks).toEqual([
      { vmId: 'a', forMs: 1000, atMs: 0 },
      { vmId: 'a', forMs: 4000, atMs: 1000 },
      { vmId: 'b', forMs: 1000, atMs: 6000 },
      { vmId: 'b', forMs: 4000, atMs: 7000 },
      { vmId: 'a', forMs: 1000, atMs: 12_000 },
    ]);
  });

  it('have pages hashed with no more than 1 MiB/s', async () => {
    const host = new Host();
    host.vms = [runningVm({ memoryBytes: bytes(4 * 2 ** 30) })];
    await host.run(3600);
    const hashedMib = host.looks.length * 4 * 4;
    expect(hashedMib).toBeGreaterThan(3500);
    expect(hashedMib).toBeLessThan(3650);
  });

  const others: readonly (readonly [story: string, vm: Partial<VmView>])[] = [
    ['is halted', { state: 'paused' }],
    ['does not run', { state: 'shut-off' }],
    ['is on its way here', { state: 'incoming', jobActive: true }],
    ['has a job at work on it', { jobActive: true }],
    ['is in post-copy', { postCopy: 'active' }],
  ];

  it.each(others)('leave out a VM that %s', async (_story, vm) => {
    const host = new Host();
    host.vms = [runningVm(vm)];
    await host.run(60);
    expect(host.looks).toEqual([]);
  });

  it('leave out a VM that a transfer has, and what was found as the transfer began is not kept', async () => {
    const host = new Host();
    await host.run(3);
    host.owned.add(vmId);
    await pass(60);
    expect(host.looks).toHaveLength(2);
    host.owned.clear();
    stop.abort();
    expect((await asked(host)).activity.measuredForMs).toBe(3000);
  });

  it('say once for each VM and reason why they fail, and try again after ten minutes', async () => {
    const host = new Host();
    host.fault = new PlimsollError('hypervisor-failed', 'still measuring');
    await host.run(1500);
    expect(host.logged).toHaveLength(1);
    host.fault = new PlimsollError('vm-busy', 'a job does not let go');
    await pass(600);
    expect(host.logged).toHaveLength(2);
    host.fault = null;
    await pass(610);
    expect(host.looks.length).toBeGreaterThan(0);
    expect(host.logged.join()).toContain(`"vmId":"${vmId}"`);
  });

  it('never come back to a VM whose hypervisor cannot look, unless it leaves and returns', async () => {
    const host = new Host();
    const vms = host.vms;
    host.fault = new PlimsollError('method-unsupported', 'too old');
    await host.run(10);
    host.fault = null;
    await pass(7200);
    expect([host.looks.length, host.logged.length]).toEqual([0, 1]);
    host.vms = [];
    await pass(10);
    host.vms = vms;
    await pass(10);
    expect(host.looks.length).toBeGreaterThan(0);
  });

  it('take no notice of a VM that stops in the middle, and forget it', async () => {
    const host = new Host();
    await host.run(30);
    host.fault = new PlimsollError('hypervisor-failed', 'QEMU is gone');
    host.vms = [];
    await pass(30);
    host.vms = [runningVm()];
    host.fault = null;
    stop.abort();
    expect(host.logged).toEqual([]);
    expect((await asked(host)).activity.measuredForMs).toBe(3000);
  });

  it('go on when the daemon was away', async () => {
    const host = new Host();
    host.isAway = true;
    await host.run(30);
    host.isAway = false;
    await pass(10);
    expect(host.looks.length).toBeGreaterThan(0);
    expect(host.logged).toEqual([]);
  });
});
