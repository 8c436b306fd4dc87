import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Capture, type Machine, waitFor } from '#lab/api.ts';
import { allHostsUp, type Cluster, expectSound, hostOf, knownOn, otherHost, repetitions, startCluster, untilOver } from './cluster.ts';

/** Slow enough that a kill lands in the middle of the copy. */
const bandwidthBytesPerSecond = 24 * 2 ** 20;

interface Ends {
  readonly guest: string;
  readonly from: string;
  readonly to: string;
}

type Kill = (cluster: Cluster, ends: Ends) => Promise<void>;

const killDestinationQemu: Kill = async ({ lab }, { guest, to }) => {
  const pid = await lab.host(to).guestPid(guest);
  if (pid === undefined) throw new Error(`no QEMU of ${guest} on ${to}`);
  process.kill(pid, 'SIGKILL');
};
const killAgent =
  (end: 'from' | 'to'): Kill =>
  ({ lab }, ends) =>
    killAndRestart(lab.host(ends[end]).machine, 'agent');
const killController: Kill = async (cluster) => {
  const { controllerEpoch } = await cluster.client.status();
  await killAndRestart(cluster.lab.ctl, 'controller');
  const isNewRun = async () => ((await cluster.client.status().catch(() => null))?.controllerEpoch ?? 0) > controllerEpoch;
  await waitFor(isNewRun, { what: 'another run of the controller', timeoutMs: 30_000 });
};
const killCharon: Kill = ({ lab }, { from }) => killAndRestart(lab.host(from).machine, 'charon');

/** Resolves when the supervisor has started the service again, as another process. */
async function killAndRestart(machine: Machine, service: string): Promise<void> {
  const killed = await machine.killService(service);
  const again = async () => ![undefined, killed].includes(await machine.servicePid(service));
  await waitFor(again, { what: `${service} to be started again`, timeoutMs: 30_000 });
}

const victims: readonly (readonly [victim: string, kill: Kill, ends: readonly string[]])[] = [
  ['destination QEMU', killDestinationQemu, ['failed']],
  ['source agent', killAgent('from'), ['done', 'failed']],
  ['destination agent', killAgent('to'), ['done', 'failed']],
  ['controller', killController, ['done', 'failed']],
  // The channel is gone: the VM stays where it is, and not a byte goes on in plain text.
  ["source's charon", killCharon, ['failed']],
];

const cases = victims.flatMap(([victim, kill, ends]) =>
  Array.from({ length: repetitions.kills }, (_, index) => [victim, index + 1, kill, ends] as const),
);

describe('kill -9 in the middle of a migration', () => {
  let cluster: Cluster;
  let capture: Capture;

  beforeAll(async () => {
    cluster = await startCluster({
      name: 'e2e-kill',
      hosts: 2,
      guests: 1,
      controllerConfig: { policy: { migrationBandwidthBytesPerSecond: bandwidthBytesPerSecond } },
    });
    capture = await cluster.lab.startCapture('kills');
    await cluster.lab.guest('vm1').steer({ cpuPercent: 5, dirtyMbPerSecond: 2, diskWritesPerSecond: 5 });
  });
  afterAll(() => cluster?.lab.down());

  it.each(cases)('of the %s, time %i: the VM runs on exactly one host and the next migration works', async (_victim, _time, kill, ends) => {
    const guest = cluster.lab.guest('vm1');
    const from = await hostOf(cluster, guest.name);
    const to = otherHost(cluster, from);
    await knownOn(cluster, guest.name, from);
    const { request } = await cluster.client.migrate({ vm: guest.name, toHostId: to });
    await untilCopying(cluster, request.migrationId);
    await kill(cluster, { guest: guest.name, from, to });

    const migration = await untilOver(cluster, request.migrationId);
    expect(ends).toContain(migration.phase);
    expect(await hostOf(cluster, guest.name)).toBe(migration.phase === 'done' ? to : from);
    await expectSound(guest);
    await allHostsUp(cluster);
    await nextMigrationWorks(cluster, guest.name);
  });

  it.each(['libvirtd', 'charon', 'agent'])('of %s on every host while nothing moves: the next migration works', async (service) => {
    for (const host of cluster.lab.hosts) await killAndRestart(host.machine, service);
    await allHostsUp(cluster);
    await nextMigrationWorks(cluster, 'vm1');
  });

  it('and through all of it nothing of the guest was readable on the wire', async () => {
    const scan = await cluster.lab.scan(await capture.stop());
    expect(scan.kinds['esp-in-udp']).toBeGreaterThan(1000);
    expect(scan.markers[cluster.lab.guest('vm1').marker]).toBe(0);
  });

  async function nextMigrationWorks(own: Cluster, name: string): Promise<void> {
    const from = await hostOf(own, name);
    await knownOn(own, name, from);
    const { request } = await own.client.migrate({ vm: name, toHostId: otherHost(own, from) });
    expect(await untilOver(own, request.migrationId)).toMatchObject({ phase: 'done', failure: null });
    await expectSound(own.lab.guest(name));
  }
});

async function untilCopying({ client }: Cluster, migrationId: string): Promise<void> {
  const halfWay = async () => {
    const { phase, progress, failure } = await client.migration(migrationId);
    if (phase === 'done' || phase === 'failed') throw new Error(`over before the kill: ${phase} ${failure?.message ?? ''}`);
    return phase === 'copying' && (progress?.memorySentBytes ?? 0) > bandwidthBytesPerSecond;
  };
  await waitFor(halfWay, { what: 'the middle of the copy', timeoutMs: 60_000, intervalMs: 50 });
}
