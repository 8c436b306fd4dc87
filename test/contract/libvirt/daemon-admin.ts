import { LibvirtClient, openUnixSocket } from '#drivers/libvirt/client.ts';
import { listFlag } from '#drivers/libvirt/flags.ts';

import type { Daemon } from './site.ts';

/** A connection beside the driver's, to set a daemon up and to look at what the driver did. */
export async function admin(daemon: Pick<Daemon, 'socketPath'>): Promise<LibvirtClient> {
  return LibvirtClient.open(await openUnixSocket(daemon.socketPath, AbortSignal.timeout(5_000)), { uri: 'qemu:///system' });
}

/** Ends and forgets every VM of a daemon. `undefineFlags` as libvirt has them: without, a VM that is saved as an image is an error. */
export async function clear(daemon: Daemon, undefineFlags = 0): Promise<void> {
  const client = await admin(daemon);
  for (const domain of await client.listAllDomains(listFlag.active)) await client.destroy(domain, 0);
  for (const domain of await client.listAllDomains(0)) await client.undefine(domain, undefineFlags);
  await client.close();
}
