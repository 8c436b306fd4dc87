import { readFile } from 'node:fs/promises';
import { PlimsollError } from '#core/model/result.ts';

/** The `code` of a system error (`ENOENT`), null for anything else. */
export function systemCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

/** A whole small text file; null when it does not exist. Rejects with `config-invalid` when it cannot be read. */
export async function readTextFile(path: string, signal?: AbortSignal): Promise<string | null> {
  try {
    return await readFile(path, signal ? { encoding: 'utf8', signal } : 'utf8');
  } catch (cause) {
    signal?.throwIfAborted();
    // ESRCH: the process went away between opening and reading its file in /proc.
    if (systemCode(cause) === 'ENOENT' || systemCode(cause) === 'ESRCH') return null;
    // A kernel with pressure information built in but turned off (psi=0) answers a read with EOPNOTSUPP.
    if (systemCode(cause) === 'EOPNOTSUPP') return null;
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new PlimsollError('config-invalid', `${path} cannot be read: ${detail}. Check its path and permissions.`, { cause });
  }
}
