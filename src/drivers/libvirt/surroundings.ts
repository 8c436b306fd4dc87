import { execFile } from 'node:child_process';
import { access, constants, readFile } from 'node:fs/promises';
import { connect } from 'node:net';

/** What of a host no libvirt call tells. All of it answers, and never rejects. */
export interface Surroundings {
  /** Names of the host's bridges. */
  bridges(): Promise<readonly string[]>;
  hasInterface(name: string): Promise<boolean>;
  /** Null when the path can be used so; else why not, as a clause. */
  pathFault(path: string, use: 'exist' | 'read' | 'write' | 'execute'): Promise<string | null>;
  /** Null when somebody accepts TCP connections there; else why not, as a clause. */
  portFault(host: string, port: number, signal: AbortSignal): Promise<string | null>;
}

const modes = { exist: constants.F_OK, read: constants.R_OK, write: constants.R_OK | constants.W_OK, execute: constants.X_OK } as const;

/** This process's own host: the driver runs beside the daemon, in its mount and network namespace. */
export function hostSurroundings(connectDeadlineMs = 2_000): Surroundings {
  return {
    bridges: async () => bridgeNames(await linkList()),
    hasInterface: async (name) => hasDevice(await readFile('/proc/net/dev', 'utf8').catch(() => ''), name),
    pathFault: async (path, use) =>
      access(path, modes[use]).then(
        () => null,
        (error: unknown) => faultOf(error),
      ),
    portFault: async (host, port, signal) => connectFault(host, port, AbortSignal.any([signal, AbortSignal.timeout(connectDeadlineMs)])),
  };
}

/**
 * Asked of the kernel by iproute2 and not read from /sys/class/net: a sysfs shows the network namespace of the process that mounted it,
 * which need not be ours.
 */
async function linkList(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  execFile('ip', ['-json', 'link', 'show', 'type', 'bridge'], { timeout: 2_000, maxBuffer: 8 * 1024 * 1024 }, (_error, stdout) =>
    resolve(stdout),
  );
  return promise;
}

/** From iproute2's JSON, a list of `{ ifname }`; what is not that names none. */
export function bridgeNames(json: string): readonly string[] {
  try {
    const links: unknown = JSON.parse(json);
    if (!Array.isArray(links)) return [];
    return links.flatMap((link: unknown) =>
      typeof link === 'object' && link !== null && 'ifname' in link && typeof link.ifname === 'string' ? [link.ifname] : [],
    );
  } catch {
    return [];
  }
}

/** /proc/net/dev: two lines of heading, then `  NAME: counters`. */
export function hasDevice(text: string, name: string): boolean {
  return text.split('\n').some((line) => line.trimStart().startsWith(`${name}:`));
}

async function connectFault(host: string, port: number, signal: AbortSignal): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const socket = connect({ host, port });
  const onAbort = (): void => resolve('it did not answer in time');
  socket.once('connect', () => resolve(null));
  socket.once('error', (error) => resolve(faultOf(error)));
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
    socket.on('error', () => undefined);
    socket.destroy();
  }
}

const clauses: Readonly<Record<string, string>> = {
  ENOENT: 'it is not there',
  ENOTDIR: 'it is not there',
  EACCES: 'it may not be opened',
  EPERM: 'it may not be opened',
  EROFS: 'it lies on a file system that is read-only',
  ECONNREFUSED: 'nobody listens there',
  EHOSTUNREACH: 'there is no way to it',
  ENETUNREACH: 'there is no way to it',
};

function faultOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  return clauses[code] ?? `the system says ${code}`;
}
