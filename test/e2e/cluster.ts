/** What the end-to-end suites share: one lab, its controller's client, and the checks of a guest that no return code replaces. */
import { ControllerClient } from '#cli/client.ts';
import { isOver } from '#cli/migration-printer.ts';
import { type GuestBeats, type Lab, type LabGuest, labUp, type LabOptions, waitFor } from '#lab/api.ts';
import type { MigrationResource, ReceiptResource } from '#wire/api.ts';
import { expect } from 'vitest';

export interface Cluster {
  readonly lab: Lab;
  readonly client: ControllerClient;
}

/** How often the slow parts are repeated: little by default, in full by `npm run test:acceptance`. */
export const repetitions = {
  migrations: Number(process.env['PLIMSOLL_E2E_MIGRATIONS'] ?? 4),
  kills: Number(process.env['PLIMSOLL_E2E_KILLS'] ?? 1),
} as const;

const migrationMsMax = 180_000;

export async function startCluster(options: Partial<LabOptions>): Promise<Cluster> {
  const cluster = clusterOf(await labUp(options));
  await allHostsUp(cluster);
  return cluster;
}

export function clusterOf(lab: Lab): Cluster {
  return { lab, client: new ControllerClient(lab.controllerSocket ?? '', new AbortController().signal) };
}

/** Every host has sent a sample from now on: its agent lives, and so does its libvirtd, without which there is none. */
export async function allHostsUp({ lab, client }: Cluster): Promise<void> {
  const sinceMs = Date.now();
  const up = async () => {
    const hosts = await client.hosts().catch(() => []);
    return hosts.length === lab.hosts.length && hosts.every((host) => host.status === 'up' && (host.lastSampleAtMs ?? 0) > sinceMs);
  };
  await waitFor(up, { what: 'all hosts to be up', timeoutMs: 60_000 });
}

/** The migration as it ended; a controller that is away for a moment is waited for. */
export async function untilOver({ client }: Cluster, migrationId: string): Promise<MigrationResource> {
  let latest: MigrationResource | undefined;
  const over = async () => {
    latest = await client.migration(migrationId).catch(() => undefined);
    return latest !== undefined && isOver(latest);
  };
  await waitFor(over, { what: `the end of migration ${migrationId}`, timeoutMs: migrationMsMax, intervalMs: 250 });
  if (latest === undefined) throw new Error('no migration');
  return latest;
}

/** The copy is under way, and so many bytes of it are sent. */
export async function untilCopying({ client }: Cluster, migrationId: string, sentBytesMin: number): Promise<void> {
  const copying = async () => {
    const { phase, progress, failure } = await client.migration(migrationId);
    if (phase === 'done' || phase === 'failed') throw new Error(`over too early: ${phase} ${failure?.message ?? ''}`);
    return phase === 'copying' && (progress?.memorySentBytes ?? 0) > sentBytesMin;
  };
  await waitFor(copying, { what: 'the middle of the copy', timeoutMs: 60_000, intervalMs: 50 });
}

/** The receipt is written in the moment after the end. */
export async function receiptOf({ client }: Cluster, migrationId: string): Promise<ReceiptResource> {
  const written = () => client.receipt(migrationId).catch(() => undefined);
  return waitFor(written, { what: `the receipt of migration ${migrationId}`, timeoutMs: 10_000 });
}

/** The inventory follows the samples: waits until the controller knows the VM as running on that host. */
export async function knownOn({ client }: Cluster, guest: string, hostId: string): Promise<void> {
  const known = async () => {
    const vm = await client.vm(guest).catch(() => null);
    return vm?.hostId === hostId && vm.state === 'running' && vm.migrationId === null;
  };
  await waitFor(known, { what: `${guest} to be known on ${hostId}`, timeoutMs: 60_000 });
}

/** By the word of the hosts' own daemons, not of Plimsoll. */
export async function hostOf({ lab }: Cluster, guest: string): Promise<string> {
  const hosts = (await lab.placement())[guest] ?? [];
  expect(hosts, `${guest} runs on exactly one host`).toHaveLength(1);
  return hosts[0] ?? '';
}

export function otherHost({ lab }: Cluster, hostId: string): string {
  const other = lab.hosts.find((host) => host.name !== hostId);
  if (!other) throw new Error('a lab of one host');
  return other.name;
}

/** The guest goes on beating, was never started anew, never ran twice, and its memory, disk and kernel are sound. */
export async function expectSound(guest: LabGuest): Promise<GuestBeats> {
  const before = await guest.beats();
  const goesOn = async () => ((await guest.beats())?.received ?? 0) > (before?.received ?? 0) + 5;
  await waitFor(goesOn, { what: `${guest.name} to beat on`, timeoutMs: 30_000 });
  const beats = await guest.beats();
  if (!beats) throw new Error(`${guest.name} never beat`);
  const { boots, duplicates, memoryErrors, diskErrors, kernelTroubles } = beats;
  expect({ boots, duplicates, memoryErrors, diskErrors, kernelTroubles }).toEqual({
    boots: 1,
    duplicates: 0,
    memoryErrors: 0,
    diskErrors: 0,
    kernelTroubles: 0,
  });
  const disk = await guest.diskLog();
  expect(disk.firstBadRecord).toBeUndefined();
  return beats;
}
