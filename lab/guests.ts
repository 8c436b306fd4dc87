import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { callClient } from './client/connection.ts';
import { guestDefinition } from './guest/definition.ts';
import { clientSocket } from './layout.ts';
import type { Layout } from './layout.ts';
import type { LabOptions } from './options.ts';
import type { GuestRecord, LabRecord } from './record.ts';
import { virsh } from './virsh.ts';
import { waitFor } from './wait.ts';

const BOOT_MS_MAX = 180_000;

/** The lock space is shared by all hosts; virtlockd wants an existing file per lease. */
export async function prepareLeases(lab: Layout, guests: readonly GuestRecord[]): Promise<void> {
  const folder = join(lab.runDirectory, 'locks');
  await mkdir(folder, { recursive: true });
  for (const guest of guests) await writeFile(join(folder, guest.name), '');
}

/** The domain's definition. */
export type Define = (lab: Layout, guest: GuestRecord, options: LabOptions) => string;

async function startGuest(lab: Layout, record: LabRecord, guest: GuestRecord, define: Define, signal?: AbortSignal): Promise<void> {
  const folder = join(lab.runDirectory, 'definitions');
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${guest.name}.xml`);
  await writeFile(path, define(lab, guest, record.options), { mode: 0o600 });
  await virsh(lab, guest.firstHost, ['define', path], { signal, timeoutMs: BOOT_MS_MAX });
  await virsh(lab, guest.firstHost, ['start', guest.name], { signal, timeoutMs: BOOT_MS_MAX });
}

/** Defines and starts every guest on its first host, and waits for the first beat of each. */
export async function startGuests(
  lab: Layout,
  record: LabRecord,
  log: (line: string) => void,
  signal?: AbortSignal,
  define: Define = guestDefinition,
): Promise<void> {
  const startedMs = performance.now();
  await Promise.all(
    record.hosts.map(async (host) => {
      for (const guest of record.guests.filter((g) => g.firstHost === host.name)) await startGuest(lab, record, guest, define, signal);
    }),
  );
  const waiting = new Set(record.guests.map((g) => g.name));
  const noteBeats = async (): Promise<boolean> => {
    for (const { guest } of await callClient(clientSocket(lab), 'beats', {})) {
      if (waiting.delete(guest)) log(`${guest} beats after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
    }
    return waiting.size === 0;
  };
  await waitFor(noteBeats, { what: 'the first beat of every guest', timeoutMs: BOOT_MS_MAX, intervalMs: 100, signal });
}
