/** A guest that stood for want of its memory: what it has to be all the same. */
import { expect } from 'vitest';
import { type GuestBeats, type LabGuest, type LabHost, waitFor } from '#lab/api.ts';

/** What a kernel says of a fault, as the workload of the guests looks for it. */
const complaint = /Oops|BUG:|rcu: INFO|I\/O error|general protection|panic|hung_task|blocked for more than/;
/**
 * A VM that waits for a page is not stopped: its clock goes on, and its kernel sees a CPU that did nothing for that long. That is true, and
 * no damage.
 */
const stall = /soft lockup|rcu: INFO: .*stall/;

async function complaints(guest: string, hosts: readonly LabHost[]): Promise<readonly string[]> {
  const read = hosts.map((host) => host.exec(['cat', `/var/log/libvirt/qemu/${guest}.console`]));
  const lines = (await Promise.all(read)).flatMap(({ stdout }) => stdout.split('\n'));
  return lines.filter((line) => complaint.test(line) && !stall.test(line));
}

/** It goes on beating, was never started anew, never ran twice, and its memory, disk and kernel are sound; it may have stood. */
export async function expectWhole(guest: LabGuest, hosts: readonly LabHost[]): Promise<GuestBeats> {
  const from = (await guest.beats())?.received ?? 0;
  const goesOn = async () => ((await guest.beats())?.received ?? 0) > from + 5;
  await waitFor(goesOn, { what: `${guest.name} to beat on`, timeoutMs: 30_000 });
  const beats = await guest.beats();
  if (beats === undefined) throw new Error(`${guest.name} never beat`);
  const { boots, duplicates, memoryErrors, diskErrors } = beats;
  expect({ boots, duplicates, memoryErrors, diskErrors }).toEqual({ boots: 1, duplicates: 0, memoryErrors: 0, diskErrors: 0 });
  expect((await guest.diskLog()).firstBadRecord).toBeUndefined();
  expect(await complaints(guest.name, hosts)).toEqual([]);
  return beats;
}
