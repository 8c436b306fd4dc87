import { libvirtSocket } from './layout.ts';
import type { Layout } from './layout.ts';
import { must } from './process.ts';
import type { RunOptions } from './process.ts';

/** libvirt's own client for the few things the lab asks a host, from outside the host's namespaces. */
export function virsh(lab: Layout, host: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  return must(['virsh', '-q', '-c', `qemu+unix:///system?socket=${libvirtSocket(lab, host)}`, ...args], options);
}

/** Names of the VMs that run on a host. */
export async function runningGuests(lab: Layout, host: string, options: RunOptions = {}): Promise<string[]> {
  const text = await virsh(lab, host, ['list', '--name', '--state-running'], options);
  return text.split('\n').filter(Boolean);
}
