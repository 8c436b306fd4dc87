import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ensureKernel, initramfs, onlyEntry } from '#lab/guest/image.ts';
import { LAB_INIT } from '#lab/layout.ts';
import type { BuildOptions } from '#lab/native.ts';
import { must } from '#lab/process.ts';
import { hashOf, stampMatches, writeStamp } from '#lab/stamp.ts';
import { makeImage } from './disk-image.ts';
import { VM_CACHE } from './paths.ts';

/** The hosts' system: Debian 12 with the daemons, and nothing of this lab's state. */
export const ROOT_IMAGE = join(VM_CACHE, 'root.ext4');
export const HOST_INITRAMFS = join(VM_CACHE, 'initramfs.cpio');

const RELEASE = 'bookworm';
const PACKAGES = [
  'netbase kmod iproute2 nftables iputils-ping fping ethtool procps tcpdump iperf3 libvirt-daemon',
  'libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 strongswan-charon strongswan-swanctl',
  'libstrongswan-standard-plugins libstrongswan-extra-plugins libcharon-extra-plugins',
].flatMap((line) => line.split(' '));
const LEFT_OUT = ['/usr/share/man/*', '/usr/share/doc/*', '/usr/share/locale/*', '/usr/share/info/*'];
const FREE_MIB = 1024;
const BUILD_MS_MAX = 900_000;
/** libvirtd's QEMU driver does not start without the account that Debian's libvirt-daemon-system would create. */
const ACCOUNT = 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin\n';
const FOLDERS = ['opt/plimsoll', 'opt/programs', 'etc/plimsoll/pki', 'var/lib/plimsoll', 'var/log/services', 'var/log/libvirt/qemu'];

async function bootstrap(root: string, { log, signal }: BuildOptions): Promise<void> {
  log('building the root image of the hosts from Debian packages (once, about two minutes)');
  const excludes = LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`);
  const argv = ['mmdebstrap', '--quiet', '--mode=root', '--variant=minbase', `--include=${PACKAGES.join(',')}`, ...excludes, RELEASE, root];
  await must(argv, { signal, timeoutMs: BUILD_MS_MAX });
}

/** The guests' kernel runs the hosts too. `depmod` comes from the new root: this machine may have none. */
async function addKernelModules(root: string, kernel: string, signal?: AbortSignal): Promise<void> {
  const modules = await onlyEntry(join(kernel, 'lib/modules'), '');
  await cp(modules, join(root, 'usr/lib/modules', basename(modules)), { recursive: true });
  await must(['chroot', root, 'depmod', basename(modules)], { signal, timeoutMs: 60_000 });
}

async function addFiles(root: string): Promise<void> {
  for (const folder of FOLDERS) await mkdir(join(root, folder), { recursive: true });
  const passwd = join(root, 'etc/passwd');
  await writeFile(passwd, (await readFile(passwd, 'utf8')) + ACCOUNT);
  const group = join(root, 'etc/group');
  await writeFile(group, `${await readFile(group, 'utf8')}libvirt-qemu:x:64055:\n`);
  await writeFile(join(root, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n');
  // libvirtd would start it to ask what it can, for many seconds of an emulated CPU.
  for (const folder of ['usr/bin', 'usr/libexec']) await rm(join(root, folder, 'qemu-system-i386'), { force: true });
  await rm(join(root, 'var/cache/apt'), { recursive: true, force: true });
  await rm(join(root, 'var/lib/apt/lists'), { recursive: true, force: true });
}

/**
 * Makes the root image and the initramfs of the hosts in the checkout's cache, when missing or when an input changed. Two
 * builders at once each build their own; the later one takes the name, the earlier file lives on for who has it open.
 */
export async function ensureRootImage(options: BuildOptions): Promise<void> {
  await mkdir(VM_CACHE, { recursive: true });
  const kernel = await ensureKernel(options);
  await ensureInitramfs(kernel);
  const stamp = join(VM_CACHE, 'root.stamp');
  const release = basename(await onlyEntry(join(kernel, 'lib/modules'), ''));
  const hash = await hashOf([], JSON.stringify([2, RELEASE, PACKAGES, LEFT_OUT, FREE_MIB, ACCOUNT, FOLDERS, release]));
  if ((await stampMatches(stamp, hash)) && existsSync(ROOT_IMAGE)) return;
  await removeAbandoned();
  const work = await mkdtemp(join(VM_CACHE, 'build-'));
  try {
    const root = join(work, 'root');
    await bootstrap(root, options);
    await addKernelModules(root, kernel, options.signal);
    await addFiles(root);
    await makeImage(root, join(work, 'image'), { freeMib: FREE_MIB, signal: options.signal });
    await rename(join(work, 'image'), ROOT_IMAGE);
    await writeStamp(stamp, hash);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** What builders left that were killed: a gigabyte each. */
async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(VM_CACHE)) {
    const path = join(VM_CACHE, name);
    if (name.startsWith('build-') && Date.now() - (await stat(path)).mtimeMs > BUILD_MS_MAX)
      await rm(path, { recursive: true, force: true });
  }
}

/** lab-init is the hosts' process 1 too, so the archive is as new as that. */
async function ensureInitramfs(kernel: string): Promise<void> {
  const work = await mkdtemp(join(VM_CACHE, 'initramfs-'));
  try {
    const program = join(work, 'lab-init');
    await copyFile(LAB_INIT, program);
    await writeFile(join(work, 'archive'), await initramfs(kernel, program));
    await rename(join(work, 'archive'), HOST_INITRAMFS);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
