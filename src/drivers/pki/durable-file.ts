import { randomBytes } from 'node:crypto';
import { link, mkdir, open, rename, rm, symlink, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PlimsollError } from '#core/model/result.ts';

const privateDirMode = 0o700;
const privateFileMode = 0o600;
/** No file of the PKI is larger (revocation lists are the largest); keeps a wrong path (a device, a log) from being read into memory. */
const fileBytesMax = 4 * 1024 * 1024;

/** Creates the folder (0700) with its parents when it is missing; an existing one is left as it is. */
export async function ensurePrivateDir(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: privateDirMode });
}

/** Replaces the file (mode 0600): readers see the old or the new text, also after a power cut. */
export async function replaceDurably(path: string, text: string): Promise<void> {
  const temporary = await writeTemporary(path, text);
  try {
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary);
    throw error;
  }
  await syncDir(dirname(path));
}

/** Creates the file (mode 0600) unless it exists: false when another process was first. Durable when true. */
export async function createDurably(path: string, text: string): Promise<boolean> {
  const temporary = await writeTemporary(path, text);
  try {
    // link(2), unlike rename(2), fails when the name is taken: two processes cannot both win.
    await link(temporary, path);
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await unlink(temporary);
  }
  await syncDir(dirname(path));
  return true;
}

/** The text of a file, or null when there is none. */
export async function readIfPresent(path: string): Promise<string | null> {
  try {
    const file = await open(path, 'r');
    try {
      const size = (await file.stat()).size;
      if (size > fileBytesMax)
        throw new PlimsollError('config-invalid', `${path} is ${size} bytes, which no file of the PKI is; check the path.`);
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    if (error instanceof PlimsollError) throw error;
    throw new PlimsollError('config-invalid', `${path} cannot be read; check its owner and type.`, { cause: error });
  }
}

/** Like `readIfPresent`, for a private key: refuses a file that others than its owner can read. */
export async function readPrivateIfPresent(path: string): Promise<string | null> {
  const text = await readIfPresent(path);
  if (text === null) return null;
  const file = await open(path, 'r');
  try {
    const mode = (await file.stat()).mode;
    if ((mode & 0o077) !== 0) {
      throw new PlimsollError('config-invalid', `${path} holds a private key and others can read it; run: chmod 600 ${path}`);
    }
  } finally {
    await file.close();
  }
  return text;
}

async function writeTemporary(path: string, text: string): Promise<string> {
  const temporary = temporaryBeside(path);
  const file = await open(temporary, 'wx', privateFileMode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  return temporary;
}

/** Points the symbolic link at `target`: whoever follows it gets the old or the new one. Durable after `syncDir`. */
export async function placeLink(path: string, target: string): Promise<void> {
  const temporary = temporaryBeside(path);
  await symlink(target, temporary);
  try {
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary);
    throw error;
  }
}

/** Removes a file that may be gone already. */
export async function removeDurably(path: string): Promise<void> {
  await rm(path, { force: true });
  await syncDir(dirname(path));
}

const temporaryBeside = (path: string): string => join(dirname(path), `.${randomBytes(8).toString('hex')}.tmp`);

/** A new name in a folder is durable only when the folder itself is synced. */
export async function syncDir(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
