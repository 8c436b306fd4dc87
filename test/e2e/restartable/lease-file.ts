/** What a host's agent keeps of its lease, read from outside. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LabGuest, type LabHost, waitFor } from '#lab/api.ts';

interface LeaseFile {
  readonly endsAtMs: number;
  readonly vmIds: readonly unknown[];
}

const waitMsMax = 30_000;

function isLeaseFile(value: unknown): value is LeaseFile {
  return typeof value === 'object' && value !== null && 'endsAtMs' in value && 'vmIds' in value && Array.isArray(value.vmIds);
}

async function leaseOf(host: LabHost): Promise<LeaseFile | null> {
  const text = await readFile(join(host.directory, 'run/plimsoll/lease.json'), 'utf8').catch(() => 'null');
  const value: unknown = JSON.parse(text);
  return isLeaseFile(value) ? value : null;
}

/** The host has been granted a lease, and runs the guest under it only. */
export async function untilBound(host: LabHost, guest: LabGuest): Promise<void> {
  const bound = async () => {
    const lease = await leaseOf(host);
    return lease !== null && lease.endsAtMs > 0 && lease.vmIds.includes(guest.uuid);
  };
  await waitFor(bound, { what: `${host.name} to hold ${guest.name} under its lease`, timeoutMs: waitMsMax, intervalMs: 100 });
}

/** The host has nothing to do with the guest any more. */
export async function untilLetGo(host: LabHost, guest: LabGuest): Promise<void> {
  const free = async () => (await leaseOf(host))?.vmIds.includes(guest.uuid) === false;
  await waitFor(free, { what: `${host.name} to let go of ${guest.name}`, timeoutMs: waitMsMax, intervalMs: 20 });
}
