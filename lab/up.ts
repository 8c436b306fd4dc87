import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { INFRASTRUCTURE_GROUP, createGroups, findCgroupRoots } from './cgroup.ts';
import type { CgroupRoots } from './cgroup.ts';
import { makeCertificates } from './certificates.ts';
import { startDaemons } from './daemons.ts';
import { removeLab, sweepLab } from './down.ts';
import { LabError } from './errors.ts';
import { ensureGuestImage } from './guest/image.ts';
import { prepareLeases, startGuests } from './guests.ts';
import { writeHostFiles } from './host-files.ts';
import { CHECKOUT, INFRASTRUCTURE, NODE, clientSocket, layoutOf } from './layout.ts';
import type { Layout } from './layout.ts';
import { Lab } from './lab.ts';
import { bootMachine } from './machine.ts';
import type { Machine } from './machine.ts';
import { hostMachine, infrastructureMachine } from './machines.ts';
import { ensureNative } from './native.ts';
import { buildNetwork } from './network.ts';
import { checkOptions, coresOf } from './options.ts';
import type { LabOptions } from './options.ts';
import { joinHost, startAgent, startController } from './plimsoll.ts';
import { checkPrerequisites } from './prerequisites.ts';
import { claim, holderOf, writeRecord } from './record.ts';
import type { LabRecord } from './record.ts';
import { startStorage } from './storage.ts';
import { accepts, waitFor } from './wait.ts';

export interface UpControl {
  readonly signal?: AbortSignal | undefined;
  /** One line of progress. */
  readonly log?: (line: string) => void;
  /** Leave a lab whose start failed as it is, to look at its logs; the next start of that name removes it. */
  readonly keepFailed?: boolean;
  /** The lab outlives this process. Otherwise the next start of that name removes what this process leaves when it is killed. */
  readonly stays?: boolean;
}

/** What the steps of one `up` share. */
interface Building {
  readonly roots: CgroupRoots;
  readonly lab: Layout;
  readonly record: LabRecord;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal | undefined;
}

/** Takes the name, or says who has it. What a crashed `up` of that name left is removed first. */
export async function takeName(options: LabOptions, stays: boolean, log: (line: string) => void): Promise<LabRecord> {
  const { name } = options;
  const holder = await holderOf(name);
  if (holder === 'ready') {
    throw new LabError('lab-name-in-use', `lab '${name}' is up: run 'plimsoll lab down --name ${name}' or choose another --name`);
  }
  if (holder === 'starting') {
    throw new LabError('lab-name-in-use', `lab '${name}' is being started by another process: wait for it or choose another --name`);
  }
  if (holder === 'crashed') {
    log(`removing what a process that was killed left of lab '${name}'`);
    await removeLab(name);
  }
  return claim(options, stays);
}

async function bootMachines(b: Building): Promise<void> {
  const { roots, lab, record, signal } = b;
  for (const folder of ['log', 'hosts']) await mkdir(join(lab.runDirectory, folder), { recursive: true });
  await mkdir(lab.dataDirectory, { recursive: true });
  await prepareLeases(lab, record.guests);
  await createGroups(roots, lab, INFRASTRUCTURE_GROUP, undefined);
  for (const name of INFRASTRUCTURE) await bootMachine(infrastructureMachine(roots, lab, name).spec, signal);
  for (const host of record.hosts) {
    await createGroups(roots, lab, host.name, coresOf(record.options, host.name));
    await writeHostFiles(lab, record, host);
    await bootMachine(hostMachine(roots, lab, host.name).spec, signal);
  }
}

/** Starts the outside client, which hears and steers the guests. */
export async function startClient(client: Machine, lab: Layout, signal?: AbortSignal): Promise<void> {
  await client.startService({
    name: 'client',
    argv: [NODE, join(CHECKOUT, 'lab/client/main.ts'), clientSocket(lab)],
    restart: 'always',
    log: join(lab.runDirectory, 'log', 'client.log'),
  });
  await waitFor(() => accepts(clientSocket(lab)), { what: "the lab's client", timeoutMs: 20_000, signal });
}

const machinesOf = (b: Building): Machine[] => b.record.hosts.map((h) => hostMachine(b.roots, b.lab, h.name));

async function giveIdentities(b: Building): Promise<void> {
  if (!b.record.options.plimsoll) {
    await makeCertificates(b.lab, b.record, b.signal);
    return;
  }
  await startController(b.lab, b.record, infrastructureMachine(b.roots, b.lab, 'ctl'), b.signal);
  b.log('controller is up');
  await allOf(b.record.hosts.map((host) => joinHost(b.roots, b.lab, b.record, host, hostMachine(b.roots, b.lab, host.name), b.signal)));
  b.log(`${b.record.hosts.length} hosts joined`);
}

async function build(b: Building): Promise<void> {
  const { lab, record, signal, log } = b;
  await buildNetwork(lab, record.hosts, record.options, signal);
  await bootMachines(b);
  log(`network and ${record.hosts.length} hosts stand`);
  const storage = startStorage(lab, infrastructureMachine(b.roots, lab, 'storage'), record.guests, signal);
  const client = startClient(infrastructureMachine(b.roots, lab, 'client'), lab, signal);
  await allOf([storage, client, giveIdentities(b)]);
  await allOf(machinesOf(b).map((machine) => startDaemons(lab, machine, signal)));
  log('libvirtd and charon answer on every host');
  if (record.options.plimsoll) await allOf(machinesOf(b).map((machine) => startAgent(machine)));
  await startGuests(lab, record, log, signal);
}

/** Waits for all, also after a failure: nothing of a step may still run when the lab is taken away. */
export async function allOf(steps: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(steps)).find((r) => r.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/**
 * Builds a lab; it stands until it is taken down. When a step fails or `signal` aborts, nothing is left.
 * @throws LabError with a stable code and what to do.
 */
export async function labUp(given: Partial<LabOptions>, control: UpControl = {}): Promise<Lab> {
  const log = control.log ?? ((): void => undefined);
  const { signal } = control;
  const options = checkOptions(given);
  await checkPrerequisites();
  await ensureNative({ log, signal });
  await ensureGuestImage({ log, signal });
  const record = await takeName(options, control.stays === true, log);
  const b: Building = { roots: await findCgroupRoots(), lab: layoutOf(record.name, record.index), record, log, signal };
  try {
    await sweepLab(record.name);
    await build(b);
    const ready: LabRecord = { ...record, state: 'ready' };
    await writeRecord(ready);
    return new Lab(b.roots, ready);
  } catch (error) {
    if (control.keepFailed === true && signal?.aborted !== true) {
      log(`left as it is: logs below ${b.lab.runDirectory}`);
      throw error;
    }
    log(`taking down the half-built lab '${record.name}'`);
    await removeLab(record.name);
    if (signal?.aborted === true)
      throw new LabError('lab-aborted', `the start of lab '${record.name}' was cancelled; nothing of it is left`, error);
    throw error;
  }
}
