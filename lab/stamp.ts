import { createHash } from 'node:crypto';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Hash of every file below the folders, so that a build runs again exactly when a source changed. */
export async function hashOf(folders: readonly string[], salt: string): Promise<string> {
  const hash = createHash('sha256').update(salt);
  for (const folder of folders) {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name));
    for (const file of files.toSorted()) hash.update(file.slice(folder.length)).update(await readFile(file));
  }
  return hash.digest('hex');
}

export async function stampMatches(path: string, hash: string): Promise<boolean> {
  return (await readFile(path, 'utf8').catch(() => '')) === hash;
}

export const writeStamp = (path: string, hash: string): Promise<void> => writeFile(path, hash);
