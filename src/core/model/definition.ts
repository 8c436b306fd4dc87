import type { HostId } from './host.ts';
import type { RefusalCode } from './result.ts';
import type { Bytes } from './units.ts';
import type { VmId } from './vm.ts';

export interface VmInterface {
  /** Such as `bridge`, `network`, `direct`, `hostdev`, `user`. A bridge that came from a libvirt network is a `network`: that is what moves. */
  readonly kind: string;
  /** Name of the bridge, network or network card; null where the kind has none. */
  readonly source: string | null;
  /** Lower case with colons. */
  readonly mac: string;
}

export interface VmDisk {
  /** Such as `vda`. */
  readonly target: string;
  /** `disk`, `cdrom`, `floppy`, `lun`; left out: `disk`. */
  readonly device?: string;
  /** `optional` or `requisite`: the VM may arrive without the medium. `mandatory`, null or left out: it may not. */
  readonly startupPolicy?: string | null;
  /** `file`, `block`, `network`, `volume`, ... as libvirt calls it. */
  readonly kind: string;
  /** Path, or protocol and name such as `iscsi:iqn.2026-01.example:vm/1`; null for an empty drive. */
  readonly source: string | null;
  readonly readOnly: boolean;
  readonly shareable: boolean;
  /** Such as `none`, `writeback`; null: the hypervisor's default. */
  readonly cache: string | null;
}

/** A lock that libvirt's lock manager holds while the VM runs. */
export interface VmLease {
  readonly lockspace: string;
  readonly key: string;
  readonly path: string;
}

/** What of a VM's definition decides where it can run. */
export interface VmDefinition {
  readonly vmId: VmId;
  readonly name: string;
  /** `kvm`, `qemu` (emulated), `xen`, ... */
  readonly type: string;
  /** Such as `x86_64`. */
  readonly architecture: string;
  /** As the running VM has it, such as `pc-q35-7.2`. */
  readonly machine: string | null;
  readonly emulator: string | null;
  readonly vcpus: number;
  readonly memoryBytes: Bytes;
  /** `custom`, `host-model`, `host-passthrough`, `maximum`; null: the hypervisor's default. */
  readonly cpuMode: string | null;
  readonly cpuModel: string | null;
  readonly interfaces: readonly VmInterface[];
  readonly disks: readonly VmDisk[];
  readonly leases: readonly VmLease[];
  /** Devices of the host that are given to the VM, and others that cannot leave it: one sentence each, such as `PCI device 0000:01:00.0`. */
  readonly hostOnly: readonly string[];
  /** Files beside the disks that the emulator opens when it starts, such as firmware and kernel: the destination needs them too. */
  readonly files?: readonly string[];
  readonly persistent: boolean;
}

/** One disk, as the destination finds it. Null where it cannot be looked at from there. */
export interface DiskReach {
  readonly target: string;
  readonly reachable: boolean | null;
  readonly why: string | null;
}

/** What a host offers, as far as a VM that comes to it is concerned. */
export interface HostOffer {
  readonly hostId: HostId;
  /** 1,000,000 * major + 1,000 * minor + release. */
  readonly libvirtVersion: number;
  readonly qemuVersion: number;
  /** Machine types that the emulator knows, aliases included; empty: not known. */
  readonly machines: readonly string[];
  /** Whether its processor can run the VM's. `unknown`: the hypervisor does not compare. */
  readonly cpu: 'identical' | 'superset' | 'incompatible' | 'unknown';
  readonly cpuDetail: string | null;
  readonly emulatorPresent: boolean | null;
  /** Names of bridges, of active libvirt networks and, where the host tells them, of network cards. */
  readonly networks: readonly string[];
  readonly disks: readonly DiskReach[];
  /** Leases whose lockspace or file is not there. */
  readonly leasesMissing: readonly string[];
  /** Those of the definition's `files` that are not there; left out: not looked at. */
  readonly filesMissing?: readonly string[];
  readonly memoryFreeBytes: Bytes | null;
  /** State of what it has of this VM already, as `VmState` names it; null: nothing. */
  readonly ownCopy: string | null;
}

export const checkNames = [
  'host',
  'certificate',
  'clock',
  'channel',
  'vm-state',
  'other-job',
  'versions',
  'method',
  'cpu',
  'machine',
  'memory',
  'devices',
  'networks',
  'disks',
  'locks',
  'copy',
  'rules',
  'cool-down',
  'downtime',
] as const;
export type CheckName = (typeof checkNames)[number];

/** `warn`: the VM may go, and the operator should know. `unknown`: it could not be looked at, which alone refuses nothing. */
export type CheckVerdict = 'pass' | 'warn' | 'refuse' | 'unknown';

/** One line of "why can this VM not go there". */
export interface Finding {
  readonly check: CheckName;
  readonly verdict: CheckVerdict;
  /** Only of a refusal. */
  readonly code: RefusalCode | null;
  /** For the operator: what was found, and with a refusal what to do. */
  readonly sentence: string;
}

/** All checks of one VM against one host. */
export interface CheckRow {
  readonly hostId: HostId;
  readonly possible: boolean;
  readonly findings: readonly Finding[];
}
