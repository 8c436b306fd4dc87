import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { until } from '#test/support/until.ts';

const programs = ['libvirtd', 'virtlogd', 'qemu-system-x86_64', 'virsh', 'unshare', 'nsenter', 'openssl', 'nft'];

/** What a real libvirtd of our own cannot do without and this machine does not have; null when everything is there. */
export function missingForRealLibvirtd(): string | null {
  if (process.platform !== 'linux') return 'a Linux kernel';
  if (process.getuid?.() !== 0) return 'root';
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/bin', '/bin'];
  const missing = programs.filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
  return missing.length === 0 ? null : `the programs ${missing.join(', ')}`;
}

export interface RealLibvirtdOptions {
  /** Listens with TLS at this address, one of 127/8, and so does its QEMU when it is asked to. Needs `pki`. */
  readonly tlsAddress?: string;
  /** A folder as `createTestPki` makes it. */
  readonly pki?: string;
  /** Shares the network namespace of another one, so that they can reach each other. */
  readonly peer?: RealLibvirtd;
}

/**
 * A libvirtd of our own in private mount, network, UTS, IPC and PID namespaces, with nothing of the machine's own libvirt in
 * sight. It ends with `stop`, and also when this process dies: its PID 1 reads a pipe that we hold.
 */
export class RealLibvirtd {
  readonly folder: string;
  readonly socketPath: string;
  readonly #child: ChildProcess;
  readonly #initPid: number;

  private constructor(folder: string, child: ChildProcess, initPid: number) {
    this.folder = folder;
    this.socketPath = join(folder, 'run/libvirt/libvirt-sock');
    this.#child = child;
    this.#initPid = initPid;
  }

  /** Resolves when its socket is there. */
  static async start(options: RealLibvirtdOptions = {}): Promise<RealLibvirtd> {
    const folder = mkdtempSync(join(tmpdir(), 'plimsoll-libvirtd-'));
    for (const name of ['run', 'lib', 'log', 'cache', 'etc', 'top']) mkdirSync(join(folder, name));
    writeConfiguration(folder, options);
    const peerPid = options.peer?.initPid;
    const unshare = ['unshare', '-m', '-u', '-i', '-p', '-f', '--kill-child', '--mount-proc', '--propagation', 'private'];
    const command = peerPid === undefined ? [...unshare, '-n'] : ['nsenter', `--net=/proc/${peerPid}/ns/net`, ...unshare];
    const [program, ...args] = [...command, 'sh', '-c', initScript, 'init', folder, options.pki ?? ''];
    const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'pipe'] });
    let complaints = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaints = (complaints + text).slice(-4_000);
    });
    try {
      await until('libvirtd has a socket', () => {
        if (child.exitCode !== null) throw new Error(`the namespaces ended: ${complaints}`);
        // The socket alone is not enough: libvirtd leaves again when its QEMU driver does not start.
        return existsSync(join(folder, 'run/libvirt/libvirt-sock')) && answers(child);
      });
      return new RealLibvirtd(folder, child, readInitPid(child));
    } catch (error) {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** PID 1 of its PID namespace, as seen from here. */
  get initPid(): number {
    return this.#initPid;
  }

  /** PID of libvirtd as its own namespace counts. */
  get daemonPid(): number {
    return Number(readFileSync(join(this.folder, 'run/libvirtd.pid'), 'utf8').trim());
  }

  /** Runs a program inside and answers its standard output. */
  run(program: string, ...args: readonly string[]): string {
    return execFileSync('nsenter', ['-t', String(this.#initPid), '-m', '-u', '-i', '-p', '-n', '--', program, ...args], {
      encoding: 'utf8',
      timeout: 30_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  signalDaemon(signal: 'KILL' | 'STOP' | 'CONT'): void {
    this.run('kill', `-${signal}`, String(this.daemonPid));
  }

  /** Kills the daemon as a crash would: the guests live on. */
  async crashDaemon(): Promise<void> {
    const pid = this.daemonPid;
    this.signalDaemon('KILL');
    await until('libvirtd is gone', () => !this.#isAlive(pid));
  }

  async startDaemon(): Promise<void> {
    rmSync(this.socketPath, { force: true });
    this.run('libvirtd', '-l', '-d');
    await until('libvirtd has a socket again', () => existsSync(this.socketPath));
  }

  /** Ends everything inside; its folder goes too. */
  async stop(): Promise<void> {
    this.#child.stdin?.end();
    await until('the namespaces are gone', () => this.#child.exitCode !== null || this.#child.signalCode !== null);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #isAlive(pid: number): boolean {
    try {
      this.run('kill', '-0', String(pid));
      return true;
    } catch {
      return false;
    }
  }
}

// PID 1 inside. `wait` also reaps the orphans of daemons; the `cat` ends when our end of the pipe closes, even by our death, and
// with PID 1 everything does.
const initScript = `
set -e
folder=$1
pki=$2
exec 3<&0 </dev/null
ip link set lo up 2>/dev/null || true
mount --bind "$folder/run" /run
mkdir -p /run/lock /run/libvirt
mkdir -p /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /etc/libvirt
mount --bind "$folder/lib" /var/lib/libvirt
mount --bind "$folder/log" /var/log/libvirt
mount --bind "$folder/cache" /var/cache/libvirt
# /etc of its own, for the files that have fixed places; in memory, because an overlay's upper folder cannot be on an overlay.
mount -t tmpfs tmpfs "$folder/top"
mkdir "$folder/top/upper" "$folder/top/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$folder/top/upper,workdir=$folder/top/work" /etc
mount --bind "$folder/etc" /etc/libvirt
if [ -n "$pki" ]; then
  mkdir -p /etc/pki/CA /etc/pki/libvirt/private
  ln -sf "$pki/cacert.pem" /etc/pki/CA/cacert.pem
  ln -sf "$pki/servercert.pem" /etc/pki/libvirt/servercert.pem
  ln -sf "$pki/serverkey.pem" /etc/pki/libvirt/private/serverkey.pem
fi
hostname "$(cat /etc/libvirt/hostname)"
mount --bind /etc/libvirt/hosts /etc/hosts
mount --bind /etc/libvirt/passwd /etc/passwd
mount --bind /etc/libvirt/group /etc/group
virtlogd -d
libvirtd -l -d
cat <&3 >/dev/null &
wait $! || true
kill -9 -1 || true
rm -rf "$folder"
`;

function writeConfiguration(folder: string, options: RealLibvirtdOptions): void {
  const etc = join(folder, 'etc');
  const number = options.tlsAddress?.split('.').at(-1) ?? '1';
  const name = `libvirt-contract-${number}`;
  writeFileSync(join(etc, 'hostname'), `${name}\n`);
  writeFileSync(join(etc, 'hosts'), `127.0.0.1 localhost\n${options.tlsAddress ?? '127.0.1.1'} ${name}\n`);
  // libvirt looks up its built-in account before it reads qemu.conf; only the package libvirt-daemon-system creates it.
  writeFileSync(join(etc, 'passwd'), withLine('/etc/passwd', 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin'));
  writeFileSync(join(etc, 'group'), withLine('/etc/group', 'libvirt-qemu:x:64055:'));
  const tls =
    options.tlsAddress === undefined || options.pki === undefined
      ? ['listen_tls = 0']
      : [
          'listen_tls = 1',
          `listen_addr = "${options.tlsAddress}"`,
          `ca_file = "${options.pki}/cacert.pem"`,
          `cert_file = "${options.pki}/servercert.pem"`,
          `key_file = "${options.pki}/serverkey.pem"`,
        ];
  const libvirtd = [
    ...tls,
    'listen_tcp = 0',
    'auth_tls = "none"',
    'auth_unix_ro = "none"',
    'auth_unix_rw = "none"',
    'unix_sock_group = "root"',
    `host_uuid = "00000000-1111-4222-8333-${number.padStart(12, '4')}"`,
    'log_outputs = "2:file:/var/log/libvirt/libvirtd.log"',
    // Short, so that a keep-alive test need not wait for the daemon's default of 5 s.
    'keepalive_interval = 1',
    'keepalive_count = 10',
  ];
  const qemu = [
    'security_driver = "none"',
    'security_default_confined = 0',
    'user = "root"',
    'group = "root"',
    'dynamic_ownership = 0',
    'remember_owner = 0',
    'cgroup_controllers = []',
    'namespaces = []',
    'stdio_handler = "file"',
    'max_core = 0',
    // Of the connection to a peer's daemon: a lost link is noticed after 4 s and not after 30.
    'keepalive_interval = 1',
    'keepalive_count = 3',
    ...(options.tlsAddress === undefined ? [] : [`migration_host = "${options.tlsAddress}"`]),
    ...(options.pki === undefined ? [] : [`migrate_tls_x509_cert_dir = "${options.pki}"`, 'migrate_tls_x509_verify = 1']),
  ];
  writeFileSync(join(etc, 'libvirtd.conf'), `${libvirtd.join('\n')}\n`);
  writeFileSync(join(etc, 'qemu.conf'), `${qemu.join('\n')}\n`);
  for (const empty of ['libvirt.conf', 'virtlogd.conf', 'virtlockd.conf']) writeFileSync(join(etc, empty), '');
}

/** Whether the daemon inside answers its own client. */
function answers(child: ChildProcess): boolean {
  const args = ['-t', String(readInitPid(child)), '-m', '-p', '-n', '--', 'virsh', '-c', 'qemu:///system', 'uri'];
  try {
    execFileSync('nsenter', args, { stdio: 'ignore', timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}

/** The content of an account file with `line` added, unless it has that account. */
function withLine(path: string, line: string): string {
  const content = readFileSync(path, 'utf8');
  const [name] = line.split(':');
  return content.split('\n').some((existing) => existing.startsWith(`${name}:`)) ? content : `${content}${line}\n`;
}

/** The shell is the only child of `unshare`. */
function readInitPid(child: ChildProcess): number {
  const pid = child.pid ?? 0;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  return Number(children[0]);
}
