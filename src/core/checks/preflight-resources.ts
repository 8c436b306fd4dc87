import type { VmDefinition, VmInterface } from '#core/model/definition.ts';
import { memorySize } from '#core/planner/words.ts';
import { few, pass, refuse, unknown, warn, type Note } from './preflight-note.ts';
import type { Pair, PreflightInput } from './preflight-input.ts';

const mebibyte = 2 ** 20;

/**
 * Memory of the VM's process beyond the guest's: page tables (1/512 of the guest's memory), 8 MiB for each virtual CPU, and a fixed
 * part. The first two are those of the sizing rule of OpenShift Virtualization (virt-cluster-resource-requirements: 0.002 * memory
 * + 218 MiB + 8 MiB * vCPUs); its fixed part includes a container's launcher, so ours is smaller.
 */
export function processOverheadBytes({ memoryBytes, vcpus }: Pick<VmDefinition, 'memoryBytes' | 'vcpus'>): number {
  return Math.ceil(memoryBytes / 512) + 8 * mebibyte * vcpus + 128 * mebibyte;
}

export function judgeMemory({ input, definition, offer }: Pair): Note {
  const { hostId, incomingBytes } = input;
  const overheadBytes = processOverheadBytes(definition);
  const needBytes = definition.memoryBytes + overheadBytes + incomingBytes;
  const parts = [`${memorySize(definition.memoryBytes)} for the VM`, `${memorySize(overheadBytes)} for its process`];
  if (incomingBytes > 0) parts.push(`${memorySize(incomingBytes)} for VMs on their way there`);
  const need = `${memorySize(needBytes)} (${parts.join(', ')})`;
  if (offer.memoryFreeBytes === null) return unknown(`${hostId} has not told its free memory; needed are ${need}`);
  const free = `${memorySize(offer.memoryFreeBytes)} free`;
  if (offer.memoryFreeBytes >= needBytes) return pass(`${hostId} has ${free} of ${need} needed`);
  return refuse('no-memory', `${hostId} has ${free}, needed are ${need}: free memory there, or choose another host`);
}

/** Needs the definition only: what belongs to the source can go nowhere. */
export function judgeDevices({ definition, sourceHostId, hostId }: PreflightInput): Note {
  if (definition === null) return unknown(`the VM's definition on ${sourceHostId} could not be read, so its devices are not known`);
  if (definition.hostOnly.length === 0) return pass(`no device keeps the VM from leaving ${sourceHostId} for ${hostId}`);
  const devices = few(definition.hostOnly);
  return refuse('device-host-only', `the VM cannot leave ${sourceHostId} for ${hostId} with ${devices}: detach what is named first`);
}

export function judgeNetworks(pair: Pair): readonly Note[] {
  const { interfaces } = pair.definition;
  return interfaces.length === 0
    ? [pass(`the VM has no network interface that ${pair.input.hostId} must connect`)]
    : interfaces.map((nic) => judgeInterface(pair, nic));
}

function judgeInterface({ input, offer }: Pair, nic: VmInterface): Note {
  const { hostId } = input;
  const own = `interface ${nic.mac}`;
  const isThere = nic.source !== null && offer.networks.includes(nic.source);
  switch (nic.kind) {
    case 'bridge':
    case 'network': {
      const name = `${nic.kind} ${nic.source ?? 'without a name'}`;
      if (isThere) return pass(`${hostId} has ${name}`);
      return refuse('network-missing', `${hostId} has no active ${name}, which ${own} needs: create or start it there`);
    }
    case 'direct':
      if (isThere) return pass(`${hostId} has network card ${nic.source}`);
      return unknown(`${own} needs network card ${nic.source ?? 'without a name'}, and ${hostId} does not say that it has it`);
    case 'user':
      return warn(`${own} is the hypervisor's own user-mode network: its connections break when the VM starts on ${hostId}`);
    case 'hostdev':
      return pass(`${own} is a device of the host: it is among the devices that ${hostId} is asked for`);
    default:
      return unknown(`what ${own} (${nic.kind}) needs on ${hostId} cannot be looked at`);
  }
}
