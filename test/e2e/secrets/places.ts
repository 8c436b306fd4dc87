/** Where a secret must not be: files, and the arguments and environments of processes. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { foundIn, type Secret } from './needles.ts';

export interface Finding {
  readonly secret: string;
  readonly place: string;
}

export function searchBytes(place: string, bytes: Buffer, secrets: readonly Secret[]): readonly Finding[] {
  return foundIn(bytes, secrets).map((secret) => ({ secret, place }));
}

/** All files below a folder, but not what lies below one of `except`. */
export async function searchFolder(folder: string, secrets: readonly Secret[], except: readonly string[]): Promise<Search> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const searched = paths.filter((path) => !except.some((kept) => path.startsWith(`${kept}/`)));
  const findings: Finding[] = [];
  for (const path of searched) findings.push(...searchBytes(path, await readFile(path).catch(() => Buffer.alloc(0)), secrets));
  return { searched, findings };
}

export interface Search {
  readonly searched: readonly string[];
  readonly findings: readonly Finding[];
}

const intervalMs = 20;

/** Every distinct command line and environment on this machine while something goes on. */
export class ProcessRecord {
  readonly #seen = new Map<string, string>();

  get count(): number {
    return this.#seen.size;
  }

  async during<Value>(work: () => Promise<Value>): Promise<Value> {
    const ended = new AbortController();
    const looking = this.#lookUntil(ended.signal);
    try {
      return await work();
    } finally {
      ended.abort();
      await looking;
    }
  }

  search(secrets: readonly Secret[]): readonly Finding[] {
    return [...this.#seen].flatMap(([text, place]) => searchBytes(place, Buffer.from(text, 'latin1'), secrets));
  }

  async #lookUntil(ended: AbortSignal): Promise<void> {
    do {
      await this.#look();
      await delay(intervalMs);
    } while (!ended.aborted);
  }

  async #look(): Promise<void> {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    for (const path of pids.flatMap((pid) => [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`])) {
      // A process may be gone by now.
      const text = (await readFile(path).catch(() => Buffer.alloc(0))).toString('latin1');
      if (text !== '' && !this.#seen.has(text)) this.#seen.set(text, path);
    }
  }
}
