/** The destination's memory and disk, filled. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type LabHost, waitFor } from '#lab/api.ts';
import { Poised } from './poised.ts';
import { qemuPid } from './qemu-process.ts';
import type { Scene, Strike } from './scene.ts';

const lastsMs = 20_000;
/** What a QEMU may use that is about to start: more than libvirtd has, so that the kernel kills QEMU for it. */
const startBytes = 48 * 2 ** 20;
/** What a QEMU may use beyond what it has. */
const moreBytes = 256 * 2 ** 10;
/** Folders of a host that are small file systems of their own, from the lab's start on: what can be filled without the machine's help. */
const smallFolders = ['/run/libvirt/qemu', '/var/log/libvirt/qemu'];

async function memoryRoot(): Promise<string> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' '));
  const root = mounts.find(([, , type, flags]) => type === 'cgroup' && flags?.split(',').includes('memory'))?.[1];
  if (root === undefined) throw new Error('this machine has no memory controller of version 1: memory cannot be filled');
  return root;
}

/** In the group of its parent again, whatever that is called. */
function memoryGroupOf(root: string, pid: number): string {
  const line = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
    .split('\n')
    .find((one) => one.split(':')[1] === 'memory');
  return join(root, line?.split(':')[2] ?? '/');
}

/**
 * What the process, and whatever it starts from now on, takes beyond the limit is taken from it by the kernel's out-of-memory killer. A
 * group of its own stands for the host's memory: other guests of the lab's host are to live.
 */
function confine(root: string, group: string, pid: number, bytes: number): string {
  const before = memoryGroupOf(root, pid);
  mkdirSync(group, { recursive: true });
  writeFileSync(join(group, 'memory.limit_in_bytes'), `${bytes}`);
  writeFileSync(join(group, 'cgroup.procs'), `${pid}`);
  return before;
}

function release(before: string, pid: number): void {
  try {
    writeFileSync(join(before, 'cgroup.procs'), `${pid}`);
  } catch {
    // it has ended
  }
}

async function letAllGo(root: string, group: string): Promise<void> {
  const members = async () => (await readFile(join(group, 'cgroup.procs'), 'utf8').catch(() => '')).split('\n').filter(Boolean);
  for (const pid of await members()) release(root, Number(pid));
  const gone = () =>
    rmdir(group).then(
      () => true,
      (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
    );
  await waitFor(gone, { what: `${group} to be removable`, timeoutMs: 10_000 });
}

export async function fullMemory({ destination, guest }: Scene): Promise<Strike> {
  const root = await memoryRoot();
  const group = join(root, `plimsoll-faults-${destination.name}`);
  const daemon = await destination.servicePid('libvirtd');
  const strike = async (): Promise<string> => {
    const qemu = qemuPid(destination, guest);
    const pid = qemu ?? daemon;
    if (pid === undefined) throw new Error('the destination has no libvirtd');
    confine(root, group, pid, qemu === undefined ? startBytes : moreBytes);
    return qemu === undefined ? `what libvirtd starts may use ${startBytes} bytes` : `QEMU may use ${moreBytes} bytes more`;
  };
  return { lastsMs, endsWithMigration: true, strike, end: () => letAllGo(root, group) };
}

/** Before the first run of a lab: the small file systems. */
export async function makeDisksSmall(hosts: readonly LabHost[]): Promise<void> {
  const script = smallFolders
    .map(
      (folder) =>
        `cp -a ${folder} /tmp/small.$$ && mount -t tmpfs -o size=1m,nr_inodes=96 faults ${folder} && cp -a /tmp/small.$$/. ${folder}/ && rm -rf /tmp/small.$$`,
    )
    .join(' && ');
  for (const host of hosts) {
    const { code, stderr } = await host.exec(['sh', '-c', script]);
    if (code !== 0) throw new Error(`${host.name}: the small file systems cannot be mounted: ${stderr.trim()}`);
  }
}

/** `touch` and not the shell's own redirection, whose failure would end the shell. */
const fill = (folder: string): string =>
  `mkdir -p ${folder}/.full; cat /dev/zero 2>/dev/null > ${folder}/.full/0; i=1; while touch ${folder}/.full/$i 2>/dev/null; do i=$((i+1)); done; `;

/** Neither a byte nor a file more fits where libvirt keeps its state and its logs. */
export async function fullDisk({ destination }: Scene): Promise<Strike> {
  const shell = await Poised.of(destination, ['sh']);
  const strike = async (): Promise<string> => {
    await shell.release(`${smallFolders.map(fill).join('')}true\n`);
    return `${smallFolders.join(' and ')} are full`;
  };
  const end = async (): Promise<void> => {
    await shell.drop();
    await emptyDisks([destination]);
  };
  return { lastsMs, endsWithMigration: true, strike, end };
}

export async function emptyDisks(hosts: readonly LabHost[]): Promise<void> {
  for (const host of hosts) {
    await host.exec(['rm', '-rf', ...smallFolders.map((folder) => `${folder}/.full`)], { timeoutMs: 10_000 }).catch(() => undefined);
  }
}
