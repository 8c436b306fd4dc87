import { existsSync } from 'node:fs';
/** Two private network namespaces joined by two links: `eth0` (the underlay) and `ipsec0` (stands for the tunnel). */
import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { HostAddresses } from '#core/model/host.ts';
import type { PeerAnswer, PeerCommand } from './peer.ts';

/** Why no hosts can be made here; null when they can. */
export function whyNoNamespaces(): string | null {
  if (process.getuid?.() !== 0) return 'not run, needs root';
  const missing = ['ip', 'nft'].filter((command) => !['/usr/sbin', '/sbin'].some((folder) => existsSync(`${folder}/${command}`)));
  return missing.length === 0 ? null : `not run, needs ${missing.join(' and ')}`;
}

const peerProgram = fileURLToPath(new URL('./peer.ts', import.meta.url));
const families = {
  IPv4: { underlay: ['10.77.0.1', '10.77.0.2'], protected: ['10.79.0.1', '10.79.0.2'], underlayBits: 24, protectedBits: 32 },
  IPv6: { underlay: ['2001:db8:77::1', '2001:db8:77::2'], protected: ['fd00:79::1', 'fd00:79::2'], underlayBits: 64, protectedBits: 128 },
} as const;

export type Family = keyof typeof families;

export function run(...argv: readonly [string, ...string[]]): string {
  const [file, ...args] = argv;
  return execFileSync(file, args, { encoding: 'utf8', timeout: 10_000, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** One end: its namespace, addresses and a program in it that sends and receives on command. */
export class End {
  readonly namespace: string;
  readonly addresses: HostAddresses;
  #program: ChildProcessWithoutNullStreams | null = null;
  readonly #waiting: ((answer: PeerAnswer) => void)[] = [];

  constructor(namespace: string, addresses: HostAddresses) {
    this.namespace = namespace;
    this.addresses = addresses;
  }

  /** Argv that runs a program in this namespace. `ip netns exec` would mount another /sys. */
  within(...argv: readonly string[]): readonly [string, ...string[]] {
    return ['/usr/bin/nsenter', `--net=/run/netns/${this.namespace}`, ...argv];
  }

  run(...argv: readonly string[]): string {
    return run(...this.within(...argv));
  }

  /** One command at a time per end, answered in order. */
  ask(command: PeerCommand): Promise<PeerAnswer> {
    const program = this.#started();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer to ${JSON.stringify(command)}`)), 10_000);
      this.#waiting.push((answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      program.stdin.write(`${JSON.stringify(command)}\n`);
    });
  }

  async stop(): Promise<void> {
    const program = this.#program;
    this.#program = null;
    if (program === null || program.exitCode !== null) return;
    await new Promise((resolve) => {
      program.once('exit', resolve);
      program.stdin.end();
    });
  }

  /** As a crash would: nothing is tidied up. The next command starts a new program. */
  async crash(): Promise<void> {
    const program = this.#program;
    this.#program = null;
    if (program === null) return;
    await new Promise((resolve) => {
      program.once('exit', resolve);
      program.kill('SIGKILL');
    });
  }

  #started(): ChildProcessWithoutNullStreams {
    if (this.#program !== null) return this.#program;
    const [file, ...args] = this.within(process.execPath, peerProgram);
    const program = spawn(file, args, { stdio: 'pipe' });
    program.stderr.on('data', (chunk: Buffer) => process.stderr.write(chunk));
    createInterface({ input: program.stdout }).on('line', (line) => this.#waiting.shift()?.(JSON.parse(line) as PeerAnswer));
    this.#program = program;
    return program;
  }
}

export interface TwoEnds {
  readonly near: End;
  readonly far: End;
  close(): Promise<void>;
}

/** Needs root. Removes everything on `close`; a namespace takes its links, routes and rules with it. */
export function twoEnds(family: Family, label: string): TwoEnds {
  const { underlay, protected: inner, underlayBits, protectedBits } = families[family];
  const [near, far] = [0, 1].map((index) => {
    const addresses = { underlay: underlay[index] ?? '', protected: inner[index] ?? '', interface: 'eth0' };
    return new End(`plt-${label}-${process.pid}-${index}`, addresses);
  }) as [End, End];
  const close = async (): Promise<void> => {
    await Promise.all([near.stop(), far.stop()]);
    for (const end of [near, far]) run('/usr/sbin/ip', 'netns', 'delete', end.namespace);
  };
  for (const end of [near, far]) run('/usr/sbin/ip', 'netns', 'add', end.namespace);
  for (const device of ['eth0', 'ipsec0']) {
    run('/usr/sbin/ip', 'link', 'add', device, 'netns', near.namespace, 'type', 'veth', 'peer', 'name', device, 'netns', far.namespace);
  }
  for (const end of [near, far]) {
    const nodad = family === 'IPv6' ? ['nodad'] : [];
    end.run('/usr/sbin/ip', 'address', 'add', `${end.addresses.underlay}/${underlayBits}`, 'dev', 'eth0', ...nodad);
    end.run('/usr/sbin/ip', 'address', 'add', `${end.addresses.protected}/${protectedBits}`, 'dev', 'lo', ...nodad);
    for (const device of ['lo', 'eth0', 'ipsec0']) end.run('/usr/sbin/ip', 'link', 'set', device, 'up');
  }
  for (const [end, peer] of [
    [near, far],
    [far, near],
  ] as const) {
    knowNeighbour(end, peer, peer.addresses.underlay, 'eth0');
    routeThrough(end, peer, 'ipsec0');
  }
  return { near, far, close };
}

/** Sends what goes to the peer's protected address through this link, with one's own protected address. */
export function routeThrough(end: End, peer: End, device: 'eth0' | 'ipsec0'): void {
  const bits = peer.addresses.protected.includes(':') ? 128 : 32;
  end.run('/usr/sbin/ip', 'route', 'replace', `${peer.addresses.protected}/${bits}`, 'dev', device, 'src', end.addresses.protected);
  knowNeighbour(end, peer, peer.addresses.protected, device);
}

/**
 * No neighbour discovery: a TUN device has none, IPv6 answers it only for the link's own addresses, and on a
 * link that has just come up the first solicitation is lost and the next follows a second later.
 */
function knowNeighbour(end: End, peer: End, address: string, device: 'eth0' | 'ipsec0'): void {
  const hardware = /link\/ether ([0-9a-f:]{17})/.exec(peer.run('/usr/sbin/ip', 'link', 'show', device))?.[1] ?? 'none';
  end.run('/usr/sbin/ip', 'neighbour', 'replace', address, 'lladdr', hardware, 'dev', device, 'nud', 'permanent');
}
