import type { DiskReach, HostOffer, VmDefinition, VmDisk, VmLease } from '#core/model/definition.ts';

import type { LibvirtClient, Wait } from './client.ts';
import { at, attribute, child, childrenOf, childText } from './definition-query.ts';
import { readTree, type Element } from './definition-tree.ts';
import { LibvirtError } from './errors.ts';
import { compareCpuFlag, cpuComparison, networkListFlag } from './flags.ts';
import { leaseFile } from './lease-holders.ts';
import type { EmulatorChoice } from './procedures.ts';
import type { Surroundings } from './surroundings.ts';

export type DriverOffer = Omit<HostOffer, 'hostId' | 'memoryFreeBytes' | 'ownCopy'>;
type SignalWait = Wait & { readonly signal: AbortSignal };

/** Well-known ports of libvirt's network disks (formatdomain, disk source). */
const defaultPorts: Readonly<Record<string, number>> = {
  iscsi: 3260,
  nbd: 10_809,
  rbd: 6789,
  gluster: 24_007,
  http: 80,
  https: 443,
  ftp: 21,
  ftps: 990,
  tftp: 69,
  ssh: 22,
};
/** Of one disk: a cluster names a handful of monitors. */
const hostsMax = 16;

/** What this host offers a VM: everything that libvirt or a look around can tell without starting it. */
export async function offerOf(
  client: LibvirtClient,
  surroundings: Surroundings,
  vm: { readonly definition: VmDefinition; readonly text: string },
  wait: SignalWait,
): Promise<DriverOffer> {
  const { definition } = vm;
  const domain = readTree(vm.text, 'domain');
  const choice: EmulatorChoice = {
    emulator: definition.emulator,
    architecture: definition.architecture === '' ? null : definition.architecture,
    machine: definition.machine,
    type: definition.type,
  };
  const emulatorFault = definition.emulator === null ? null : await surroundings.pathFault(definition.emulator, 'execute');
  return {
    libvirtVersion: Number(await client.libVersion(wait)),
    qemuVersion: Number(await client.version(wait)),
    emulatorPresent: definition.emulator === null ? null : emulatorFault === null,
    machines: emulatorFault === null ? await machinesOf(client, choice, wait) : [],
    ...(emulatorFault === null ? await cpuOf(client, choice, vm.text, wait) : { cpu: 'unknown' as const, cpuDetail: null }),
    networks: await networksOf(client, surroundings, definition, wait),
    disks: await Promise.all(definition.disks.map(async (disk) => reachOf(surroundings, disk, sourceOf(domain, disk), wait.signal))),
    leasesMissing: await missingLeases(surroundings, definition.leases),
    filesMissing: await missingFiles(surroundings, definition.files ?? []),
  };
}

/**
 * Domain capabilities are given for one machine type, under its name and that of its alias, and refused for one that the emulator does
 * not have; then the host's capabilities tell which there are.
 */
async function machinesOf(client: LibvirtClient, choice: EmulatorChoice, wait: Wait): Promise<readonly string[]> {
  try {
    // Of any kind: whether the host has KVM is told by the processor's comparison.
    const capabilities = readTree(await client.domainCapabilities({ ...choice, type: null }, wait), 'domainCapabilities');
    return unique([choice.machine, childText(capabilities, 'machine')]);
  } catch (error) {
    if (!isRefusal(error)) throw error;
  }
  const guests = childrenOf(readTree(await client.capabilities(wait), 'capabilities'), 'guest');
  const machines = guests
    .map((guest) => child(guest, 'arch'))
    .filter((arch) => choice.architecture === null || attribute(arch, 'name') === choice.architecture)
    .flatMap((arch) => [arch, ...childrenOf(arch, 'domain')].flatMap((element) => childrenOf(element, 'machine')))
    .flatMap((machine) => [machine.text, attribute(machine, 'canonical')]);
  return unique(machines).filter((machine) => machine !== choice.machine);
}

/**
 * virConnectCompareHypervisorCPU against what the hypervisor can give on this host. Asked with VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE
 * libvirt names the features that are missing. A mode that hands the host's own processor on has nothing to compare.
 */
async function cpuOf(
  client: LibvirtClient,
  choice: EmulatorChoice,
  text: string,
  wait: Wait,
): Promise<Pick<DriverOffer, 'cpu' | 'cpuDetail'>> {
  const cpuXml = cpuElement(text);
  if (cpuXml === null) return { cpu: 'unknown', cpuDetail: 'the definition names no processor' };
  const mode = attribute(readTree(cpuXml, 'cpu'), 'mode');
  if (mode === 'host-passthrough' || mode === 'maximum') return { cpu: 'unknown', cpuDetail: `libvirt compares nothing in mode ${mode}` };
  try {
    const result = await client.compareHypervisorCpu(choice, cpuXml, compareCpuFlag.failIncompatible, wait);
    if (result === cpuComparison.identical) return { cpu: 'identical', cpuDetail: null };
    if (result === cpuComparison.superset) return { cpu: 'superset', cpuDetail: null };
    return { cpu: result === cpuComparison.incompatible ? 'incompatible' : 'unknown', cpuDetail: null };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { cpu: error.code === 'cpu-incompatible' ? 'incompatible' : 'unknown', cpuDetail: error.server?.message ?? error.message };
  }
}

/** The domain's own `<cpu>` as libvirt wrote it; what others keep in `<metadata>` is not looked at. */
export function cpuElement(text: string): string | null {
  const plain = text.replace(/<metadata>[\s\S]*?<\/metadata>/u, '').replace(/<!--[\s\S]*?-->/gu, '');
  return /<cpu(?:\s[^>]*)?(?:\/>|>[\s\S]*?<\/cpu>)/u.exec(plain)?.[0] ?? null;
}

async function networksOf(
  client: LibvirtClient,
  surroundings: Surroundings,
  definition: VmDefinition,
  wait: Wait,
): Promise<readonly string[]> {
  const networks = await client.networkNames(networkListFlag.active, wait).catch((error: unknown) => {
    // A daemon without network driver has no networks.
    if (error instanceof LibvirtError && error.code === 'unsupported') return [];
    throw error;
  });
  // A card that a VM uses directly is asked for by name: hosts have many that no VM may use.
  const direct = definition.interfaces.filter(({ kind, source }) => kind === 'direct' && source !== null).map(({ source }) => source ?? '');
  const present = await Promise.all(direct.map(async (name) => surroundings.hasInterface(name)));
  return unique([...networks, ...(await surroundings.bridges()), ...direct.filter((_, index) => present[index] === true)]);
}

function sourceOf(domain: Element, { target }: VmDisk): Element | null {
  const disks = childrenOf(child(domain, 'devices'), 'disk');
  return at(disks.find((disk) => attribute(child(disk, 'target'), 'dev') === target) ?? null, 'source');
}

async function reachOf(surroundings: Surroundings, disk: VmDisk, source: Element | null, signal: AbortSignal): Promise<DiskReach> {
  const { target } = disk;
  if (disk.source === null) return { target, reachable: true, why: null };
  if (disk.kind === 'file' || disk.kind === 'block') {
    const fault = await surroundings.pathFault(disk.source, disk.readOnly ? 'read' : 'write');
    return { target, reachable: fault === null, why: fault === null ? null : `${disk.source}: ${fault}` };
  }
  if (disk.kind !== 'network')
    return { target, reachable: null, why: `a disk of type ${disk.kind} cannot be looked at from outside libvirt` };
  const places = placesOf(source);
  if (places.length === 0) return { target, reachable: null, why: 'the definition names no host and port to ask' };
  const faults = await Promise.all(places.map(async ({ host, port }) => surroundings.portFault(host, port, signal)));
  // One of several monitors is enough.
  if (faults.includes(null)) return { target, reachable: true, why: null };
  return { target, reachable: false, why: places.map(({ host, port }, index) => `${host} port ${port}: ${faults[index]}`).join('; ') };
}

function placesOf(source: Element | null): { readonly host: string; readonly port: number }[] {
  const defaultPort = defaultPorts[attribute(source, 'protocol') ?? ''];
  return childrenOf(source, 'host')
    .slice(0, hostsMax)
    .flatMap((element) => {
      const host = attribute(element, 'name');
      const port = Number(attribute(element, 'port') ?? defaultPort);
      return host === null || !Number.isInteger(port) || port < 1 || port > 65_535 ? [] : [{ host, port }];
    });
}

/** virtlockd keeps a lease as the file PATH/LOCKSPACE/KEY; sanlock as a place in the file PATH. */
async function missingLeases(surroundings: Surroundings, leases: readonly VmLease[]): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const lease of leases) {
    const { path } = lease;
    const file = leaseFile(lease);
    // A file is no folder: below one nothing is found.
    const isSanlock =
      (await surroundings.pathFault(`${path}/`, 'exist')) !== null && (await surroundings.pathFault(path, 'exist')) === null;
    if (!isSanlock && (await surroundings.pathFault(file, 'write')) !== null) missing.push(file);
  }
  return missing;
}

async function missingFiles(surroundings: Surroundings, files: readonly string[]): Promise<readonly string[]> {
  const faults = await Promise.all(files.map(async (file) => surroundings.pathFault(file, 'read')));
  return files.filter((_, index) => faults[index] !== null);
}

/** The daemon understood the question and says no; anything else is a failure to ask. */
function isRefusal(error: unknown): error is LibvirtError {
  return error instanceof LibvirtError && error.server !== null;
}

function unique(values: readonly (string | null)[]): readonly string[] {
  return [...new Set(values.filter((value) => value !== null && value !== ''))].filter((value) => value !== null);
}
