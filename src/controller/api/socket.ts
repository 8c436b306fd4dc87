import { PlimsollError } from '#core/model/result.ts';
import { chmodSync, linkSync, lstatSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';

const answerMsMax = 2000;
/** sockaddr_un.sun_path on Linux, with its closing zero. */
const socketPathBytesMax = 107;

/**
 * Puts a Unix socket of mode 0600 at `path`. `listen` binds it inside a fresh directory that only the owner may
 * enter; it is shown at `path` when its mode is right, so that nobody can connect before. A socket file that
 * nobody listens on is replaced. Throws PlimsollError `config-invalid` when the path is taken or cannot be used.
 */
export async function listenPrivately(path: string, listen: (path: string) => Promise<unknown>): Promise<void> {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const staging = mkdtempSync(join(folder, '.api-'));
  try {
    const staged = join(staging, 's');
    refuseLongPath(Buffer.byteLength(staged) > Buffer.byteLength(path) ? staged : path);
    await removeStale(path);
    await listen(staged);
    chmodSync(staged, 0o600);
    linkSync(staged, path);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

/** Takes the socket file away at the end; without it the next start would have to find out that it is stale. */
export function removeSocket(path: string): void {
  rmSync(path, { force: true });
}

function refuseLongPath(path: string): void {
  if (Buffer.byteLength(path) <= socketPathBytesMax) return;
  throw new PlimsollError('config-invalid', `socket: ${path} is longer than ${socketPathBytesMax} bytes: choose a shorter path`);
}

async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new PlimsollError('config-invalid', `socket: ${path} exists and is not a socket: remove it, or choose another path`);
  if (await somebodyListens(path)) {
    throw new PlimsollError('config-invalid', `socket: a controller already listens on ${path}: stop it first, or choose another path`);
  }
  rmSync(path, { force: true });
}

/** Only a refused connection proves that nobody listens; a listener that is slow to answer is one. */
function somebodyListens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    const answer = (listens: boolean) => {
      probe.destroy();
      resolve(listens);
    };
    probe.setTimeout(answerMsMax, () => answer(true));
    probe.once('connect', () => answer(true));
    probe.once('error', (error) => answer(!('code' in error && (error.code === 'ECONNREFUSED' || error.code === 'ENOENT'))));
  });
}
