import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Recovery, ToldStanding } from '#core/model/recovery.ts';
import { PlimsollError } from '#core/model/result.ts';
import { leaseTerms, waitMs } from '#core/recovery/lease.ts';
import { restartLimits } from '#core/recovery/restart.ts';
import { startController } from './controller.ts';
import {
  FakeAgent,
  fakeParts,
  type FakeParts,
  MemoryStore,
  runningVm,
  sampleOf,
  settings,
  silence,
  tokens,
  vmId,
  vmSample,
} from './fakes.ts';

const stepMs = 3000;
const leases = [{ lockspace: 'locks', key: 'web1', path: '/locks/web1' }];
let cluster: Cluster;

/** A host with a sound agent and at most the one VM. */
class Host {
  readonly agent: FakeAgent;
  #standing: ToldStanding;
  bootId = 'boot1';
  /** What it was told that its lease binds, each time. */
  readonly bound: string[][] = [];
  readonly granted: unknown[] = [];
  readonly starts: { readonly vmEpoch: unknown }[] = [];
  onStart: () => unknown = () => ({});
  covers = true;
  #sequence = 0;
  isUp = true;

  constructor(parts: FakeParts, hostId: string, standing: ToldStanding, locks: typeof leases = leases) {
    this.agent = new FakeAgent(parts, hostId);
    this.#standing = standing;
    this.standing = standing;
    const { answers } = this.agent;
    const usual = this.agent.usual('vm.describe');
    answers['vm.describe'] = (args) => {
      const told = usual(args) as { readonly definition: object };
      return { ...told, definition: { ...told.definition, leases: locks } };
    };
    answers['lease.renew'] = ({ since, vmIds }) => this.#renew(since, vmIds as string[]);
    answers['lease.look'] = () => ({ standing: this.standing });
    answers['vm.start'] = ({ vmEpoch }) => {
      this.starts.push({ vmEpoch });
      const answer = this.onStart();
      if (answer !== silence) this.standing = 'here';
      return answer;
    };
  }

  get standing(): ToldStanding {
    return this.#standing;
  }

  set standing(standing: ToldStanding) {
    this.#standing = standing;
    this.agent.vm = standing === 'here' ? runningVm() : null;
  }

  #renew(since: unknown, vmIds: string[]) {
    this.bound.push(vmIds);
    if (since !== null) this.granted.push(since);
    const vms = vmIds.map((id) => ({ vmId: id, standing: this.standing, covered: this.covers }));
    return { stamp: { bootId: this.bootId, agentId: 'agent1', atMs: Date.now() }, holds: since !== null, vms };
  }

  sample(): void {
    if (!this.isUp) return;
    this.#sequence += 1;
    const vms = this.standing === 'here' ? [vmSample()] : [];
    this.agent.line.deliver({ type: 'sample', sample: sampleOf(this.agent.hostId, this.#sequence, vms) });
  }

  lose(): void {
    this.isUp = false;
    this.agent.line.close('gone');
  }

  return(standing = this.standing): void {
    [this.standing, this.isUp] = [standing, true];
    this.agent.dial();
  }
}

class Cluster {
  readonly store = new MemoryStore();
  readonly hosts: Record<'a' | 'b', Host>;
  parts: FakeParts;
  #stop = new AbortController();
  #stopped: Promise<void> = Promise.resolve();

  private constructor(locks: typeof leases) {
    for (const hostId of ['a', 'b'])
      this.store.hostRecords.push({ hostId, joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
    this.store.settings.set(vmId, {
      vmId,
      restartable: true,
      address: null,
      definitionText: null,
      slaClass: null,
      tenant: null,
      labels: {},
      updatedAtMs: 0,
    });
    this.parts = fakeParts(this.store);
    this.hosts = { a: new Host(this.parts, 'a', 'here', locks), b: new Host(this.parts, 'b', 'absent', locks) };
  }

  static async start(locks: typeof leases = leases): Promise<Cluster> {
    const made = new Cluster(locks);
    await made.#control(made.parts);
    for (const host of Object.values(made.hosts)) host.agent.dial();
    await made.pass(30_000);
    return made;
  }

  async #control(parts: FakeParts): Promise<void> {
    const controller = await startController(parts, settings, tokens, this.#stop.signal);
    this.#stopped = controller.stopped;
  }

  /** The next controller takes over; the agents dial it only when they are told to. */
  async restartController(): Promise<void> {
    await this.stop();
    this.#stop = new AbortController();
    await this.#control(this.parts);
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      for (const host of Object.values(this.hosts)) host.sample();
      await vi.advanceTimersByTimeAsync(Math.min(stepMs, ms - passed));
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await vi.advanceTimersByTimeAsync(1);
    await this.#stopped;
  }

  get recovery(): Recovery | undefined {
    return this.store.recovering.get(vmId);
  }
}

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(async () => {
  await cluster.stop();
  vi.useRealTimers();
});

describe('a restartable VM', () => {
  it('is watched: its host has a lease that binds it, and its definition is kept', async () => {
    cluster = await Cluster.start();
    expect(cluster.recovery).toMatchObject({ phase: 'watched', hostId: 'a', coveredHostIds: ['a'], vmName: 'web1' });
    expect(cluster.hosts.a.granted.length).toBeGreaterThan(3);
    expect(cluster.hosts.b.bound).toEqual([]);
    expect(cluster.store.settings.get(vmId)?.definitionText).toBe('<domain/>');
  });

  it('is started elsewhere when its host is silent and its lease surely over, once, and not before', async () => {
    cluster = await Cluster.start();
    const { a, b } = cluster.hosts;
    a.lose();
    await cluster.pass(waitMs(leaseTerms) - 6000);
    expect(b.starts).toEqual([]);
    await cluster.pass(20_000);
    expect(b.starts).toEqual([{ vmEpoch: 1 }]);
    expect(b.bound.at(-1)).toEqual([vmId]);
    expect(cluster.recovery).toMatchObject({ phase: 'watched', hostId: 'b' });
    expect(cluster.store.audited.filter(({ verb }) => verb === 'vm.start')).toHaveLength(1);
    await cluster.pass(300_000);
    expect(b.starts).toHaveLength(1);
  });

  it('is not started by what a host says again when it comes back, and that host lets go of it', async () => {
    cluster = await Cluster.start();
    const { a, b } = cluster.hosts;
    a.lose();
    await cluster.pass(100_000);
    a.return('fenced');
    await cluster.pass(30_000);
    expect([a.starts, b.starts]).toEqual([[], [{ vmEpoch: 1 }]]);
    expect(a.bound.at(-1)).toEqual([]);
    expect(cluster.recovery).toMatchObject({ hostId: 'b', toldHostIds: ['b'], coveredHostIds: ['b'] });
  });

  it('is let go of by a host that comes back before anything else can be asked of that host', async () => {
    cluster = await Cluster.start();
    const { a } = cluster.hosts;
    a.lose();
    await cluster.pass(100_000);
    const before = a.bound.length;
    // Between two rounds of renewals.
    await cluster.pass(1000);
    a.return('fenced');
    await cluster.pass(1000);
    expect(a.bound.slice(before)).toEqual([[]]);
  });

  it('is not started elsewhere when its host never confirmed that it ends it', async () => {
    cluster = await Cluster.start();
    const { a, b } = cluster.hosts;
    a.covers = false;
    await cluster.store.saveRecovery({ ...(cluster.recovery as Recovery), coveredHostIds: [] });
    await cluster.restartController();
    await cluster.pass(1000);
    a.return();
    b.return();
    await cluster.pass(30_000);
    a.lose();
    await cluster.pass(300_000);
    expect(b.starts).toEqual([]);
    expect(cluster.recovery?.reason).toContain('never confirmed');
  });

  it('whose process has died is started again at once, on the host that it was on', async () => {
    cluster = await Cluster.start();
    cluster.hosts.a.standing = 'crashed';
    await cluster.pass(12_000);
    expect([cluster.hosts.a.starts, cluster.hosts.b.starts]).toEqual([[{ vmEpoch: 1 }], []]);
  });

  it.each(['stopped', 'unknown'] as const)('that has ended as %s is left alone', async (standing) => {
    cluster = await Cluster.start();
    cluster.hosts.a.standing = standing;
    await cluster.pass(300_000);
    expect([cluster.hosts.a.starts, cluster.hosts.b.starts]).toEqual([[], []]);
    expect(cluster.recovery?.phase).toBe('off');
  });

  it('without a lock on its storage is not started', async () => {
    cluster = await Cluster.start([]);
    cluster.hosts.a.lose();
    await cluster.pass(200_000);
    expect(cluster.hosts.b.starts).toEqual([]);
    expect(cluster.recovery?.reason).toContain('no lock on its storage');
  });

  it('is started by nobody as long as any other host may run it', async () => {
    cluster = await Cluster.start();
    const { a, b } = cluster.hosts;
    b.agent.answers['lease.look'] = () => silence;
    a.standing = 'crashed';
    await cluster.pass(30_000);
    expect([a.starts, b.starts]).toEqual([[], []]);
    expect(cluster.recovery).toMatchObject({ phase: 'down', reason: 'b does not answer, and its lease is not over' });
  });

  it('whose start is refused is tried again later each time, and given up in the end', async () => {
    cluster = await Cluster.start();
    const { a } = cluster.hosts;
    a.onStart = () => {
      throw new PlimsollError('hypervisor-failed', 'its emulator is missing');
    };
    a.standing = 'crashed';
    await cluster.pass(1_000_000);
    expect(a.starts).toHaveLength(restartLimits.attemptsMax);
    expect(new Set(a.starts.map(({ vmEpoch }) => vmEpoch)).size).toBe(restartLimits.attemptsMax);
    expect(cluster.recovery?.phase).toBe('given-up');
  });

  // QEMU's own lock on an image is refused in words only.
  it.each(['lock-held', 'hypervisor-failed'] as const)(
    'that may run on where nobody can ask is never given up for %s, and started once that host has ended it',
    async (code) => {
      cluster = await Cluster.start();
      const { a, b } = cluster.hosts;
      let isHeld = true;
      b.onStart = () => {
        if (isHeld) throw new PlimsollError(code, 'another host holds its lock');
        return {};
      };
      a.lose();
      await cluster.pass(1_000_000);
      expect(b.starts.length).toBeGreaterThan(restartLimits.attemptsMax);
      expect(cluster.recovery).toMatchObject({ phase: 'down', attempts: 0 });
      isHeld = false;
      a.return('fenced');
      await cluster.pass(restartLimits.heldMs + 10_000);
      expect(cluster.recovery).toMatchObject({ phase: 'watched', hostId: 'b' });
    },
  );

  it('whose mark is taken away is let go of by its host, and forgotten', async () => {
    cluster = await Cluster.start();
    cluster.store.settings.set(vmId, {
      vmId,
      restartable: false,
      address: null,
      definitionText: null,
      slaClass: null,
      tenant: null,
      labels: {},
      updatedAtMs: 5,
    });
    await cluster.restartController();
    for (const host of Object.values(cluster.hosts)) host.return();
    await cluster.pass(30_000);
    expect(cluster.hosts.a.bound.at(-1)).toEqual([]);
    expect(cluster.recovery).toBeUndefined();
  });
});

describe('a controller that restarts', () => {
  it('takes every lease for granted just before, and does not start what may still run', async () => {
    cluster = await Cluster.start();
    const { a, b } = cluster.hosts;
    a.lose();
    await cluster.pass(60_000);
    await cluster.restartController();
    b.return();
    await cluster.pass(waitMs(leaseTerms) - 6000);
    expect(b.starts).toEqual([]);
    await cluster.pass(20_000);
    expect(b.starts).toEqual([{ vmEpoch: 1 }]);
  });

  it('does not repeat a start whose outcome it did not hear: it finds the VM running', async () => {
    cluster = await Cluster.start();
    const { a, b } = cluster.hosts;
    b.onStart = () => silence;
    a.lose();
    await cluster.pass(100_000);
    expect(cluster.recovery?.phase).toBe('starting');
    await cluster.restartController();
    b.return('here');
    await cluster.pass(300_000);
    expect(b.starts).toHaveLength(1);
    expect(cluster.recovery).toMatchObject({ phase: 'watched', hostId: 'b' });
  });

  it('waits before it starts again what it cannot find, and does it under a new epoch', async () => {
    cluster = await Cluster.start();
    const { a, b } = cluster.hosts;
    b.onStart = () => silence;
    a.lose();
    await cluster.pass(100_000);
    await cluster.restartController();
    b.onStart = () => ({});
    b.return('absent');
    await cluster.pass(restartLimits.settleMs - 60_000);
    expect(b.starts).toHaveLength(1);
    await cluster.pass(200_000);
    expect(b.starts).toEqual([{ vmEpoch: 1 }, { vmEpoch: 2 }]);
  });
});
