import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LabError } from './errors.ts';
import { GUEST_LAST_BASE, LABS_MAX, RUN_ROOT, guestNetAddress, layoutOf, protectedAddress, recordPath, underlayAddress } from './layout.ts';
import type { Layout } from './layout.ts';
import { guestNames, hostNames } from './options.ts';
import type { LabOptions } from './options.ts';
import { isAlive, ownIdentity } from './process.ts';
import type { ProcessIdentity } from './process.ts';

export interface HostRecord {
  readonly name: string;
  readonly underlay: string;
  readonly protected: string;
}

export interface GuestRecord {
  readonly name: string;
  readonly uuid: string;
  readonly address: string;
  /** The secret that fills the guest's memory: seen on the wire, the memory was readable there. */
  readonly marker: string;
  readonly firstHost: string;
}

/** Who a lab belongs to. */
interface Holder {
  /** Who builds it. While that lives the name is taken; when it died before 'ready', what it left is garbage. */
  readonly owner: ProcessIdentity;
  /** Whether it outlives its owner once it is ready; otherwise what a dead owner left is garbage then too. */
  readonly stays: boolean;
}

/** lab.json: what a later process needs to find and use the lab. */
export interface LabRecord extends Holder {
  readonly version: 1;
  readonly name: string;
  readonly index: number;
  readonly state: 'starting' | 'ready';
  readonly options: LabOptions;
  readonly hosts: readonly HostRecord[];
  readonly guests: readonly GuestRecord[];
}

/** RFC 9562 version 8: the same lab and guest name give the same id on every run. */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-');
}

export const hostUuid = (lab: Layout, host: string): string => uuidOf(`host/${lab.name}/${host}`);

export function newRecord(options: LabOptions, index: number, { owner, stays }: Holder): LabRecord {
  const lab = layoutOf(options.name, index);
  const hosts = hostNames(options.hosts).map((name, i) => ({
    name,
    underlay: underlayAddress(lab, i + 1),
    protected: protectedAddress(lab, i + 1),
  }));
  const guests = guestNames(options.guests).map((name, i) => ({
    name,
    uuid: uuidOf(`guest/${lab.name}/${name}`),
    address: guestNetAddress(lab, GUEST_LAST_BASE + i + 1),
    marker: `marker-${name}-${randomBytes(20).toString('hex')}`,
    firstHost: options.placement[name] ?? hosts[i % hosts.length]?.name ?? '',
  }));
  return { version: 1, name: options.name, index, state: 'starting', owner, stays, options, hosts, guests };
}

export async function readRecord(name: string): Promise<LabRecord | undefined> {
  try {
    return JSON.parse(await readFile(recordPath(name), 'utf8')) as LabRecord;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new LabError('lab-unknown', `${recordPath(name)} cannot be read: run 'plimsoll lab down --name ${name}'`, cause);
  }
}

export async function writeRecord(record: LabRecord): Promise<void> {
  const path = recordPath(record.name);
  await writeFile(`${path}.new`, JSON.stringify(record, null, 2), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** Names of all labs on this machine, also of half-built and crashed ones. */
export async function labNames(): Promise<string[]> {
  const entries = await readdir(RUN_ROOT, { withFileTypes: true }).catch(() => []);
  return entries.filter((e) => e.isDirectory()).map((e) => e.name);
}

const indexLink = (index: number): string => join(RUN_ROOT, `.index-${index}`);

/** An index is held by a symbolic link (created atomically) that names lab and process: "NAME:PID:START". */
async function claimIndex(name: string, owner: ProcessIdentity): Promise<number> {
  const target = `${name}:${owner.pid}:${owner.startTicks}`;
  await mkdir(RUN_ROOT, { recursive: true });
  for (let index = 0; index < LABS_MAX; index++) {
    await dropStaleIndex(index);
    const taken = await symlink(target, indexLink(index)).then(
      () => false,
      () => true,
    );
    if (!taken) return index;
  }
  throw new LabError('lab-full', `all ${LABS_MAX} labs of this machine are in use: run 'plimsoll lab down --all'`);
}

async function dropStaleIndex(index: number): Promise<void> {
  const holder = await readlink(indexLink(index)).catch(() => undefined);
  if (holder === undefined) return;
  const [name = '', pid = '', startTicks = ''] = holder.split(':');
  const inUse = (await readRecord(name).catch(() => undefined))?.index === index;
  if (!inUse && !(await isAlive({ pid: Number(pid), startTicks }))) await rm(indexLink(index), { force: true });
}

/** Who has a name: nobody, a lab that is up, an `up` that lives, or one that died; so did one whose lab was not to outlive it. */
export async function holderOf(name: string): Promise<'nobody' | 'ready' | 'starting' | 'crashed'> {
  const record = await readRecord(name).catch(() => undefined);
  if (record?.state === 'ready' && record.stays) return 'ready';
  if (record !== undefined) return (await isAlive(record.owner)) ? record.state : 'crashed';
  if (!(await labNames()).includes(name)) return 'nobody';
  // The folder without its record: its maker is between the two, or died there.
  for (let index = 0; index < LABS_MAX; index++) {
    const [holder, pid, startTicks = ''] = (await readlink(indexLink(index)).catch(() => '')).split(':');
    if (holder === name && (await isAlive({ pid: Number(pid), startTicks }))) return 'starting';
  }
  return 'crashed';
}

export async function releaseIndex(name: string): Promise<void> {
  for (let index = 0; index < LABS_MAX; index++) {
    const holder = await readlink(indexLink(index)).catch(() => undefined);
    if (holder?.startsWith(`${name}:`) === true) await rm(indexLink(index), { force: true });
  }
}

/**
 * Takes name and index for this process.
 * @throws LabError `lab-name-in-use` when another process took the name in between.
 */
export async function claim(options: LabOptions, stays: boolean): Promise<LabRecord> {
  const owner = await ownIdentity();
  const record = newRecord(options, await claimIndex(options.name, owner), { owner, stays });
  const lab = layoutOf(record.name, record.index);
  try {
    await mkdir(lab.runDirectory);
  } catch (cause) {
    await rm(indexLink(record.index), { force: true });
    throw new LabError('lab-name-in-use', `lab '${record.name}' is being started by another process: choose another --name`, cause);
  }
  await writeRecord(record);
  return record;
}
