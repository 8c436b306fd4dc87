import { type Cluster, expectSound, hostOf, knownOn, otherHost, untilOver } from '#test/e2e/cluster.ts';
import { granted } from '#test/e2e/persons.ts';
import type { MigrationResource } from '#wire/api.ts';

export type Arm = 'ipsec' | 'none';

export interface Sample {
  readonly arm: Arm;
  readonly migration: MigrationResource;
  /** By a client of the guest. */
  readonly clientGapMs: number;
}

/** One migration of vm1 to the other host, through IPsec or (by grant) in plain text, over the same link. */
export async function sample(cluster: Cluster, arm: Arm, downtimeMsMax: number): Promise<Sample> {
  const guest = cluster.lab.guest('vm1');
  const from = await hostOf(cluster, guest.name);
  const to = otherHost(cluster, from);
  await knownOn(cluster, guest.name, from);
  const grantId = arm === 'none' ? await granted(cluster, from, to) : undefined;
  await guest.startProbe();
  const wish = { method: 'pre-copy', downtimeMsMax } as const;
  const { request } = await cluster.client.migrate({
    vm: guest.name,
    toHostId: to,
    channelKind: arm,
    wish,
    ...(grantId === undefined ? {} : { grantId }),
  });
  const migration = await untilOver(cluster, request.migrationId);
  const { largestGapMs } = await guest.stopProbe();
  await expectSound(guest);
  return { arm, migration, clientGapMs: largestGapMs };
}

export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return ((sorted[Math.floor((sorted.length - 1) / 2)] ?? 0) + (sorted[Math.floor(sorted.length / 2)] ?? 0)) / 2;
}
