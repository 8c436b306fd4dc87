/**
 * Files that hold a cluster: a snapshot of Plimsoll (JSON), or a cluster of Ganeti's hbal (text). What they mean is the core's
 * knowledge, so this file reaches beyond the wire; everything behind it is imported only when it is asked for.
 */
import { readFile, stat, writeFile } from 'node:fs/promises';
import type { HbalCluster, HbalUse } from '#core/exchange/hbal-cluster.ts';
import type { Loss } from '#core/exchange/loss.ts';
import type { TextFault } from '#core/exchange/text-row.ts';
import type { SnapshotFile } from '#wire/snapshot-file.ts';
import { CliError, codeOf } from './errors.ts';

/** A cluster out of a file, with what a person should know before trusting it. */
export interface ClusterFile {
  readonly path: string;
  readonly kind: 'snapshot' | 'hbal';
  readonly snapshot: SnapshotFile;
  /** In the order of `snapshot.hosts`. */
  readonly loads: readonly HostLoadLine[];
  /** What the other format knows and a snapshot does not, or the other way round. */
  readonly lost: readonly string[];
  /** What cannot be true of a cluster at rest. */
  readonly unsound: readonly string[];
}

export interface HostLoadLine {
  readonly cpuPercent: number;
  readonly memoryPercent: number;
  /** Over the start line of these. */
  readonly over: readonly ('CPU' | 'memory')[];
  readonly vms: number;
}

export interface HbalFiles {
  readonly dataPath: string;
  readonly utilPath: string;
  readonly lost: readonly string[];
}

const fileBytesMax = 256 * 1024 * 1024;
const dataEnding = '.data';
const utilEnding = '.util';

/**
 * Reads either kind. `utilPath`: hbal's utilisation; null takes the file beside FILE.data that is called FILE.util, if there is one.
 * Throws `input-invalid` with file, line and column of what cannot be read, `version-unsupported` for a snapshot of another version.
 */
export async function readClusterFile(path: string, utilPath: string | null): Promise<ClusterFile> {
  const text = await readText(path);
  if (isSnapshot(text)) {
    if (utilPath !== null) throw new CliError('usage', `${path} is a snapshot, which needs no utilisation file: leave out --util`);
    const { parseSnapshotFile } = await import('#wire/snapshot-file.ts');
    return clusterFile(path, 'snapshot', parseSnapshotFile(jsonOf(text, path), path), []);
  }
  return readHbal(path, text, utilPath ?? (await utilBeside(path)));
}

/** Writes a snapshot for hbal as `STEM.data` and `STEM.util`. Throws `file-exists` and `file-unwritable`. */
export async function writeHbalFiles({ snapshot }: ClusterFile, stem: string, isForced: boolean): Promise<HbalFiles> {
  const { hbalOfSnapshot } = await import('#core/exchange/hbal-export.ts');
  const { writeHbalCluster, writeHbalUtilisation } = await import('#core/exchange/hbal-writer.ts');
  const { cluster, uses, lost } = hbalOfSnapshot(snapshot);
  const base = stem.endsWith(dataEnding) ? stem.slice(0, -dataEnding.length) : stem;
  const files: HbalFiles = { dataPath: `${base}${dataEnding}`, utilPath: `${base}${utilEnding}`, lost: sentencesOf(lost) };
  await writeNew(files.dataPath, writeHbalCluster(cluster), isForced);
  await writeNew(files.utilPath, writeHbalUtilisation(uses), isForced);
  return files;
}

/** Writes a file that is not there yet, or any when forced; only its owner may read it. Throws `file-exists` and `file-unwritable`. */
export async function writeNew(path: string, text: string, isForced: boolean): Promise<void> {
  try {
    await writeFile(path, text, { flag: isForced ? 'w' : 'wx', mode: 0o600 });
  } catch (cause) {
    const code = codeOf(cause);
    if (code === 'EEXIST') throw new CliError('file-exists', `${path} is there already: name another file, or add --force`, { cause });
    throw new CliError('file-unwritable', `${path} cannot be written (${code}): name a file in a folder that you may write to`, { cause });
  }
}

/** A cluster as hbal has it, out of a file of either kind. `uses` is null where nothing says what instances use. */
export interface HbalInput {
  readonly cluster: HbalCluster;
  readonly uses: readonly HbalUse[] | null;
  readonly lost: readonly string[];
}

/** As `readClusterFile`, for whoever works with what hbal knows. */
export async function readHbalInput(path: string, utilPath: string | null): Promise<HbalInput> {
  const text = await readText(path);
  if (!isSnapshot(text)) return { ...(await hbalIn(path, text, utilPath ?? (await utilBeside(path)))), lost: [] };
  const { snapshot } = await readClusterFile(path, utilPath);
  const { hbalOfSnapshot } = await import('#core/exchange/hbal-export.ts');
  const { cluster, uses, lost } = hbalOfSnapshot(snapshot);
  return { cluster, uses, lost: sentencesOf(lost) };
}

function isSnapshot(text: string): boolean {
  return /^\s*\{/.test(text);
}

async function hbalIn(path: string, text: string, utilPath: string | null): Promise<Pick<HbalInput, 'cluster' | 'uses'>> {
  const { readHbalCluster, readHbalUtilisation } = await import('#core/exchange/hbal-reader.ts');
  const cluster = readHbalCluster(text);
  if (!cluster.ok) throw unreadable(path, cluster.faults);
  const uses = utilPath === null ? null : readHbalUtilisation(await readText(utilPath));
  if (uses?.ok === false) throw unreadable(utilPath ?? path, uses.faults);
  return { cluster: cluster.cluster, uses: uses?.uses ?? null };
}

async function readHbal(path: string, text: string, utilPath: string | null): Promise<ClusterFile> {
  const { snapshotOfHbal } = await import('#core/exchange/hbal-import.ts');
  const { snapshotFileOf } = await import('#wire/snapshot-file.ts');
  const { cluster, uses } = await hbalIn(path, text, utilPath);
  const { mtimeMs } = await stat(path);
  const result = snapshotOfHbal(cluster, uses, { takenAtMs: Math.max(0, Math.floor(mtimeMs)) });
  if (!result.ok) throw new CliError('input-invalid', `${path}: ${result.message}`);
  return clusterFile(path, 'hbal', snapshotFileOf(result.snapshot, null), sentencesOf(result.lost));
}

async function clusterFile(path: string, kind: ClusterFile['kind'], snapshot: SnapshotFile, lost: readonly string[]): Promise<ClusterFile> {
  const { unsoundIn } = await import('#wire/snapshot-file.ts');
  const { loadOf, startLimit } = await import('#core/planner/line.ts');
  const limit = startLimit(snapshot.policy);
  const vms = Map.groupBy(snapshot.vms, ({ hostId }) => hostId);
  const loads = snapshot.hosts.map((host): HostLoadLine => {
    const load = loadOf(host);
    const cpu = load.cpuPercent > limit.cpuPercent ? ['CPU' as const] : [];
    const memory = load.memoryPercent > limit.memoryPercent ? ['memory' as const] : [];
    return { ...load, over: [...cpu, ...memory], vms: vms.get(host.hostId)?.length ?? 0 };
  });
  return { path, kind, snapshot, loads, lost, unsound: unsoundIn(snapshot).map(({ message }) => message) };
}

async function utilBeside(path: string): Promise<string | null> {
  if (!path.endsWith(dataEnding)) return null;
  const beside = `${path.slice(0, -dataEnding.length)}${utilEnding}`;
  return stat(beside).then(
    () => beside,
    () => null,
  );
}

async function readText(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > fileBytesMax) throw new CliError('input-invalid', `${path} is larger than ${fileBytesMax} bytes: it holds no cluster`);
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    throw new CliError('input-invalid', `${path} cannot be read (${codeOf(cause)}): name a file that is there`, { cause });
  }
}

function jsonOf(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CliError('input-invalid', `${path} begins like a snapshot but is not JSON: ${why}`, { cause });
  }
}

function unreadable(path: string, faults: readonly TextFault[]): CliError {
  const lines = faults.map(({ line, column, message }) => `${path}:${line}:${column}: ${message}`);
  return new CliError('input-invalid', `${path} is neither a snapshot nor a file of hbal that can be read:\n${lines.join('\n')}`);
}

function sentencesOf(lost: readonly Loss[]): readonly string[] {
  return lost.map(({ message }) => message);
}
