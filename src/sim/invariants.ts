/** What must hold after every event, whatever fails. Independent of the code that is being simulated. */
import { encodeBase64, decodeBase64 } from '#core/access/base64.ts';
import { type Envelope, preAuthenticationEncoding } from '#core/access/envelope.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Verifier } from '#core/ports.ts';
import { type Breach, breach } from './breach.ts';
import type { Changed } from './changes.ts';
import type { Guest } from './guest.ts';
import type { SimHost } from './host.ts';
import { statementOf } from './narrator.ts';
import type { SimStore } from './store.ts';
import type { World } from './world.ts';

export type { Breach, InvariantCode } from './breach.ts';

/** What is looked at. */
export interface Scope {
  readonly guests: readonly Guest[];
  readonly hosts: readonly SimHost[];
  /** Whether the ledger, the migrations and the receipts are. */
  readonly records: boolean;
}

/** All that there is, or what has changed: the hosts, the VMs that have a copy there, and VMs that have changed themselves. */
export function scopeOf(world: World, { all, hosts, vmIds }: Changed, recordsChanged: boolean): Scope {
  if (all) return { guests: world.guests, hosts: world.hosts, records: true };
  const guests = new Set([...hosts].flatMap((host) => host.copies.map(({ guest }) => guest)));
  for (const guest of [...vmIds].map((vmId) => world.guestOf(vmId))) if (guest !== undefined) guests.add(guest);
  return { guests: [...guests], hosts: [...hosts], records: recordsChanged };
}

export interface Watched {
  readonly world: World;
  readonly store: SimStore;
  readonly policy: Policy;
}

const everything = ({ world: { guests, hosts } }: Watched): Scope => ({ guests, hosts, records: true });

/** Breaches at this moment, of everything or of what may have changed; empty when all is well. */
export function breachesNow(watched: Watched, scope: Scope = everything(watched)): readonly Breach[] {
  return [
    ...scope.guests.flatMap((guest) => [...copies(watched, guest), ...halves(watched, guest)]),
    ...plainBytes(watched),
    ...limits(watched),
    ...(scope.records ? records(watched) : []),
    ...scope.hosts.flatMap(memory),
  ];
}

/**
 * Never two running copies; and one, as soon as nobody is at work on the VM any more. In post-copy that is the destination's. A VM that
 * died with a process is nobody's to bring back here, and a post-copy that failed nobody's as long as its hosts do not reach each other.
 */
function copies({ world, store }: Watched, guest: Guest): readonly Breach[] {
  const running = world.copiesOf(guest.vmId).filter(({ copy }) => copy.state === 'running');
  const where = running.map(({ host }) => host.hostId).join(' and ');
  if (running.length > 1) return [breach('two-copies', `${guest.name} runs on ${where}`)];
  if (running.length === 1 || world.jobOf(guest.vmId) !== undefined) return [];
  const isOpen = store.allMigrations().some(({ request, endedAtMs }) => endedAtMs === null && request.vmId === guest.vmId);
  if (isOpen || world.casualties.has(guest.vmId) || isOutOfReach(world, guest)) return [];
  return [breach('no-copy', `${guest.name} runs nowhere and nobody is at work on it`)];
}

function isOutOfReach(world: World, guest: Guest): boolean {
  const job = world.brokenJobOf(guest.vmId);
  if (job === undefined) return false;
  const { source, destination } = job;
  return !world.network.reaches(source.hostId, destination.hostId) || !source.libvirtd.alive || !destination.libvirtd.alive;
}

/** A post-copy has two halves until one host has all of the memory; half of it goes only with a process that died. */
function halves({ world }: Watched, guest: Guest): readonly Breach[] {
  const here = world.copiesOf(guest.vmId);
  const parts = here.filter(({ copy }) => copy.postCopy !== null);
  const isWhole = here.some(({ copy }) => copy.state === 'running' && copy.postCopy === null);
  if (parts.length !== 1 || isWhole || world.casualties.has(guest.vmId)) return [];
  const where = parts.map(({ host }) => host.hostId).join();
  return [breach('memory-lost', `${where} has half of the memory of ${guest.name}, and the other half was destroyed`)];
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
  const atWork = new Set(jobs.flatMap(({ source, destination }) => [source, destination]));
  const hosts = [...atWork].flatMap((host) => {
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
  const entriesOf = Map.groupBy(store.allLedger(), ({ migrationId }) => migrationId);
  const receipts = new Set(store.allReceipts().map(({ migrationId }) => migrationId));
  return [
    ...stray.map(({ migrationId }) => breach('ledger-incomplete', `the ledger has ${migrationId}, which was never asked for`)),
    ...ended.flatMap(({ request }) => {
      const entries = entriesOf.get(request.migrationId)?.length ?? 0;
      return [
        ...(entries === 1 ? [] : [breach('ledger-incomplete', `the ended migration of ${request.vmName} has ${entries} ledger entries`)]),
        ...(receipts.has(request.migrationId)
          ? []
          : [breach('receipt-missing', `the ended migration of ${request.vmName} has no receipt`)]),
      ];
    }),
  ];
}

function memory({ hostId, memoryUsedBytes, spec }: SimHost): readonly Breach[] {
  if (memoryUsedBytes <= spec.memoryBytes) return [];
  return [breach('host-memory', `${hostId} has ${memoryUsedBytes} bytes in use of ${spec.memoryBytes}`)];
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
