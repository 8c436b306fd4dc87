import { type ChildProcess, type ChildProcessWithoutNullStreams, execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { channelAddresses } from '#core/channel/profiles.ts';
import type { ChannelProfile, IpsecBackend } from '#core/model/channel.ts';
import { type RunIp, systemIp } from '#drivers/strongswan/xfrm.ts';
import { type CharonHost, type CharonPair, addressesOf } from './charon-pair.ts';
import { until } from '#test/support/until.ts';

const run = promisify(execFile);
const charonPath = '/usr/lib/ipsec/charon';
const pluginPath = '/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so';

const senderPath = new URL('packet-sender.ts', import.meta.url).pathname;

/** Why the real daemon cannot be used here; undefined when it can. */
export function whyNoRealCharon(): string | undefined {
  return whyNoNamespaces() ?? whyNoLibipsec();
}

function whyNoNamespaces(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux';
  if (!existsSync(charonPath)) return 'needs strongSwan (Debian package strongswan-charon)';
  for (const tool of ['unshare', 'nsenter', 'setpriv', 'ip']) {
    try {
      execFileSync('which', [tool], { stdio: 'ignore' });
    } catch {
      return `needs the program ${tool}`;
    }
  }
  return undefined;
}

function whyNoLibipsec(): string | undefined {
  if (!existsSync(pluginPath)) return 'needs kernel-libipsec (Debian package libcharon-extra-plugins)';
  return existsSync('/dev/net/tun') ? undefined : 'needs /dev/net/tun';
}

/** Why the kernel's own IPsec cannot be used here; undefined when it can. Tries it, in a namespace that is gone afterwards. */
export function whyNoKernelIpsec(): string | undefined {
  const why = whyNoNamespaces();
  if (why !== undefined) return why;
  const state = (protocol: string): string => `ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto ${protocol} spi 0x100 mode transport`;
  const key = (bytes: number): string => `0x${'11'.repeat(bytes)}`;
  const esp = `${state('esp')} aead 'rfc4106(gcm(aes))' ${key(36)} 128`;
  const ah = `${state('ah')} auth-trunc 'hmac(sha384)' ${key(48)} 192`;
  try {
    execFileSync('unshare', ['--net', 'sh', '-c', `${esp} && ${ah}`], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'needs a kernel with ESP, AH and AES-GCM';
  }
}

interface HostPlan {
  readonly name: string;
  readonly number: number;
  readonly directory: string;
  readonly backend: IpsecBackend;
  readonly family: 4 | 6;
}

/** One host with a charon of its own in private network and mount namespaces. */
export class RealHost implements CharonHost {
  readonly name: string;
  readonly underlay: string;
  readonly protected: string;
  readonly socketPath: string;
  readonly backend: IpsecBackend;
  readonly #directory: string;
  readonly #holder: ChildProcess;
  #charon: ChildProcess | undefined;
  #sender: ChildProcessWithoutNullStreams | undefined;
  #receivedBefore = 0;

  constructor({ name, number, directory, backend, family }: HostPlan) {
    this.name = name;
    this.backend = backend;
    this.underlay = family === 4 ? `10.91.0.${number}` : `fd00:91::${number}`;
    this.protected = family === 4 ? `10.92.0.${number}` : `fd00:92::${number}`;
    this.#directory = directory;
    this.socketPath = join(directory, 'run', 'charon.vici');
    // Nothing survives this process: the namespaces live as long as the holder, and it dies with its parent.
    const mounts = 'mount --bind "$0/run" /run && exec sleep infinity';
    this.#holder = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', '--net', '--mount', 'sh', '-c', mounts, directory], {
      stdio: 'ignore',
    });
  }

  get driverOptions(): { readonly runIp: RunIp; readonly xfrmStatPath: string } {
    const runIp = systemIp('nsenter', ['-t', String(this.pid), '-n', 'ip']);
    return { runIp, xfrmStatPath: `/proc/${this.pid}/net/xfrm_stat` };
  }

  get pid(): number {
    return this.#holder.pid ?? 0;
  }

  async exec(...command: readonly string[]): Promise<string> {
    const { stdout } = await run('nsenter', ['-t', String(this.pid), '-n', '-m', ...command], { timeout: 60_000 });
    return stdout;
  }

  async ready(): Promise<void> {
    await until('the namespaces', async () => (await this.exec('cat', '/proc/self/mountinfo')).includes(' /run '));
    await this.exec('ip', 'link', 'set', 'lo', 'up');
    await this.exec('ip', 'addr', 'add', this.protected, 'dev', 'lo');
  }

  async startCharon(): Promise<void> {
    const configuration = join(this.#directory, 'strongswan.conf');
    await writeFile(configuration, strongswanConf(this.#directory, this.backend));
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

  async send(to: CharonHost, profile: ChannelProfile, packetCount: number): Promise<void> {
    const [from, target] = [this, to].map((host) => channelAddresses(profile, addressesOf(host)).protected);
    await this.#order(`probes ${from} ${target} ${packetCount}`);
  }

  /** One datagram of any content from this host's network. */
  async sendRaw(to: string, port: number, payload: Uint8Array): Promise<void> {
    await this.#order(`raw ${to} ${port} ${Buffer.from(payload).toString('hex')}`);
  }

  async #order(line: string): Promise<void> {
    this.#sender ??= spawn('nsenter', ['-t', String(this.pid), '-n', 'setpriv', '--pdeathsig', 'KILL', process.execPath, senderPath]);
    const { stdin, stdout } = this.#sender;
    const done = new Promise((resolve) => stdout.once('data', resolve));
    stdin.write(`${line}\n`);
    await done;
  }

  /** Nobody listens, so that the kernel counts each as one for a port without a listener. */
  async received(): Promise<number> {
    const read = async (file: string): Promise<string> => await readFile(`/proc/${this.pid}/net/${file}`, 'utf8');
    const [names, values] = (await read('snmp')).split('\n').filter((line) => line.startsWith('Udp: '));
    const column = (names ?? '').split(' ').indexOf('NoPorts');
    const v6 = /^Udp6NoPorts\s+(\d+)/m.exec(await read('snmp6'))?.[1];
    const now = Number((values ?? '').split(' ')[column]) + Number(v6 ?? 0);
    const before = this.#receivedBefore;
    this.#receivedBefore = now;
    return now - before;
  }

  async stop(): Promise<void> {
    await this.killCharon();
    this.#sender?.kill('SIGKILL');
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#holder.once('exit', resolve));
    this.#holder.kill('SIGKILL');
    await ended;
  }
}

export interface PairOptions {
  readonly backend?: IpsecBackend;
  readonly family?: 4 | 6;
}

/** Two hosts on one wire. */
export async function startRealPair({ backend = 'libipsec', family = 4 }: PairOptions = {}): Promise<CharonPair> {
  const directory = await mkdtemp(join(tmpdir(), 'plimsoll-charon-'));
  const hosts: RealHost[] = [];
  const stop = async (): Promise<void> => {
    for (const host of hosts) await host.stop();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    for (const [index, name] of ['host-a', 'host-b'].entries()) {
      await mkdir(join(directory, name, 'run'), { recursive: true });
      hosts.push(new RealHost({ name, number: index + 1, directory: join(directory, name), backend, family }));
    }
    const [a, b] = hosts;
    if (a === undefined || b === undefined) throw new Error('two hosts were made');
    await Promise.all(hosts.map((host) => host.ready()));
    await run('ip', ['link', 'add', 'eth0', 'netns', String(a.pid), 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(b.pid)]);
    for (const host of hosts) {
      await host.exec('ip', 'addr', 'add', `${host.underlay}/${family === 4 ? 24 : 64}`, 'dev', 'eth0', ...(family === 4 ? [] : ['nodad']));
      await host.exec('ip', 'link', 'set', 'eth0', 'up');
    }
    await Promise.all(hosts.map((host) => host.startCharon()));
    return { a, b, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * kernel-libipsec needs no ESP in the kernel. With fewer than 16 threads a busy VICI hangs (measured with 8). The retransmissions
 * make a silent peer known after dpd_delay and 2 + 3 + 4.5 + 6.75 s.
 */
function strongswanConf(directory: string, backend: IpsecBackend): string {
  const libipsec = `
    kernel-libipsec {
      allow_peer_ts = yes
    }
    kernel-netlink {
      fwmark = !0x42
    }
    socket-default {
      fwmark = 0x42
    }`;
  const esp = backend === 'libipsec' ? 'kernel-libipsec ' : '';
  return `charon {
  load = random nonce openssl x509 revocation constraints pubkey pkcs1 pkcs8 pem sha1 sha2 hmac kdf gcm aes chapoly curve25519 ${esp}kernel-netlink socket-default vici updown
  threads = 20
  install_routes = yes
  retransmit_timeout = 2.0
  retransmit_base = 1.5
  retransmit_tries = 3
  filelog {
    log {
      path = ${directory}/charon.log
      default = 1
      flush_line = yes
    }
  }
  plugins {${backend === 'libipsec' ? libipsec : ''}
    vici {
      socket = unix://${directory}/run/charon.vici
    }
  }
}
`;
}
