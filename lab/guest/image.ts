import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { LabError } from '#lab/errors.ts';
import { CACHE, CHECKOUT } from '#lab/layout.ts';
import { EARLY, FLAGS, cFiles } from '#lab/native.ts';
import type { BuildOptions } from '#lab/native.ts';
import { must, run } from '#lab/process.ts';
import { hashOf, stampMatches, writeStamp } from '#lab/stamp.ts';
import { DIRECTORY_MODE, PROGRAM_MODE, cpioArchive } from './cpio.ts';
import type { ArchiveFile } from './cpio.ts';
import { extractKernel } from './kernel.ts';

const FOLDER = join(CACHE, 'guest');
export const GUEST_KERNEL = join(FOLDER, 'vmlinux');
export const GUEST_INITRAMFS = join(FOLDER, 'initramfs.cpio');

const SOURCES = join(CHECKOUT, 'lab', 'guest');
const META_PACKAGE = 'linux-image-cloud-amd64';

/** In load order: each one needs those before it. */
export const VIRTIO_MODULES: readonly string[] = [
  'drivers/virtio/virtio_ring',
  'drivers/virtio/virtio',
  'drivers/virtio/virtio_pci_legacy_dev',
  'drivers/virtio/virtio_pci_modern_dev',
  'drivers/virtio/virtio_pci',
  'drivers/virtio/virtio_balloon',
  'net/core/failover',
  'drivers/net/net_failover',
  'drivers/net/virtio_net',
  'drivers/block/virtio_blk',
];

/** The real kernel package behind Debian's meta package. */
async function kernelPackage(signal?: AbortSignal): Promise<string> {
  const { stdout } = await run(['apt-cache', 'depends', META_PACKAGE], { signal });
  const name = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
  if (name !== undefined) return name;
  throw new LabError('lab-image-failed', `apt knows no package ${META_PACKAGE}: run 'apt-get update' on a Debian 12 machine and try again`);
}

/** Downloads and unpacks the kernel. It is never installed: that would change what this machine boots. */
export async function ensureKernel({ log, signal }: BuildOptions): Promise<string> {
  const folder = join(FOLDER, 'kernel');
  if (existsSync(folder)) return folder;
  const name = await kernelPackage(signal);
  log(`downloading ${name} (unpacked for the guests, not installed)`);
  const work = await mkdtemp(join(FOLDER, 'download-'));
  try {
    const download = `cd '${work}' && exec apt-get -o APT::Sandbox::User=root -q download '${name}'`;
    await must(['sh', '-c', download], { signal, timeoutMs: 300_000 });
    const [deb] = (await readdir(work)).filter((file) => file.endsWith('.deb'));
    if (deb === undefined) throw new LabError('lab-image-failed', `apt-get download ${name} left no file: check the network and try again`);
    await must(['dpkg', '-x', join(work, deb), join(work, 'unpacked')], { signal });
    await rename(join(work, 'unpacked'), folder).catch((error: NodeJS.ErrnoException) => {
      // Another lab was quicker: its copy is as good.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return folder;
}

export async function onlyEntry(folder: string, prefix: string): Promise<string> {
  const name = (await readdir(folder)).find((entry) => entry.startsWith(prefix));
  if (name === undefined) throw new LabError('lab-image-failed', `no ${prefix}* in ${folder}: delete ${FOLDER} and try again`);
  return join(folder, name);
}

/** An archive with `init` as /init, and the modules for it to load. */
export async function initramfs(kernel: string, init: string): Promise<Buffer> {
  const modules = join(await onlyEntry(join(kernel, 'lib/modules'), ''), 'kernel');
  const files: ArchiveFile[] = [
    { path: 'modules', mode: DIRECTORY_MODE, data: new Uint8Array() },
    { path: 'init', mode: PROGRAM_MODE, data: await readFile(init) },
  ];
  for (const [i, module] of VIRTIO_MODULES.entries()) {
    const path = `modules/${String(i).padStart(2, '0')}-${basename(module)}.ko`;
    files.push({ path, mode: PROGRAM_MODE, data: await readFile(join(modules, `${module}.ko`)) });
  }
  // Not compressed: unpacking would cost each guest more (the CPU is emulated) than reading does.
  return cpioArchive(files);
}

async function compileWorkload(output: string, signal?: AbortSignal): Promise<void> {
  const sources = [...(await cFiles(EARLY)), ...(await cFiles(SOURCES))];
  await must(['gcc', ...FLAGS, '-static', '-pthread', '-I', EARLY, '-o', output, ...sources], { signal });
}

/** Makes the guests' kernel and initramfs in the checkout's cache, when they are missing or a source changed. */
export async function ensureGuestImage(options: BuildOptions): Promise<void> {
  const stamp = join(FOLDER, 'stamp');
  const hash = await hashOf([SOURCES, EARLY], '1');
  if ((await stampMatches(stamp, hash)) && existsSync(GUEST_KERNEL) && existsSync(GUEST_INITRAMFS)) return;
  await mkdir(FOLDER, { recursive: true });
  const kernel = await ensureKernel(options);
  options.log('building the guest image');
  const work = await mkdtemp(join(FOLDER, 'build-'));
  try {
    await compileWorkload(join(work, 'workload'), options.signal);
    await writeFile(join(work, 'initramfs'), await initramfs(kernel, join(work, 'workload')));
    const bzImage = await readFile(await onlyEntry(join(kernel, 'boot'), 'vmlinuz-'));
    await writeFile(join(work, 'vmlinux'), extractKernel(bzImage) ?? bzImage);
    await rename(join(work, 'vmlinux'), GUEST_KERNEL);
    await rename(join(work, 'initramfs'), GUEST_INITRAMFS);
    await writeStamp(stamp, hash);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
