import { setTimeout as sleep } from 'node:timers/promises';
import type { GuestBeats, ProbeReport } from '#lab/api.ts';
import { type Cluster, expectSound, hostOf, knownOn, otherHost, receiptOf, untilOver } from '#test/e2e/cluster.ts';
import type { MigrationResource, ReceiptResource } from '#wire/api.ts';
import type { Case } from './cases.ts';

/** Before and after the migration, so that the probe sees what is normal. */
const quietMs = 1_000;

export interface Move {
  readonly name: string;
  readonly migration: MigrationResource;
  readonly receipt: ReceiptResource;
  /** By a client of the lab, not of Plimsoll. */
  readonly probe: ProbeReport;
  readonly beats: GuestBeats;
}

export interface Refusal {
  readonly name: string;
  readonly code: string;
  readonly message: string;
}

/** Moves the guest once and looks at it afterwards. Throws unless it is sound and runs on exactly the host it was sent to. */
export async function move(cluster: Cluster, { name, wish }: Case): Promise<Move> {
  const guest = cluster.lab.guest('vm1');
  const from = await hostOf(cluster, guest.name);
  const to = otherHost(cluster, from);
  await knownOn(cluster, guest.name, from);
  await guest.startProbe();
  await sleep(quietMs);
  const { request } = await cluster.client.migrate({ vm: guest.name, toHostId: to, wish });
  const migration = await untilOver(cluster, request.migrationId);
  await sleep(quietMs);
  const probe = await guest.stopProbe();
  const beats = await expectSound(guest);
  if (migration.phase === 'done' && (await hostOf(cluster, guest.name)) !== to) throw new Error(`${name}: the VM is not where it was sent`);
  return { name, migration, receipt: await receiptOf(cluster, request.migrationId), probe, beats };
}

/** What pre-flight says of a transfer that cannot be made. */
export async function refuse(cluster: Cluster, { name, wish }: Case): Promise<Refusal> {
  const guest = cluster.lab.guest('vm1');
  const to = otherHost(cluster, await hostOf(cluster, guest.name));
  const { refusal } = await cluster.client.checkMigrate({ vm: guest.name, toHostId: to, wish });
  return { name, code: refusal?.code ?? 'not refused', message: refusal?.message ?? '' };
}
