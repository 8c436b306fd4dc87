import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { INFRASTRUCTURE_GROUP, createGroups, findCgroupRoots } from '#lab/cgroup.ts';
import { removeLab, sweepLab } from '#lab/down.ts';
import { LabError } from '#lab/errors.ts';
import { ensureGuestImage } from '#lab/guest/image.ts';
import { startGuests } from '#lab/guests.ts';
import { LAB_INIT, layoutOf } from '#lab/layout.ts';
import type { Layout } from '#lab/layout.ts';
import { bootMachine } from '#lab/machine.ts';
import { infrastructureMachine } from '#lab/machines.ts';
import { ensureNative } from '#lab/native.ts';
import { startController } from '#lab/plimsoll.ts';
import { checkPrerequisites } from '#lab/prerequisites.ts';
import { writeRecord } from '#lab/record.ts';
import type { HostRecord, LabRecord } from '#lab/record.ts';
import { allOf, startClient, takeName } from '#lab/up.ts';
import type { UpControl } from '#lab/up.ts';
import { waitFor } from '#lab/wait.ts';
import { nestedGuestDefinition } from './definition.ts';
import { startEmulator } from './emulator.ts';
import { joinVmHost, prepareHost, startHostDaemons, startVmAgent } from './host-setup.ts';
import { buildVmNetwork } from './network.ts';
import { checkVmOptions } from './options.ts';
import type { VmLabOptions } from './options.ts';
import { CONTROL_FIRST_PORT, HOST_SOCKETS, controlAddress, outerSocket, protectedAddress6, underlayAddress6 } from './paths.ts';
import { ensureProgramsImage, makeSourceImage } from './program-images.ts';
import { ensureRootImage } from './root-image.ts';
import { VmLab } from './vm-lab.ts';
import type { VmHost } from './vm-host.ts';
import { keepWarm } from './warm-cache.ts';

/** Infrastructure of a namespace lab that this one has too; its guests have no disks, so there is no storage. */
const MACHINES = ['switch', 'client', 'ctl'] as const;
const BOOT_MS_MAX = 180_000;

/** What the steps of one `up` share. */
interface Building {
  readonly layout: Layout;
  readonly record: LabRecord;
  /** The hosts with their addresses of IP version 4. */
  readonly v4: readonly HostRecord[];
  readonly lab: VmLab;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal | undefined;
}

function withVersion6(layout: Layout, hosts: readonly HostRecord[]): HostRecord[] {
  return hosts.map(({ name }, i) => ({ name, underlay: underlayAddress6(layout, i + 1), protected: protectedAddress6(layout, i + 1) }));
}

async function bootInfrastructure({ layout, record, signal }: Building): Promise<void> {
  const roots = await findCgroupRoots();
  await mkdir(join(layout.runDirectory, 'log'), { recursive: true });
  await createGroups(roots, layout, INFRASTRUCTURE_GROUP, undefined);
  for (const name of MACHINES) await bootMachine(infrastructureMachine(roots, layout, name).spec, signal);
  for (const host of record.hosts) {
    for (const socket of HOST_SOCKETS) await mkdir(dirname(outerSocket(layout, host.name, socket)), { recursive: true });
  }
}

/** Boots a host, opens the way to its sockets, and returns when it runs commands. */
async function bootHost(b: Building, host: VmHost): Promise<void> {
  const { layout, record, signal } = b;
  const onSwitch = infrastructureMachine(await findCgroupRoots(), layout, 'switch');
  const pairs = HOST_SOCKETS.flatMap((socket, i) => [
    `unix:${outerSocket(layout, host.name, socket)}`,
    `tcp:${controlAddress(host.number)}:${CONTROL_FIRST_PORT + i}`,
  ]);
  const log = join(layout.runDirectory, 'log', `${host.name}.relay.log`);
  await onSwitch.startService({ name: `relay-${host.name}`, argv: [LAB_INIT, 'relay', ...pairs], restart: 'always', log });
  const startedMs = performance.now();
  await startEmulator(layout, onSwitch, host.name, host.number, record.options.memoryPerHostMib);
  const answers = async (): Promise<boolean> =>
    host.exec(['true'], { timeoutMs: 1000 }).then(
      ({ code }) => code === 0,
      () => false,
    );
  await waitFor(answers, { what: `${host.name} to boot`, timeoutMs: BOOT_MS_MAX, intervalMs: 100, signal });
  b.log(`${host.name} answers after ${seconds(startedMs)}`);
}

const seconds = (sinceMs: number): string => `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;

async function build(b: Building): Promise<void> {
  const { layout, record, lab, signal, log } = b;
  const startedMs = performance.now();
  await buildVmNetwork(layout, b.v4, record.options, signal);
  await bootInfrastructure(b);
  await makeSourceImage(layout, signal);
  const client = startClient(infrastructureMachine(await findCgroupRoots(), layout, 'client'), layout, signal);
  const controller = startController(layout, record, lab.ctl, signal);
  const hosts = allOf(
    lab.hosts.map(async (host, i) => {
      await bootHost(b, host);
      const v4 = b.v4[i];
      if (v4 !== undefined) await prepareHost(layout, record, v4, host, signal);
    }),
  );
  await allOf([client, controller, hosts]);
  log(`hosts and controller stand after ${seconds(startedMs)}`);
  await allOf(
    lab.hosts.map(async (host) => {
      await joinVmHost(layout, record, host, signal);
      await startHostDaemons(host, signal);
      await startVmAgent(host);
    }),
  );
  log(`joined; libvirtd and charon answer on every host after ${seconds(startedMs)}`);
  await startGuests(layout, record, log, signal, nestedGuestDefinition);
  log(`up after ${seconds(startedMs)}`);
}

/** Builds what all labs of virtual machines share and keep in the checkout's cache. */
async function ensureImages(log: (line: string) => void, signal: AbortSignal | undefined): Promise<void> {
  await ensureNative({ log, signal });
  await ensureGuestImage({ log, signal });
  await ensureRootImage({ log, signal });
  await ensureProgramsImage({ log, signal });
}

/**
 * Builds a lab of virtual machines; it stands until it is taken down. When a step fails or `signal` aborts, nothing is left.
 * @throws LabError with a stable code and what to do.
 */
export async function vmLabUp(given: Partial<VmLabOptions>, control: UpControl = {}): Promise<VmLab> {
  const log = control.log ?? ((): void => undefined);
  const { signal } = control;
  const options = checkVmOptions(given);
  await checkPrerequisites([
    ['mmdebstrap', 'mmdebstrap'],
    ['mke2fs', 'e2fsprogs'],
  ]);
  await ensureImages(log, signal);
  const claimed = await takeName(options, control.stays === true, log);
  const layout = layoutOf(claimed.name, claimed.index);
  const record: LabRecord = options.ipVersion === 6 ? { ...claimed, hosts: withVersion6(layout, claimed.hosts) } : claimed;
  try {
    await sweepLab(record.name);
    const ready: LabRecord = { ...record, state: 'ready' };
    const lab = new VmLab(await findCgroupRoots(), ready);
    await build({ layout, record, v4: claimed.hosts, lab, log, signal });
    const [first] = lab.hosts;
    if (first !== undefined) await keepWarm(first, signal);
    await writeRecord(ready);
    return lab;
  } catch (error) {
    if (control.keepFailed === true && signal?.aborted !== true) {
      log(`left as it is: logs below ${layout.runDirectory}`);
      throw error;
    }
    await removeLab(record.name);
    if (signal?.aborted === true)
      throw new LabError('lab-aborted', `the start of lab '${record.name}' was cancelled; nothing of it is left`, error);
    throw error;
  }
}
