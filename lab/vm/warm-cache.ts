import { existsSync } from 'node:fs';
import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHECKOUT } from '#lab/layout.ts';
import { hashOf, stampMatches, writeStamp } from '#lab/stamp.ts';
import { VM_CACHE } from './paths.ts';
import type { VmHost } from './vm-host.ts';

/**
 * What a host works out for itself at its first start: Node's compiled code (20 s of an emulated CPU) and what libvirt found
 * out about QEMU. One host's folders are kept for the hosts of later labs; both programs check by themselves what still fits.
 */
export const NODE_CACHE = '/var/cache/plimsoll-node';
const FOLDERS = [NODE_CACHE, '/var/cache/libvirt/qemu/capabilities'];

const ARCHIVE = join(VM_CACHE, 'warm.tar');
const STAMP = join(VM_CACHE, 'warm.stamp');
/** Code that is no longer compiled stays in Node's folder: one that grew too large is begun anew. */
const ARCHIVE_BYTES_MAX = 32 << 20;

async function inputsHash(): Promise<string> {
  const stamps = ['root.stamp', 'programs.stamp'].map((name) => readFile(join(VM_CACHE, name), 'utf8'));
  return hashOf([join(CHECKOUT, 'src')], JSON.stringify(await Promise.all(stamps)));
}

export async function warmUp(host: VmHost, signal?: AbortSignal): Promise<void> {
  if (!existsSync(ARCHIVE) || (await stat(ARCHIVE)).size > ARCHIVE_BYTES_MAX) return;
  await host.must(['tar', '-C', '/', '-x', '-f', '-'], { input: await readFile(ARCHIVE), signal });
}

/** Keeps the folders of a host that has run everything once, unless nothing changed since they were kept. */
export async function keepWarm(host: VmHost, signal?: AbortSignal): Promise<void> {
  const hash = await inputsHash();
  if ((await stampMatches(STAMP, hash)) && existsSync(ARCHIVE)) return;
  const archive = await host.output(['tar', '-C', '/', '-c', ...FOLDERS.map((folder) => folder.slice(1))], { signal });
  const partial = `${ARCHIVE}.${process.pid}`;
  await writeFile(partial, archive);
  await rename(partial, ARCHIVE);
  await writeStamp(STAMP, hash);
}
