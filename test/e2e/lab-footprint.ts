import { readFile, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { findCgroupRoots } from '#lab/cgroup.ts';
import { DATA_ROOT, RUN_ROOT } from '#lab/layout.ts';
import { must } from '#lab/process.ts';

/** What of some labs is on this machine, one line per thing. Other labs may come and go meanwhile. */
export interface Footprint {
  readonly networkNamespaces: readonly string[];
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly files: readonly string[];
  /** Outside all labs: these belong to the machine and must not change at all. */
  readonly links: readonly string[];
  readonly nftRules: string;
}

const FOLDERS_OF_ALL = ['', '.'];

async function entriesOf(folder: string): Promise<string[]> {
  return readdir(folder, { recursive: true }).catch(() => []);
}

export async function footprintOf(labs: readonly string[]): Promise<Footprint> {
  const isOurs = (text: string): boolean => labs.some((name) => new RegExp(`(^|[./:])${name}([./:]|$)`).test(text));
  const roots = await findCgroupRoots();
  const namespaces = (await must(['ip', 'netns', 'list'])).split('\n').map((line) => line.split(' ')[0] ?? '');
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ').slice(0, 2).join(' '));
  const groups = [roots.unified, roots.cpuV1].filter((root) => root !== undefined).map((root) => join(root, 'plimsoll-lab'));
  const listOf = async (folders: readonly string[]): Promise<string[]> =>
    (await Promise.all(folders.map(async (f) => (await entriesOf(f)).map((name) => join(f, name))))).flat();
  const links = JSON.parse(await must(['ip', '-j', 'link'])) as readonly { readonly ifname: string }[];
  return {
    networkNamespaces: namespaces.filter((n) => !FOLDERS_OF_ALL.includes(n) && isOurs(n)),
    mounts: mounts.filter(isOurs),
    cgroups: (await listOf(groups)).filter(isOurs),
    files: (await indexLinks(await listOf([RUN_ROOT, DATA_ROOT]))).filter(isOurs),
    links: links.map((l) => l.ifname).toSorted(),
    nftRules: await must(['nft', 'list', 'ruleset']),
  };
}

/** A lab's index is a link whose target, not its name, says whose it is. */
function indexLinks(files: readonly string[]): Promise<string[]> {
  return Promise.all(files.map(async (file) => (file.includes('/.index-') ? readlink(file).catch(() => file) : file)));
}

/** The namespaces a process is in: who is in the same ones belongs to the same machine of the lab. */
export async function namespacesOf(pid: number): Promise<string[]> {
  const kinds = ['mnt', 'net', 'pid', 'uts', 'ipc'];
  return Promise.all(kinds.map((kind) => readlink(`/proc/${pid}/ns/${kind}`)));
}

/** Processes of this machine that are in any of the namespaces; a process that ended but is not reaped yet is in none. */
export async function processesIn(namespaces: readonly string[]): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const own = await namespacesOf(pid).catch(() => []);
      return own.some((n) => namespaces.includes(n)) ? [pid] : [];
    }),
  );
  return found.flat();
}
