/** What VMs and hosts are made of, as far as it decides where a VM can run. */
import type { HostOffer, VmDefinition } from '#core/model/definition.ts';
import { bytes } from '#core/model/units.ts';
import type { Guest } from './guest.ts';
import type { HostSpec } from './host.ts';

const machine = 'pc-q35-7.2';
const bridge = 'br0';

/** What a host of a scenario offers that says nothing about it: all that its VMs need. */
export const defaultOffer: Pick<HostSpec, 'machines' | 'cpu' | 'networks'> = {
  machines: [machine, 'pc-i440fx-7.2'],
  cpu: 'identical',
  networks: [bridge],
};

/** One disk on iSCSI storage under a lease, one interface on a bridge. */
export function definitionOf({ vmId, name, vcpus, memoryBytes, mac }: Guest): VmDefinition {
  return {
    vmId,
    name,
    type: 'kvm',
    architecture: 'x86_64',
    machine,
    emulator: '/usr/bin/qemu-system-x86_64',
    vcpus,
    memoryBytes: bytes(memoryBytes),
    cpuMode: 'custom',
    cpuModel: 'Skylake-Server',
    interfaces: [{ kind: 'bridge', source: bridge, mac }],
    disks: [
      {
        target: 'vda',
        kind: 'network',
        source: `iscsi:iqn.2026-01.invalid.storage:${name}/1`,
        readOnly: false,
        shareable: false,
        cache: 'none',
      },
    ],
    leases: [{ lockspace: 'locks', key: name, path: `/var/lib/libvirt/lockd/${name}` }],
    hostOnly: [],
    persistent: true,
  };
}

/** Every host reaches the storage. */
export function offerOf(spec: HostSpec, { disks }: VmDefinition): Omit<HostOffer, 'hostId' | 'memoryFreeBytes' | 'ownCopy'> {
  return {
    libvirtVersion: 9_000_000,
    qemuVersion: 7_002_022,
    machines: spec.machines,
    cpu: spec.cpu,
    cpuDetail: spec.cpu === 'incompatible' ? 'missing feature: avx512f' : null,
    emulatorPresent: true,
    networks: spec.networks,
    disks: disks.map(({ target }) => ({ target, reachable: true, why: null })),
    leasesMissing: [],
  };
}
