import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { CharonHost, CharonPair } from './charon-pair.ts';
import { until } from '#test/support/until.ts';

const run = promisify(execFile);
const charonPath = '/usr/lib/ipsec/charon';
const pluginPath = '/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so';

/** Why the real daemon cannot be used here; undefined when it can. */
export function whyNoRealCharon(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux';
  if (!existsSync(charonPath)) return 'needs strongSwan (Debian package strongswan-charon)';
  if (!existsSync(pluginPath)) return 'needs kernel-libipsec (Debian package libcharon-extra-plugins)';
  if (!existsSync('/dev/net/tun')) return 'needs /dev/net/tun';
  for (const tool of ['unshare', 'nsenter', 'setpriv', 'ip']) {
    try {
      execFileSync('which', [tool], { stdio: 'ignore' });
    } catch {
      return `needs the program ${tool}`;
    }
  }
  return undefined;
}

/** One host with a charon of its own in private network and mount namespaces. */
class RealHost implements CharonHost {
  readonly name: string;
  readonly underlay: string;
  readonly protected: string;
  readonly socketPath: string;
  readonly #directory: string;
  readonly #holder: ChildProcess;
  #charon: ChildProcess | undefined;

  constructor(name: string, number: number, directory: string) {
    this.name = name;
    this.underlay = `10.91.0.${number}`;
    this.protected = `10.92.0.${number}`;
    this.#directory = directory;
    this.socketPath = join(directory, 'run', 'charon.vici');
    // Nothing survives this process: the namespaces live as long as the holder, and it dies with its parent.
    const mounts = 'mount --bind "$0/run" /run && exec sleep infinity';
    this.#holder = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', '--net', '--mount', 'sh', '-c', mounts, directory], {
      stdio: 'ignore',
    });
  }

  get pid(): number {
    return this.#holder.pid ?? 0;
  }

  async exec(...command: readonly string[]): Promise<string> {
    const { stdout } = await run('nsenter', ['-t', String(this.pid), '-n', '-m', ...command], { timeout: 20_000 });
    return stdout;
  }

  async ready(): Promise<void> {
    await until('the namespaces', async () => (await this.exec('cat', '/proc/self/mountinfo')).includes(' /run '));
    await this.exec('ip', 'link', 'set', 'lo', 'up');
    await this.exec('ip', 'addr', 'add', `${this.protected}/32`, 'dev', 'lo');
  }

  async startCharon(): Promise<void> {
    const configuration = join(this.#directory, 'strongswan.conf');
    await writeFile(configuration, strongswanConf(this.#directory));
    const command = ['-t', String(this.pid), '-n', '-m', 'setpriv', '--pdeathsig', 'KILL', charonPath];
    this.#charon = spawn('nsenter', command, { stdio: 'ignore', env: { ...process.env, STRONGSWAN_CONF: configuration } });
    await until('the VICI socket', () => Promise.resolve(existsSync(this.socketPath)));
  }

  /** Kills charon as a crash would, and takes away what it left behind. */
  async killCharon(): Promise<void> {
    const charon = this.#charon;
    if (charon === undefined) return;
    this.#charon = undefined;
    const ended = new Promise((resolve) => charon.once('exit', resolve));
    charon.kill('SIGKILL');
    await ended;
    await rm(this.socketPath, { force: true });
    await rm(join(this.#directory, 'run', 'charon.pid'), { force: true });
  }

  /** The stop signal reaches the threads one after the other, so this waits until the last one has it. */
  async freezeCharon(): Promise<() => void> {
    const charon = this.#charon;
    charon?.kill('SIGSTOP');
    const tasks = `/proc/${charon?.pid}/task`;
    await until('all threads to stop', async () => {
      const statuses = await Promise.all((await readdir(tasks)).map((task) => readFile(join(tasks, task, 'status'), 'utf8')));
      return statuses.every((status) => /^State:\tT/m.test(status));
    });
    return () => void charon?.kill('SIGCONT');
  }

  async send(to: CharonHost, packetCount: number): Promise<void> {
    const loop = 'for i in $(seq "$0"); do echo probe > "/dev/udp/$1/9"; done';
    await this.exec('bash', '-c', loop, String(packetCount), to.protected);
  }

  async stop(): Promise<void> {
    await this.killCharon();
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#holder.once('exit', resolve));
    this.#holder.kill('SIGKILL');
    await ended;
  }
}

/** Two hosts on one wire. */
export async function startRealPair(): Promise<CharonPair> {
  const directory = await mkdtemp(join(tmpdir(), 'plimsoll-charon-'));
  const hosts: RealHost[] = [];
  const stop = async (): Promise<void> => {
    for (const host of hosts) await host.stop();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    for (const [index, name] of ['host-a', 'host-b'].entries()) {
      await mkdir(join(directory, name, 'run'), { recursive: true });
      hosts.push(new RealHost(name, index + 1, join(directory, name)));
    }
    const [a, b] = hosts;
    if (a === undefined || b === undefined) throw new Error('two hosts were made');
    await Promise.all(hosts.map((host) => host.ready()));
    await run('ip', ['link', 'add', 'eth0', 'netns', String(a.pid), 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(b.pid)]);
    for (const host of hosts) {
      await host.exec('ip', 'addr', 'add', `${host.underlay}/24`, 'dev', 'eth0');
      await host.exec('ip', 'link', 'set', 'eth0', 'up');
    }
    await Promise.all(hosts.map((host) => host.startCharon()));
    return { a, b, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** kernel-libipsec needs no ESP in the kernel. With fewer than 16 threads a busy VICI hangs (measured with 8). */
function strongswanConf(directory: string): string {
  return `charon {
  load = random nonce openssl x509 revocation constraints pubkey pkcs1 pkcs8 pem sha1 sha2 hmac kdf gcm aes curve25519 kernel-libipsec kernel-netlink socket-default vici updown
  threads = 20
  install_routes = yes
  filelog {
    log {
      path = ${directory}/charon.log
      default = 1
      flush_line = yes
    }
  }
  plugins {
    kernel-libipsec {
      allow_peer_ts = yes
    }
    kernel-netlink {
      fwmark = !0x42
    }
    socket-default {
      fwmark = 0x42
    }
    vici {
      socket = unix://${directory}/run/charon.vici
    }
  }
}
`;
}
