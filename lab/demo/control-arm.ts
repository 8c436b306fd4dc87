/** The same kind of migration with the protection off, to show that the capture would see the marker. */
import type { Lab, ScanResult } from '#lab/api.ts';
import { waitFor } from '#lab/api.ts';
import { startAgent } from '#lab/plimsoll.ts';

export interface ControlArm {
  readonly guest: string;
  readonly from: string;
  readonly to: string;
  readonly markers: number;
  readonly scan: ScanResult;
}

/**
 * Stops the agents of two hosts, takes their guards away, migrates in plain text as libvirt does by default,
 * and puts everything back. Returns how often the guest's marker was readable on the wire.
 */
export async function runControlArm(lab: Lab, guestName: string, signal: AbortSignal): Promise<ControlArm> {
  const guest = lab.guest(guestName);
  const from = (await lab.placement())[guestName]?.[0] ?? guest.firstHost;
  const to = lab.hosts.find((host) => host.name !== from)?.name ?? '';
  const ends = [lab.host(from), lab.host(to)];
  for (const host of ends) {
    await host.machine.stopService('agent');
    await host.exec(['nft', 'delete', 'table', 'inet', 'plimsoll'], { signal });
  }
  try {
    const capture = await lab.startCapture('control', signal);
    const destination = lab.host(to);
    const control = `qemu+tls://${destination.underlay}/system?pkipath=/etc/plimsoll/pki/libvirt`;
    const data = `tcp://${destination.underlay}`;
    const migrate = ['migrate', '--live', '--p2p', '--persistent', '--undefinesource', guestName, control, '--migrateuri', data];
    await lab.host(from).virsh([...migrate, '--listen-address', destination.underlay], { signal, timeoutMs: 120_000 });
    const scan = await lab.scan(await capture.stop(), signal);
    return { guest: guestName, from, to, markers: scan.markers[guest.marker] ?? 0, scan };
  } finally {
    for (const host of ends) await startAgent(host.machine);
    const guarded = async () => {
      const tables = await Promise.all(ends.map((host) => host.exec(['nft', 'list', 'tables'])));
      return tables.every(({ stdout }) => stdout.includes('plimsoll'));
    };
    await waitFor(guarded, { what: 'the guards to be back', timeoutMs: 30_000 });
  }
}
