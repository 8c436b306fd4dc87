import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LabError } from './errors.ts';
import { CHARON_BUFFER, hostDirectory, libvirtSocket, viciSocket } from './layout.ts';
import type { Layout } from './layout.ts';
import type { Machine } from './machine.ts';
import type { ServiceSpec } from './supervisor.ts';
import { virsh } from './virsh.ts';
import { accepts, waitFor } from './wait.ts';

const RESTARTS_MAX = 4;
const START_MS_MAX = 30_000;

const log = (service: string): string => `/var/log/services/${service}.log`;

export const daemon = (name: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}): ServiceSpec => ({
  name,
  argv,
  env,
  restart: 'always',
  log: log(name),
});

/** What runs on every host besides the agent; libvirtd needs the host's certificates to be there. */
const DAEMONS: readonly ServiceSpec[] = [
  daemon('virtlogd', ['virtlogd']),
  daemon('virtlockd', ['virtlockd']),
  daemon('libvirtd', ['libvirtd', '--listen']),
  daemon('charon', ['/usr/lib/ipsec/charon'], { STRONGSWAN_CONF: '/etc/strongswan.conf', LD_PRELOAD: CHARON_BUFFER }),
];

/** A daemon that keeps dying will not get better: its last words are worth more than a time-out. */
async function throwIfDying(host: Machine, logs: string, name: string): Promise<void> {
  const status = await host.service(name);
  if (status !== undefined && status.restarts < RESTARTS_MAX) return;
  const text = await readFile(logs, 'utf8').catch(() => '');
  throw new LabError('lab-command-failed', `${name} on ${host.name} keeps dying: ${text.trim().split('\n').at(-1)}`);
}

/** Starts libvirtd, charon and what they need; both answer when this returns. */
export async function startDaemons(lab: Layout, host: Machine, signal?: AbortSignal): Promise<void> {
  for (const service of DAEMONS) await host.startService(service);
  const logs = join(hostDirectory(lab, host.name), 'log');
  const libvirtAnswers = async (): Promise<boolean> => {
    await throwIfDying(host, join(logs, 'libvirt/libvirtd.log'), 'libvirtd');
    // The socket listens before the daemon has read its certificates, so a connection proves nothing.
    return (
      (await accepts(libvirtSocket(lab, host.name))) &&
      virsh(lab, host.name, ['uri'], { signal }).then(
        () => true,
        () => false,
      )
    );
  };
  const charonAnswers = async (): Promise<boolean> => {
    await throwIfDying(host, join(logs, 'services/charon.log'), 'charon');
    return accepts(viciSocket(lab, host.name));
  };
  await waitFor(charonAnswers, { what: `charon on ${host.name}`, timeoutMs: START_MS_MAX, signal });
  await waitFor(libvirtAnswers, { what: `libvirtd on ${host.name}`, timeoutMs: START_MS_MAX, signal });
}
