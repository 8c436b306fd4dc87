/** Changes modules as this process loads them; their types are stripped as those of any other. */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Patch, patched } from './bug.ts';

export const repositoryRoot = join(import.meta.dirname, '..', '..');

export interface Planted {
  readonly name: string;
  /** False as long as nothing has imported the file, and so nothing runs with the change. */
  readonly isLoaded: boolean;
}

/** For the rest of this process's life. What was imported before is as it was. Throws PatchRefused, at once. */
export function plant(patch: Patch): Planted {
  const path = join(repositoryRoot, patch.file);
  const url = pathToFileURL(path).href;
  patched(patch, readFileSync(path, 'utf8'));
  const planted = { name: patch.name, isLoaded: false };
  registerHooks({
    load: (wanted, context, nextLoad) => {
      const loaded = nextLoad(wanted, context);
      if (wanted !== url) return loaded;
      const { source } = loaded;
      planted.isLoaded = true;
      return { ...loaded, source: patched(patch, typeof source === 'string' ? source : new TextDecoder().decode(source)) };
    },
  });
  return planted;
}
