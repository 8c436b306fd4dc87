import { execFile } from 'node:child_process';

import { PlimsollError } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';

import { processesOf, systemProcesses } from './vm-process.ts';

const commandMsMax = 5_000;
/**
 * Linux chooses the port of whoever connects from here on (net.ipv4.ip_local_port_range), and libvirt's migrations listen from 49152 on;
 * what else serves others listens below.
 */
const chosenPortMin = 32_768;

/** Two ends of a TCP connection as `ss` writes them: `10.1.0.2:49152`, `[fd00::2]:49152`. */
export interface Connection {
  readonly local: string;
  readonly remote: string;
}

/** Ends of connections, and the program that ends them; injectable so that a test has its own. */
export type SocketTool = (args: readonly string[], signal: AbortSignal) => Promise<string>;

/**
 * What `ss -HtnpO state established` (iproute2 6.1) lists of these processes and is a migration's stream, coming in or going out, and not
 * the way to a disk's server: `0 0 10.1.0.2:49152 10.1.0.1:46912 users:(("qemu-system-x86",pid=185,fd=17))`.
 */
export function streamsOf(text: string, pids: readonly number[]): readonly Connection[] {
  return text.split('\n').flatMap((line) => {
    const [, , local, remote, users = ''] = line.trim().split(/\s+/u);
    if (local === undefined || remote === undefined) return [];
    const isOurs = [...users.matchAll(/pid=(\d+)/gu)].some(([, pid]) => pids.includes(Number(pid)));
    const remotePort = Number(remote.slice(remote.lastIndexOf(':') + 1));
    return isOurs && remotePort >= chosenPortMin ? [{ local, remote }] : [];
  });
}

/**
 * Ends the TCP connections between the VM's QEMU and this address by which its memory comes or goes (SOCK_DESTROY; the kernel option is
 * INET_DIAG_DESTROY, which Debian sets). QEMU sees them as reset: on a destination it pauses its half of a post-copy as after any other
 * loss, on a source its pre-copy fails and the VM runs on. libvirt has no call for that: it refuses an abort on a destination, and its
 * monitor is closed to others during a migration (9.0).
 */
export async function endConnections(
  vmId: VmId,
  peerAddress: string,
  signal: AbortSignal,
  sockets: SocketTool = ss,
  folder = systemProcesses.folder,
): Promise<number> {
  const pids = await processesOf(vmId, { folder });
  const found = streamsOf(await sockets(['-HtnpO', 'state', 'established', 'dst', peerAddress], signal), pids);
  for (const { local, remote } of found) {
    // It names what it has ended.
    const ended = await sockets(['-K', '-HtnO', 'state', 'established', 'src', local, 'dst', remote], signal);
    if (!ended.includes(remote)) {
      throw new PlimsollError(
        'method-unsupported',
        `this kernel does not end the connection ${local} to ${remote} (INET_DIAG_DESTROY): end it by a firewall that answers with a reset`,
      );
    }
  }
  return found.length;
}

/** libvirt's default (`LIBVIRTD_TLS_PORT`). */
const controlPort = 16_514;

/**
 * Ends this host's connections to libvirt on the peer, also one that is only being made: TCP tries to reach a host that does not answer for
 * two minutes (net.ipv4.tcp_syn_retries), and an abort does nothing until then. Only for a migration that has not begun to send: later
 * libvirt would take a lost answer for a failure, whatever the peer has made of its last order.
 */
export async function endControlConnections(peerAddress: string, signal: AbortSignal, sockets: SocketTool = ss): Promise<void> {
  await sockets(['-K', '-HtnO', 'state', 'connected', 'dst', peerAddress, 'and', 'dport', '=', `:${controlPort}`], signal);
}

async function ss(args: readonly string[], signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const settings = { timeout: commandMsMax, signal, maxBuffer: 4 * 1024 * 1024, env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' } };
  execFile('ss', [...args], settings, (error, stdout, stderr) => {
    if (error === null) resolve(stdout);
    else if (signal.aborted) reject(error);
    else reject(new PlimsollError('hypervisor-failed', `'ss ${args.join(' ')}' failed: ${stderr.trim().slice(0, 300) || error.message}`));
  });
  return promise;
}
