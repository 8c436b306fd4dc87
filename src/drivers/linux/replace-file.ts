import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** New content beside the old, synced, then renamed over it, then the directory synced: rename(2), fsync(2). Rejects with the system's error. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
