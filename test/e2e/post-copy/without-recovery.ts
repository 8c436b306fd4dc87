/** The control arm: a post-copy as libvirt's own client makes it, with nobody at its side. */
import { type Lab, type LabGuest, waitFor } from '#lab/api.ts';
import { type Cut, type Ends, untilAtHome, untilState } from './cuts.ts';

/** Longer than anybody looks at it. */
const migrateMsMax = 300_000;

/**
 * Stops the agents, takes the guards away, migrates in plain text and cuts. Resolves when the source has noticed; the VM is left in halves,
 * and so is the lab. What `virsh` says in the end is not waited for: it may hang with its daemon.
 */
export async function cutWithoutRecovery(lab: Lab, guest: LabGuest, ends: Ends, cut: Cut): Promise<void> {
  const { source, destination } = ends;
  for (const host of lab.hosts) {
    await host.machine.stopService('agent');
    await host.exec(['nft', 'delete', 'table', 'inet', 'plimsoll']);
  }
  const control = `qemu+tls://${destination.underlay}/system?pkipath=/etc/plimsoll/pki/libvirt`;
  const flags = ['--live', '--p2p', '--persistent', '--undefinesource', '--postcopy'];
  const address = ['--migrateuri', `tcp://${destination.underlay}`, '--listen-address', destination.underlay];
  const argv = ['virsh', '-q', 'migrate', ...flags, guest.name, control, ...address];
  void source.exec(argv, { timeoutMs: migrateMsMax }).catch(() => undefined);
  const inPostCopy = async () => (await source.exec(['virsh', '-q', 'migrate-postcopy', guest.name])).code === 0;
  await waitFor(inPostCopy, { what: 'the post-copy to begin', timeoutMs: 30_000, intervalMs: 100 });
  await untilAtHome(ends, guest);
  const { mend } = await cut(ends, { to: destination.underlay });
  await mend();
  await untilState(source, guest.name, 'paused (post-copy failed)');
}
