/** One migration through one combination: what was negotiated, what it cost, and what the wire shows of it. */
import { runControlArm } from '#lab/demo/control-arm.ts';
import { reconfigureController } from '#lab/operator.ts';
import type { ScanResult } from '#lab/api.ts';
import type { MigrationResource } from '#wire/api.ts';
import { allHostsUp, type Cluster, expectSound, hostOf, knownOn, otherHost, untilOver } from '#test/e2e/cluster.ts';
import type { Combination } from './combinations.ts';
import { type FullSizes, largestEspPacket, largestSegment, predictedSizes } from './sizes.ts';

export interface Carriage {
  readonly combination: Combination;
  readonly migration: MigrationResource;
  /** As the receipt says; null where there is none. */
  readonly espBytes: number | null;
  readonly hypervisorBytes: number | null;
  readonly coversHypervisorBytes: boolean | null;
  /** The longest time without an answer of the VM to a client on its network. */
  readonly silenceMs: number;
  readonly scan: ScanResult;
  /** How often the guest's marker was readable. */
  readonly markers: number;
  readonly predicted: FullSizes;
  readonly captured: FullSizes;
}

export interface Refused {
  readonly combination: Combination;
  readonly code: string;
  readonly message: string;
}

const guestName = 'vm1';

/** The controller makes channels of this combination from now on. */
async function configure(cluster: Cluster, { profile, suite, authentication, postQuantumKey }: Combination): Promise<void> {
  await reconfigureController(cluster.lab, { channel: { profile, suite, authentication, postQuantumKey } });
  await allHostsUp(cluster);
}

export async function carry(cluster: Cluster, combination: Combination): Promise<Carriage> {
  const { lab, client } = cluster;
  const guest = lab.guest(guestName);
  await configure(cluster, combination);
  const from = await hostOf(cluster, guestName);
  await knownOn(cluster, guestName, from);
  const to = otherHost(cluster, from);
  const capture = await lab.startCapture('profiles');
  await guest.startProbe();
  let migration: MigrationResource;
  let payloadBytes: number;
  try {
    [payloadBytes, migration] = await Promise.all([largestSegment(lab.host(to)), moved(cluster, to)]);
  } finally {
    await capture.stop();
  }
  const { largestGapMs } = await guest.stopProbe();
  const scan = await lab.scan(capture.file);
  const { statement } = await client.receipt(migration.request.migrationId);
  await expectSound(guest);
  return {
    combination,
    migration,
    ...trafficOf(statement),
    silenceMs: largestGapMs,
    scan,
    markers: scan.markers[guest.marker] ?? 0,
    predicted: await predictedSizes(migration, lab.host(to)),
    captured: { payloadBytes, packetBytes: await largestEspPacket(capture.file) },
  };
}

async function moved(cluster: Cluster, toHostId: string): Promise<MigrationResource> {
  const { request } = await cluster.client.migrate({ vm: guestName, toHostId });
  return untilOver(cluster, request.migrationId);
}

/** Asks for a migration through what the lab cannot carry; `ah`, which no controller takes for migrations, for a proof. */
export async function refuse(cluster: Cluster, combination: Combination): Promise<Refused> {
  const refusal =
    combination.profile === 'ah' ? await refusalOfProof(cluster, combination) : await refusalOfMigration(cluster, combination);
  return { combination, code: refusal?.code ?? 'none', message: refusal?.message ?? 'it was not refused' };
}

async function refusalOfProof(cluster: Cluster, { profile }: Combination): Promise<MigrationResource['failure']> {
  const from = await hostOf(cluster, guestName);
  return (await cluster.client.proveChannel(from, otherHost(cluster, from), { profile })).refusal;
}

async function refusalOfMigration(cluster: Cluster, combination: Combination): Promise<MigrationResource['failure']> {
  await configure(cluster, combination);
  const from = await hostOf(cluster, guestName);
  await knownOn(cluster, guestName, from);
  return (await moved(cluster, otherHost(cluster, from))).failure;
}

export interface Plain {
  readonly scan: ScanResult;
  readonly markers: number;
}

/** The same guest in plain text, as libvirt moves it by default. */
export async function goPlain(cluster: Cluster): Promise<Plain> {
  await knownOn(cluster, guestName, await hostOf(cluster, guestName));
  const { scan, markers } = await runControlArm(cluster.lab, guestName, AbortSignal.timeout(180_000));
  await allHostsUp(cluster);
  await expectSound(cluster.lab.guest(guestName));
  return { scan, markers };
}

/** What a receipt's statement tells of its traffic; its form is the receipt's own affair. */
function trafficOf(statement: unknown): Pick<Carriage, 'espBytes' | 'hypervisorBytes' | 'coversHypervisorBytes'> {
  const traffic = at(at(statement, 'channel'), 'traffic');
  const covers = at(traffic, 'coversHypervisorBytes');
  return {
    espBytes: numberOrNull(at(traffic, 'bytesOut')),
    hypervisorBytes: numberOrNull(at(at(statement, 'transfer'), 'hypervisorBytes')),
    coversHypervisorBytes: typeof covers === 'boolean' ? covers : null,
  };
}

function at(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Object.entries(value).find(([name]) => name === key)?.[1] : undefined;
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
