import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CACHE, CHECKOUT } from './layout.ts';
import { must } from './process.ts';
import { hashOf, stampMatches, writeStamp } from './stamp.ts';

const SOURCES = join(CHECKOUT, 'lab', 'native');
/** What the first processes of guests and of hosts share. */
export const EARLY = join(SOURCES, 'early');
export const FLAGS = ['-std=gnu11', '-O2', '-Wall', '-Wextra'];

/** A lab that runs keeps the old file open, and another start may be building too: each builds apart, and the name is taken at once. */
async function compile(argv: readonly string[], output: string, signal?: AbortSignal): Promise<void> {
  const work = await mkdtemp(`${output}-build-`);
  try {
    const partial = join(work, 'program');
    await must(['gcc', ...FLAGS, '-o', partial, ...argv], { signal });
    await rename(partial, output);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

export async function cFiles(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith('.c')).map((name) => join(folder, name));
}

export interface BuildOptions {
  readonly log: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Builds the lab's C programs when their sources changed. */
export async function ensureNative({ log, signal }: BuildOptions): Promise<void> {
  const folder = join(CACHE, 'native');
  const stamp = join(folder, 'stamp');
  const hash = await hashOf([SOURCES], FLAGS.join(' '));
  if (await stampMatches(stamp, hash)) return;
  log('building lab-init, qemu-odd and charon-buffer');
  await mkdir(folder, { recursive: true });
  const init = [...(await cFiles(EARLY)), ...(await cFiles(join(SOURCES, 'lab-init')))];
  await compile(['-static', '-I', EARLY, ...init], join(folder, 'lab-init'), signal);
  await compile(['-static', join(SOURCES, 'qemu-odd.c')], join(folder, 'qemu-odd'), signal);
  await compile(['-shared', '-fPIC', join(SOURCES, 'charon-buffer.c')], join(folder, 'charon-buffer.so'), signal);
  await writeStamp(stamp, hash);
}
