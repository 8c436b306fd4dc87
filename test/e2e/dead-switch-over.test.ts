/** The link dies as the last round of a pre-copy leaves, with more to go than a socket's buffer takes: QEMU then hears no order. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LabGuest, type LabHost, waitFor } from '#lab/api.ts';
import { leaseHolders } from '#test/faults/locks.ts';
import { judgeSamples } from '#test/faults/oracle/judge.ts';
import { type GuestSight, Oracle } from '#test/faults/oracle/oracle.ts';
import { blackHole } from './post-copy/cuts.ts';
import { type Cluster, expectSound, hostOf, knownOn, otherHost, startCluster, untilOver } from './cluster.ts';

/** What the guest writes again and again, and may stand still for, on a link that takes 4 s for it. */
const load = { dirtyMbPerSecond: 8, diskWritesPerSecond: 5 };
const downtimeMs = 6_000;
const limitMs = 4_000;
/** The watchdog's own time is 10 s. */
const standingMsMax = 30_000;

/** A QEMU that is in the middle of a write to a dead link does not even say that its VM is halted. */
async function runsAgain(sight: GuestSight, { name }: LabHost, stoppedAtMs: number): Promise<void> {
  const runsAfterStop = () => {
    const since = sight.samples.filter(({ atMs }) => atMs >= stoppedAtMs).map(({ copies }) => copies[name] === 'running');
    const stoodAt = since.indexOf(false);
    return stoodAt >= 0 && since.indexOf(true, stoodAt) >= 0;
  };
  await waitFor(runsAfterStop, { what: 'the VM to run on its source again', timeoutMs: standingMsMax, intervalMs: 50 });
}

interface Cut {
  /** QEMU had stopped the VM by then. */
  readonly stoppedAtMs: number;
  readonly mend: () => Promise<void>;
}

describe('a link that dies in the last round', () => {
  let cluster: Cluster;
  let oracle: Oracle;

  beforeAll(async () => {
    cluster = await startCluster({
      name: 'e2e-dead-link',
      hosts: 2,
      guests: 1,
      guestMemoryMib: 128,
      workingSetMib: 48,
      rate: '100mbit',
      controllerConfig: { migration: { preset: 'must-move' } },
    });
    await guest().steer(load);
    oracle = await Oracle.start(cluster.lab);
  });
  afterAll(async () => {
    await oracle?.stop();
    await cluster?.lab.down();
  });

  const guest = (): LabGuest => cluster.lab.guest('vm1');

  async function ends(): Promise<{ readonly source: LabHost; readonly destination: LabHost }> {
    const from = await hostOf(cluster, 'vm1');
    return { source: cluster.lab.host(from), destination: cluster.lab.host(otherHost(cluster, from)) };
  }

  /** Cuts as soon as QEMU sends what is left. */
  async function cutInLastRound(sight: GuestSight, between: Awaited<ReturnType<typeof ends>>): Promise<Cut> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const ignore = sight.listen(({ host, status }) => {
      if (host === between.source.name && status === 'device') resolve(undefined);
    });
    const enough = new AbortController();
    const late = waitFor(() => false, { what: 'the last round', timeoutMs: 90_000, signal: enough.signal });
    try {
      await Promise.race([promise, late]);
    } finally {
      ignore();
      enough.abort();
      late.catch(() => undefined);
    }
    const stoppedAtMs = Date.now();
    const { mend } = await blackHole(between, { to: between.destination.underlay });
    return { stoppedAtMs, mend };
  }

  it('costs a stop within bounds: the VM runs on its source while the link is still dead, and is sound', async () => {
    const sight = oracle.guest('vm1');
    const between = await ends();
    await knownOn(cluster, 'vm1', between.source.name);
    sight.clear();
    await cluster.lab.client.reset('vm1');
    const { request } = await cluster.client.migrate({
      vm: 'vm1',
      toHostId: between.destination.name,
      wish: { method: 'pre-copy', downtimeMsMax: downtimeMs },
    });
    const { stoppedAtMs, mend } = await cutInLastRound(sight, between);
    await runsAgain(sight, between.source, stoppedAtMs);
    await mend();
    expect(await untilOver(cluster, request.migrationId)).toMatchObject({ phase: 'failed', failure: { code: 'switch-over-stalled' } });
    const beats = await guest().beats();
    const seen = judgeSamples(sight.samples, { duplicates: beats?.duplicates ?? 0, largestGapMs: beats?.largestGapMs ?? 0 }, Date.now());
    expect(seen).toMatchObject({ twoCopies: false, runsOn: [between.source.name], otherCopiesOn: [] });
    expect(seen.noneMs).toBeLessThan(standingMsMax);
    expect(await leaseHolders(cluster.lab, 'vm1')).toEqual([between.source.name]);
    await expectSound(guest());
  });

  it('the control arm: with libvirt alone the VM stands still for longer than that, although the migration is aborted', async () => {
    const sight = oracle.guest('vm1');
    const between = await ends();
    for (const host of cluster.lab.hosts) {
      await host.machine.stopService('agent');
      await host.exec(['nft', 'delete', 'table', 'inet', 'plimsoll']);
    }
    const { source, destination } = between;
    const control = `qemu+tls://${destination.underlay}/system?pkipath=/etc/plimsoll/pki/libvirt`;
    const address = ['--migrateuri', `tcp://${destination.underlay}`, '--listen-address', destination.underlay];
    await source.virsh(['migrate-setmaxdowntime', 'vm1', `${limitMs}`]);
    sight.clear();
    const argv = ['virsh', '-q', 'migrate', '--live', '--p2p', '--persistent', '--undefinesource', 'vm1', control, ...address];
    const driver = source.exec(argv, { timeoutMs: 180_000 }).catch(() => undefined);
    const { stoppedAtMs, mend } = await cutInLastRound(sight, between);
    const abort = source.exec(['virsh', '-q', 'domjobabort', 'vm1'], { timeoutMs: 120_000 }).catch(() => undefined);
    await expect(runsAgain(sight, source, stoppedAtMs)).rejects.toThrow('to run on its source again');
    await mend();
    await Promise.all([driver, abort]);
  });
});
