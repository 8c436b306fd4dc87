/** A VM that may go from h1 to h2, for tests, and ways to spoil it. */
import type { CheckName, CheckVerdict, HostOffer, VmDefinition, VmDisk } from '#core/model/definition.ts';
import type { Refusal, RefusalCode } from '#core/model/result.ts';
import { bytes } from '#core/model/units.ts';
import type { VmView } from '#core/model/vm.ts';
import type { PreflightInput } from './preflight-input.ts';

export const gibibyte = 2 ** 30;

export const iscsi: VmDisk = {
  target: 'vda',
  kind: 'network',
  source: 'iscsi:iqn.2026-01.example:web/1',
  readOnly: false,
  shareable: false,
  cache: 'none',
};
export const image: VmDisk = { ...iscsi, target: 'vdb', kind: 'file', source: '/nfs/web.qcow2' };
export const volume: VmDisk = { ...iscsi, target: 'vdb', kind: 'block', source: '/dev/san/web' };
export const medium: VmDisk = {
  ...iscsi,
  target: 'sda',
  device: 'cdrom',
  kind: 'file',
  source: '/iso/setup.iso',
  readOnly: true,
  cache: null,
};
const lease = { lockspace: 'locks', key: 'web', path: '/srv' };

const vm: VmView = {
  vmId: '6695eb01-f6a4-8304-79aa-97f2502e193f',
  name: 'web',
  state: 'running',
  vcpus: 2,
  memoryBytes: bytes(4 * gibibyte),
  persistent: true,
  jobActive: false,
  postCopy: null,
};
export const definition: VmDefinition = {
  vmId: vm.vmId,
  name: vm.name,
  type: 'kvm',
  architecture: 'x86_64',
  machine: 'pc-q35-7.2',
  emulator: '/usr/bin/qemu-system-x86_64',
  vcpus: 2,
  memoryBytes: bytes(4 * gibibyte),
  cpuMode: 'custom',
  cpuModel: 'EPYC',
  interfaces: [{ kind: 'bridge', source: 'br0', mac: '52:54:00:00:00:01' }],
  disks: [iscsi],
  leases: [lease],
  hostOnly: [],
  persistent: true,
};
export const offer: HostOffer = {
  hostId: 'h2',
  libvirtVersion: 9_000_000,
  qemuVersion: 7_002_022,
  machines: ['q35', 'pc-q35-7.2', 'pc-q35-6.2'],
  cpu: 'identical',
  cpuDetail: null,
  emulatorPresent: true,
  networks: ['br0', 'default'],
  disks: ['vda', 'vdb', 'sda'].map((target) => ({ target, reachable: true, why: null })),
  leasesMissing: [],
  memoryFreeBytes: bytes(16 * gibibyte),
  ownCopy: null,
};
export const fine: PreflightInput = {
  vm,
  sourceHostId: 'h1',
  hostId: 'h2',
  definition,
  offer,
  sourceVersions: { libvirtVersion: 9_000_000, qemuVersion: 7_002_022 },
  host: null,
  certificate: null,
  certificateLeftMs: 30 * 86_400_000,
  predictedTotalMsMax: 60_000,
  clock: null,
  channel: null,
  otherMigrationId: null,
  method: 'pre-copy',
  methodFault: null,
  incomingBytes: bytes(0),
  rules: [],
  coolDownLeftMs: 0,
  askedBy: 'operator',
  downtime: null,
};

export const defined = (more: Partial<VmDefinition>): Partial<PreflightInput> => ({ definition: { ...definition, ...more } });
export const offered = (more: Partial<HostOffer>): Partial<PreflightInput> => ({ offer: { ...offer, ...more } });
export const viewed = (more: Partial<VmView>): Partial<PreflightInput> => ({ vm: { ...vm, ...more } });
export const reached = (target: string, reachable: boolean | null, why: string | null = null): Partial<PreflightInput> =>
  offered({ disks: [{ target, reachable, why }] });
export const fault = (code: RefusalCode): Refusal => ({ code, message: 'something is in the way: mend it' });

export type Example = readonly [CheckName, CheckVerdict, RefusalCode | null, string, Partial<PreflightInput>];
