/** What must hold after every event, whatever fails. Independent of the code that is being simulated. */
import { encodeBase64, decodeBase64 } from '#core/access/base64.ts';
import { type Envelope, preAuthenticationEncoding } from '#core/access/envelope.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Verifier } from '#core/ports.ts';
import type { Guest } from './guest.ts';
import { statementOf } from './narrator.ts';
import type { SimStore } from './store.ts';
import type { World } from './world.ts';

export type InvariantCode =
  | 'two-copies'
  | 'no-copy'
  | 'memory-lost'
  | 'plain-bytes'
  | 'host-limit'
  | 'cluster-limit'
  | 'ledger-incomplete'
  | 'receipt-missing'
  | 'receipt-chain'
  | 'host-memory'
  | 'process-crashed';

export interface Breach {
  readonly code: InvariantCode;
  readonly message: string;
}

export interface Watched {
  readonly world: World;
  readonly store: SimStore;
  readonly policy: Policy;
}

/** Breaches at this moment; empty when all is well. */
export function breachesNow(watched: Watched): readonly Breach[] {
  return [...copies(watched), ...halves(watched), ...plainBytes(watched), ...limits(watched), ...records(watched), ...memory(watched)];
}

function breach(code: InvariantCode, message: string): Breach {
  return { code, message };
}

/**
 * Never two running copies; and one, as soon as nobody is at work on the VM any more. In post-copy that is the destination's. A VM that
 * died with a process is nobody's to bring back here, and a post-copy that failed nobody's as long as its hosts do not reach each other.
 */
function copies({ world, store }: Watched): readonly Breach[] {
  const open = new Set(
    store
      .allMigrations()
      .filter(({ endedAtMs }) => endedAtMs === null)
      .map(({ request }) => request.vmId),
  );
  return world.guests.flatMap((guest) => {
    const running = world.copiesOf(guest.vmId).filter(({ copy }) => copy.state === 'running');
    const where = running.map(({ host }) => host.hostId).join(' and ');
    if (running.length > 1) return [breach('two-copies', `${guest.name} runs on ${where}`)];
    const atWork = open.has(guest.vmId) || world.jobOf(guest.vmId) !== undefined;
    const isHopeless = world.casualties.has(guest.vmId) || isOutOfReach(world, guest);
    return running.length === 0 && !atWork && !isHopeless
      ? [breach('no-copy', `${guest.name} runs nowhere and nobody is at work on it`)]
      : [];
  });
}

function isOutOfReach(world: World, guest: Guest): boolean {
  const job = world.brokenJobOf(guest.vmId);
  if (job === undefined) return false;
  const { source, destination } = job;
  return !world.network.reaches(source.hostId, destination.hostId) || !source.libvirtd.alive || !destination.libvirtd.alive;
}

/** A post-copy has two halves until one host has all of the memory; half of it goes only with a process that died. */
function halves({ world }: Watched): readonly Breach[] {
  return world.guests.flatMap((guest) => {
    const here = world.copiesOf(guest.vmId);
    const parts = here.filter(({ copy }) => copy.postCopy !== null);
    const isWhole = here.some(({ copy }) => copy.state === 'running' && copy.postCopy === null);
    if (parts.length !== 1 || isWhole || world.casualties.has(guest.vmId)) return [];
    const where = parts.map(({ host }) => host.hostId).join();
    return [breach('memory-lost', `${where} has half of the memory of ${guest.name}, and the other half was destroyed`)];
  });
}

function plainBytes({ world }: Watched): readonly Breach[] {
  return world.plainBytes > 0 ? [breach('plain-bytes', `${world.plainBytes} bytes of VM memory crossed the network in plain text`)] : [];
}

/** The policy's limits hold for what the hypervisors do, not only for what the controller believes. */
function limits({ world, policy }: Watched): readonly Breach[] {
  const jobs = [...world.jobs];
  const cluster =
    jobs.length > policy.migrationsPerClusterMax
      ? [breach('cluster-limit', `${jobs.length} migrations at once, the policy allows ${policy.migrationsPerClusterMax}`)]
      : [];
  const hosts = world.hosts.flatMap((host) => {
    const here = jobs.filter((job) => job.source === host || job.destination === host).length;
    if (here <= policy.migrationsPerHostMax) return [];
    return [breach('host-limit', `${host.hostId} takes part in ${here} migrations, the policy allows ${policy.migrationsPerHostMax}`)];
  });
  return [...cluster, ...hosts];
}

/** A migration that has ended is in the ledger once and has one receipt; what is in the ledger was asked for. */
function records({ store }: Watched): readonly Breach[] {
  const migrations = store.allMigrations();
  const known = new Set(migrations.map(({ request }) => request.migrationId));
  const stray = store.allLedger().filter(({ migrationId }) => !known.has(migrationId));
  const ended = migrations.filter(({ endedAtMs }) => endedAtMs !== null);
  const receipts = new Set(store.allReceipts().map(({ migrationId }) => migrationId));
  return [
    ...stray.map(({ migrationId }) => breach('ledger-incomplete', `the ledger has ${migrationId}, which was never asked for`)),
    ...ended.flatMap(({ request }) => {
      const entries = store.allLedger().filter(({ migrationId }) => migrationId === request.migrationId).length;
      return [
        ...(entries === 1 ? [] : [breach('ledger-incomplete', `the ended migration of ${request.vmName} has ${entries} ledger entries`)]),
        ...(receipts.has(request.migrationId)
          ? []
          : [breach('receipt-missing', `the ended migration of ${request.vmName} has no receipt`)]),
      ];
    }),
  ];
}

function memory({ world }: Watched): readonly Breach[] {
  return world.hosts
    .filter((host) => host.memoryUsedBytes > host.spec.memoryBytes)
    .map((host) => breach('host-memory', `${host.hostId} has ${host.memoryUsedBytes} bytes in use of ${host.spec.memoryBytes}`));
}

/** Every receipt is signed, and names the one before it. For the end of a run: it reads all of them. */
export function chainBreaches(store: SimStore, verifier: Verifier, sha256: (text: string) => string): readonly Breach[] {
  let previous: string | null = null;
  const found: Breach[] = [];
  for (const receipt of store.allReceipts()) {
    const statement = statementOf(receipt);
    const named = statement.previousSha256;
    if (named !== previous) found.push(breach('receipt-chain', `receipt ${receipt.sequence} does not name the one before it`));
    if (!isSigned(receipt.envelope, verifier)) found.push(breach('receipt-chain', `receipt ${receipt.sequence} has no valid signature`));
    previous = sha256(receipt.envelope);
  }
  return found;
}

function isSigned(text: string, verifier: Verifier): boolean {
  const envelope = JSON.parse(text) as Envelope;
  const payload = decodeBase64(envelope.payload);
  const signature = decodeBase64(envelope.signatures[0]?.sig ?? encodeBase64(new Uint8Array()));
  return payload !== null && signature !== null && verifier.verify(preAuthenticationEncoding(envelope.payloadType, payload), signature);
}
