import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { leaseTerms } from '#core/recovery/lease.ts';
import type { VmStanding } from '#core/model/recovery.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Stamp } from '#wire/agent-protocol.ts';
import { vmId } from './examples.ts';
import { FakeLeaseBook } from './fake-lease-book.ts';
import { FakeMemory, timerClock } from './fakes.ts';
import { Gate } from './gate.ts';
import { Lease } from './lease.ts';
import { Remembered } from './remembered.ts';

const going = new AbortController().signal;
const text = '<domain/>';
let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 10 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

/** One VM on a host. */
class Vm {
  standing: VmStanding = 'here';
  autostart = false;
  stuck = false;
  hangs = false;
  readonly done: string[] = [];
  readonly endedAtMs: number[] = [];

  readonly port = {
    standing: async () => {
      if (this.hangs) await new Promise(() => undefined);
      return this.standing;
    },
    keepDown: async () => {
      if (!this.autostart) return false;
      this.autostart = false;
      return true;
    },
    fence: async () => {
      if (this.stuck) throw new PlimsollError('hypervisor-failed', 'it waits for a disk');
      if (this.standing !== 'here') return false;
      this.standing = 'crashed';
      this.endedAtMs.push(Date.now());
      return true;
    },
    start: async () => {
      this.done.push('start');
      this.standing = 'here';
    },
  };
}

interface Machine {
  readonly book: FakeLeaseBook;
  readonly vm: Vm;
  readonly memory: FakeMemory;
  readonly logged: string[];
}

const machine = (): Machine => ({ book: new FakeLeaseBook(), vm: new Vm(), memory: new FakeMemory(), logged: [] });

/** An agent's process on this machine. */
async function agentOn(
  { book, vm, memory, logged }: Machine,
  agentId = 'agent1',
  signal = stop.signal,
  noteEnd: (() => Promise<void>) | null = null,
): Promise<Lease> {
  const gate = new Gate('a', await Remembered.load(memory), { verify: () => true }, () => 'boot 1');
  if (noteEnd !== null) gate.noteEnd = noteEnd;
  const note = (message: string) => void logged.push(message);
  const hypervisor = vm.port as unknown as ConstructorParameters<typeof Lease>[0]['hypervisor'];
  const lease = new Lease({ clock: timerClock, hypervisor, leaseBook: book, log: { info: note, warn: note, error: note } }, gate, agentId);
  void lease.keep(signal).catch(() => undefined);
  return lease;
}

/** As the controller does it: the first answer tells the time, the second order grants. */
async function granted(lease: Lease): Promise<Stamp> {
  const first = await lease.renew({ since: null, vmIds: [vmId] }, going);
  return (await lease.renew({ since: first.stamp, vmIds: [vmId] }, going)).stamp;
}

describe('a lease', () => {
  it('that was never granted binds nobody: a VM that was marked just now runs on', async () => {
    const host = machine();
    const lease = await agentOn(host);
    const word = await lease.renew({ since: null, vmIds: [vmId] }, going);
    expect(word).toMatchObject({ holds: false, vms: [{ standing: 'here', covered: false }] });
    await vi.advanceTimersByTimeAsync(300_000);
    expect(host.vm.endedAtMs).toEqual([]);
  });

  it('that is not renewed ends the VM, in time and with a word, and says so afterwards', async () => {
    const host = machine();
    const lease = await agentOn(host);
    await granted(lease);
    await vi.advanceTimersByTimeAsync(leaseTerms.leaseMs + leaseTerms.fenceMs);
    expect(host.vm.endedAtMs).toHaveLength(1);
    expect(host.vm.endedAtMs[0]).toBeGreaterThanOrEqual(10 + leaseTerms.leaseMs);
    expect(host.vm.endedAtMs[0]).toBeLessThan(10 + leaseTerms.leaseMs + 1000);
    expect(host.logged.join()).toContain("this host's lease has ended: the VM was ended here");
    expect(await lease.look(vmId, going)).toEqual({ standing: 'fenced' });
  });

  it('that is not renewed ends the VM, also where the disk is full or hangs', async () => {
    for (const fails of [() => Promise.reject(new PlimsollError('internal', 'no room')), () => new Promise<never>(() => undefined)]) {
      const host = machine();
      const stop2 = new AbortController();
      const lease = await agentOn(host, 'agent1', stop2.signal, fails);
      await granted(lease);
      await vi.advanceTimersByTimeAsync(leaseTerms.leaseMs + leaseTerms.fenceMs);
      expect(host.vm.endedAtMs).toHaveLength(1);
      stop2.abort();
    }
  });

  it('that is renewed lets it run', async () => {
    const host = machine();
    const lease = await agentOn(host);
    let since = await granted(lease);
    for (let renewals = 0; renewals < 30; renewals += 1) {
      await vi.advanceTimersByTimeAsync(5000);
      ({ stamp: since } = await lease.renew({ since, vmIds: [vmId] }, going));
    }
    expect(host.vm.endedAtMs).toEqual([]);
  });

  it('counts from the stamp and not from the arrival of a grant that was held up', async () => {
    const host = machine();
    const lease = await agentOn(host);
    const since = await granted(lease);
    await vi.advanceTimersByTimeAsync(50_000);
    await lease.renew({ since, vmIds: [vmId] }, going);
    await vi.advanceTimersByTimeAsync(11_000);
    expect(host.vm.endedAtMs).toHaveLength(1);
  });

  it('is not granted for the stamp of another process, of another boot or of the future', async () => {
    const host = machine();
    const lease = await agentOn(host);
    const { stamp } = await lease.renew({ since: null, vmIds: [] }, going);
    for (const change of [{ agentId: 'agent0' }, { bootId: 'boot-z' }, { atMs: stamp.atMs + 1000 }])
      expect(await lease.renew({ since: { ...stamp, ...change }, vmIds: [vmId] }, going)).toMatchObject({ holds: false });
  });

  it('that lets go of a VM does not end it', async () => {
    const host = machine();
    const lease = await agentOn(host);
    await granted(lease);
    await lease.renew({ since: null, vmIds: [] }, going);
    await vi.advanceTimersByTimeAsync(300_000);
    expect(host.vm.endedAtMs).toEqual([]);
  });

  it('is tried again on a VM that cannot be ended, until it is', async () => {
    const host = machine();
    const lease = await agentOn(host);
    await granted(lease);
    host.vm.stuck = true;
    await vi.advanceTimersByTimeAsync(80_000);
    expect(host.logged.filter((line) => line.includes('could not be ended'))).toHaveLength(1);
    host.vm.stuck = false;
    await vi.advanceTimersByTimeAsync(1000);
    expect(host.vm.endedAtMs).toHaveLength(1);
  });

  it('is renewed although the hypervisor hangs', async () => {
    const host = machine();
    const lease = await agentOn(host);
    const since = await granted(lease);
    host.vm.hangs = true;
    const word = lease.renew({ since, vmIds: [vmId] }, going);
    await vi.advanceTimersByTimeAsync(2500);
    expect(await word).toMatchObject({ holds: true, vms: [{ standing: null, covered: false }] });
  });

  it('is not counted on by a controller whose renewal could not be written down', async () => {
    const host = machine();
    const lease = await agentOn(host);
    const { stamp } = await lease.renew({ since: null, vmIds: [vmId] }, going);
    host.book.fault = new Error('no room');
    await expect(lease.renew({ since: stamp, vmIds: [vmId] }, going)).rejects.toThrow('no room');
    host.book.fault = null;
    expect((await lease.renew({ since: null, vmIds: [vmId] }, going)).holds).toBe(false);
  });

  it('covers a VM only when its hypervisor does not start it by itself', async () => {
    const host = machine();
    host.vm.autostart = true;
    await granted(await agentOn(host));
    expect(host.vm.autostart).toBe(false);
    expect(host.logged.filter((line) => line.includes('does not start this VM by itself'))).toHaveLength(1);
  });
});

describe('an agent that restarts', () => {
  it('holds the lease of its predecessor and no more', async () => {
    const host = machine();
    const first = new AbortController();
    await granted(await agentOn(host, 'agent1', first.signal));
    await vi.advanceTimersByTimeAsync(30_000);
    first.abort();
    await vi.advanceTimersByTimeAsync(20_000);
    await agentOn(host, 'agent2');
    await vi.advanceTimersByTimeAsync(9000);
    expect(host.vm.endedAtMs).toEqual([]);
    await vi.advanceTimersByTimeAsync(2000);
    expect(host.vm.endedAtMs).toHaveLength(1);
  });

  it('ends the VM at once when that lease is over', async () => {
    const host = machine();
    const first = new AbortController();
    await granted(await agentOn(host, 'agent1', first.signal));
    first.abort();
    await vi.advanceTimersByTimeAsync(100_000);
    expect(host.vm.endedAtMs).toEqual([]);
    await agentOn(host, 'agent2');
    await vi.advanceTimersByTimeAsync(10);
    expect(host.vm.endedAtMs).toEqual([100_010]);
  });

  it('would let it run on, had it forgotten the lease', async () => {
    const host = machine();
    const first = new AbortController();
    await granted(await agentOn(host, 'agent1', first.signal));
    first.abort();
    host.book.saved = null;
    await agentOn(host, 'agent2');
    await vi.advanceTimersByTimeAsync(300_000);
    expect(host.vm.endedAtMs).toEqual([]);
  });

  it('with its machine binds nobody by what was granted before that boot', async () => {
    const host = machine();
    await granted(await agentOn(host));
    stop.abort();
    stop = new AbortController();
    host.book.reboot();
    await agentOn(host, 'agent2');
    await vi.advanceTimersByTimeAsync(300_000);
    expect(host.vm.endedAtMs).toEqual([]);
  });
});

describe('the order to start a VM', () => {
  it('is carried out once per epoch, under a lease that binds the VM', async () => {
    const host = machine();
    const lease = await agentOn(host);
    host.vm.standing = 'absent';
    const since = await granted(lease);
    await lease.start({ vmId, vmEpoch: 4, text, since }, going);
    expect(host.memory.saved.vmEpochs).toEqual({ [vmId]: 4 });
    for (const vmEpoch of [4, 3])
      await expect(lease.start({ vmId, vmEpoch, text, since }, going)).rejects.toMatchObject({ code: 'stale-epoch' });
    expect(host.vm.done).toEqual(['start']);
  });

  it('that was held up is refused', async () => {
    const host = machine();
    const lease = await agentOn(host);
    const since = await granted(lease);
    await vi.advanceTimersByTimeAsync(16_000);
    await expect(lease.start({ vmId, vmEpoch: 4, text, since }, going)).rejects.toMatchObject({ code: 'ticket-expired' });
    expect(host.vm.done).toEqual([]);
  });

  it('without a lease is refused, and so is a VM that would be ended as soon as it arrives', async () => {
    const host = machine();
    const lease = await agentOn(host);
    const { stamp } = await lease.renew({ since: null, vmIds: [vmId] }, going);
    await expect(lease.start({ vmId, vmEpoch: 4, text, since: stamp }, going)).rejects.toMatchObject({ code: 'lease-ended' });
    await lease.mustLetRun(vmId);
    await granted(lease);
    await lease.mustLetRun(vmId);
    await vi.advanceTimersByTimeAsync(leaseTerms.leaseMs);
    await expect(lease.mustLetRun(vmId)).rejects.toMatchObject({ code: 'lease-ended' });
  });

  it('makes the host forget that it had ended the VM', async () => {
    const host = machine();
    const lease = await agentOn(host);
    await granted(lease);
    await vi.advanceTimersByTimeAsync(leaseTerms.leaseMs + 1000);
    expect(await lease.look(vmId, going)).toEqual({ standing: 'fenced' });
    const since = await granted(lease);
    await lease.start({ vmId, vmEpoch: 4, text, since }, going);
    host.vm.standing = 'stopped';
    expect(await lease.look(vmId, going)).toEqual({ standing: 'stopped' });
  });
});
