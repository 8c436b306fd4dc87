/** The lab that a campaign uses up: built, kept healthy, built anew when it is not. */
import { type Lab, removeLab, waitFor } from '#lab/api.ts';
import { allHostsUp, type Cluster, startCluster } from '#test/e2e/cluster.ts';
import { Oracle } from './oracle/oracle.ts';
import { removeTables } from './strikes/network.ts';
import { emptyDisks, makeDisksSmall } from './strikes/resources.ts';

/** Slow enough that the copy takes 4 to 6 s, and each phase of it can be struck. */
const bandwidthBytesPerSecond = 16 * 2 ** 20;
const load = { cpuPercent: 5, dirtyMbPerSecond: 2, diskWritesPerSecond: 20 };

export interface Range {
  readonly cluster: Cluster;
  readonly oracle: Oracle;
}

export async function buildRange(labName: string): Promise<Range> {
  await removeLab(labName);
  const cluster = await startCluster({
    name: labName,
    hosts: 3,
    guests: 3,
    controllerConfig: { policy: { migrationBandwidthBytesPerSecond: bandwidthBytesPerSecond } },
  });
  try {
    await makeDisksSmall(cluster.lab.hosts);
    for (const guest of cluster.lab.guests) await guest.steer(load);
    return { cluster, oracle: await Oracle.start(cluster.lab) };
  } catch (error) {
    await cluster.lab.down();
    throw error;
  }
}

export async function leaveRange({ cluster, oracle }: Range): Promise<void> {
  await oracle.stop();
  await cluster.lab.down();
}

async function cleanHosts({ hosts }: Lab): Promise<void> {
  await removeTables(hosts);
  await emptyDisks(hosts);
}

/** Nothing of the last run is left, every host is up and every guest runs on one host. @throws when it does not come to that. */
export async function mustBeHealthy({ cluster, oracle }: Range): Promise<void> {
  await cleanHosts(cluster.lab);
  await allHostsUp(cluster);
  const eachRuns = () => cluster.lab.guests.every(({ name }) => oracle.guest(name).runsOn().length === 1);
  await waitFor(eachRuns, { what: 'every guest to run on one host', timeoutMs: 30_000 });
  const open = async () => (await cluster.client.migrations({ state: 'open', limit: 10 }).catch(() => [null])).length === 0;
  await waitFor(open, { what: 'no migration to be open', timeoutMs: 30_000 });
}

/** The guest runs nowhere: it is started anew where it is defined, as an operator would. */
export async function restartGuest({ cluster, oracle }: Range, name: string, hosts: readonly string[]): Promise<boolean> {
  for (const host of hosts) {
    const started = await cluster.lab.host(host).exec(['virsh', '-q', 'start', name], { timeoutMs: 30_000 });
    if (started.code !== 0) continue;
    const guest = cluster.lab.guest(name);
    const beforeMs = Date.now();
    const beats = async () => ((await guest.beats())?.lastBeatAtMs ?? 0) > beforeMs && oracle.guest(name).runsOn().length === 1;
    await waitFor(beats, { what: `${name} to beat after its restart`, timeoutMs: 60_000 });
    await guest.steer(load);
    return true;
  }
  return false;
}
