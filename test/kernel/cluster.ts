/** The lab with its controller's client, and the checks of a guest that no return code replaces. */
import { expect } from 'vitest';
import { parse, stringify } from 'yaml';
import { guardTable } from '#core/channel/guard-rules.ts';
import { ControllerClient } from '#cli/client.ts';
import { isOver } from '#cli/migration-printer.ts';
import type { GuestBeats, LabGuest } from '#lab/api.ts';
import { startVmAgent, type VmHost, type VmLab } from '#lab/vm/api.ts';
import { AGENT_CONFIG } from '#lab/layout.ts';
import { waitFor } from '#lab/wait.ts';
import type { MigrationResource, ReceiptResource } from '#wire/api.ts';
import type { ControllerConfigFile } from '#wire/controller-config.ts';
import { kernelLab } from './lab.ts';

export interface Cluster {
  readonly lab: VmLab;
  readonly client: ControllerClient;
}

const migrationMsMax = 600_000;

export async function openCluster(): Promise<Cluster> {
  const lab = await kernelLab();
  const cluster = { lab, client: new ControllerClient(lab.controllerSocket, new AbortController().signal) };
  await allHostsUp(cluster);
  return cluster;
}

/** Every host has sent a sample from now on. */
export async function allHostsUp({ lab, client }: Cluster): Promise<void> {
  const sinceMs = Date.now();
  const up = async () => {
    const hosts = await client.hosts().catch(() => []);
    return hosts.length === lab.hosts.length && hosts.every((host) => host.status === 'up' && (host.lastSampleAtMs ?? 0) > sinceMs);
  };
  await waitFor(up, { what: 'all hosts to be up', timeoutMs: 180_000, intervalMs: 250 });
}

/** The controller begins anew with this channel policy. */
export async function useChannel(cluster: Cluster, channel: NonNullable<ControllerConfigFile['channel']>): Promise<void> {
  await cluster.lab.configureController({ channel });
  await allHostsUp(cluster);
}

/** Hosts without agents and without the guard, which outlives them. */
export async function stopAgents({ lab }: Cluster): Promise<void> {
  for (const host of lab.hosts) {
    await host.stopService('agent');
    await removeGuard(host);
  }
}

export async function removeGuard(host: VmHost): Promise<void> {
  await host.must(['nft', 'delete', 'table', 'inet', guardTable]);
}

export async function restartAgents(cluster: Cluster): Promise<void> {
  for (const host of cluster.lab.hosts) await startVmAgent(host);
  await allHostsUp(cluster);
}

/** The agents begin anew with the addresses of this IP version. */
export async function useIpVersion(cluster: Cluster, version: 4 | 6): Promise<void> {
  for (const host of cluster.lab.hosts) {
    const config = parse((await host.readFile(AGENT_CONFIG)).toString('utf8')) as object;
    const [underlay, inside] = version === 6 ? [host.underlay6, host.protected6] : [host.underlay, host.protected];
    await host.writeFile(AGENT_CONFIG, stringify({ ...config, addresses: { underlay, protected: inside, interface: 'eth0' } }));
    await host.killService('agent');
  }
  await allHostsUp(cluster);
}

/** By the word of the hosts' own daemons: the host that a guest runs on, and the other one. */
export async function placesOf({ lab }: Cluster, guest: string): Promise<{ readonly from: VmHost; readonly to: VmHost }> {
  const hosts = (await lab.placement())[guest] ?? [];
  expect(hosts, `${guest} runs on exactly one host`).toHaveLength(1);
  const from = lab.host(hosts[0] ?? '');
  const to = lab.hosts.find((host) => host !== from);
  if (to === undefined) throw new Error('a lab of one host');
  return { from, to };
}

/** Asks for a migration to the other host and follows it to its end, receipt and all. */
export async function migrate(cluster: Cluster, guest: string): Promise<MigrationResource> {
  const { client } = cluster;
  const { from, to } = await placesOf(cluster, guest);
  const known = async () => {
    const vm = await client.vm(guest).catch(() => null);
    return vm?.hostId === from.name && vm.state === 'running' && vm.migrationId === null;
  };
  await waitFor(known, { what: `${guest} to be known on ${from.name}`, timeoutMs: 60_000, intervalMs: 250 });
  const { request } = await client.migrate({ vm: guest, toHostId: to.name });
  let latest: MigrationResource | undefined;
  const over = async () => {
    latest = await client.migration(request.migrationId).catch(() => undefined);
    return latest !== undefined && isOver(latest);
  };
  await waitFor(over, { what: `the end of migration ${request.migrationId}`, timeoutMs: migrationMsMax, intervalMs: 500 });
  if (latest === undefined) throw new Error('no migration');
  await receiptOf(cluster, request.migrationId);
  return latest;
}

/** Comes last, when the channel is closed, too. */
export async function receiptOf({ client }: Cluster, migrationId: string): Promise<ReceiptResource> {
  const written = () => client.receipt(migrationId).catch(() => undefined);
  return waitFor(written, { what: `the receipt of ${migrationId}`, timeoutMs: 60_000, intervalMs: 250 });
}

/** The guest goes on beating, was never started anew, never ran twice, and its memory and kernel are sound. */
export async function expectSound(guest: LabGuest): Promise<GuestBeats> {
  const before = await guest.beats();
  const goesOn = async () => ((await guest.beats())?.received ?? 0) > (before?.received ?? 0) + 5;
  await waitFor(goesOn, { what: `${guest.name} to beat on`, timeoutMs: 60_000 });
  const beats = await guest.beats();
  if (!beats) throw new Error(`${guest.name} never beat`);
  const { boots, duplicates, memoryErrors, kernelTroubles } = beats;
  expect({ boots, duplicates, memoryErrors, kernelTroubles }).toEqual({ boots: 1, duplicates: 0, memoryErrors: 0, kernelTroubles: 0 });
  return beats;
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
