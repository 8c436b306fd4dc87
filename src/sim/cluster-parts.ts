/** What a cluster file says, as the parts of a world; and what a host is doing, in words. */
import { defaultOffer } from './definitions.ts';
import type { Guest } from './guest.ts';
import type { HostSpec, SimHost } from './host.ts';
import type { ClusterSpec } from './scenario.ts';

const gibibyte = 2 ** 30;
const mebibyte = 2 ** 20;
const hostsPerNet = 254;
const defaults = { linkMiBPerSecond: 50, dirtyMiBPerSecond: 4, workingSetMiB: 128 };

export function hostSpecOf([hostId, spec]: readonly [string, ClusterSpec['hosts'][string]], index: number): HostSpec {
  const suffix = `${Math.floor(index / hostsPerNet)}.${(index % hostsPerNet) + 1}`;
  return {
    hostId,
    addresses: { underlay: `10.0.${suffix}`, protected: `10.79.${suffix}`, interface: 'eth0' },
    cpuCores: spec.cpuCores,
    memoryBytes: spec.memoryGiB * gibibyte,
    ipsec: spec.ipsec ?? 'libipsec',
    mtuBytes: spec.mtuBytes ?? 1500,
    machines: spec.machines ?? defaultOffer.machines,
    cpu: spec.cpu ?? defaultOffer.cpu,
    networks: spec.networks ?? defaultOffer.networks,
    linkBytesPerSecond: (spec.linkMiBPerSecond ?? defaults.linkMiBPerSecond) * mebibyte,
  };
}

export function guestOf([name, spec]: readonly [string, ClusterSpec['vms'][string]], index: number): Guest {
  return {
    vmId: `00000000-0000-4000-8000-${(index + 1).toString(16).padStart(12, '0')}`,
    name,
    vcpus: spec.vcpus,
    memoryBytes: spec.memoryGiB * gibibyte,
    mac: `52:54:00:00:${pairOfHex(index >> 8)}:${pairOfHex(index & 255)}`,
    address: `10.1.${Math.floor(index / hostsPerNet)}.${(index % hostsPerNet) + 1}`,
    demandCores: spec.demandCores,
    dirtyBytesPerSecond: (spec.dirtyMiBPerSecond ?? defaults.dirtyMiBPerSecond) * mebibyte,
    workingSetBytes: Math.min(spec.memoryGiB * gibibyte, (spec.workingSetMiB ?? defaults.workingSetMiB) * mebibyte),
    netBytesPerSecond: (spec.netMiBPerSecond ?? 0) * mebibyte,
    diskBytesPerSecond: (spec.diskMiBPerSecond ?? 0) * mebibyte,
  };
}

function pairOfHex(value: number): string {
  return value.toString(16).padStart(2, '0');
}

export function describeHost(host: SimHost): string {
  const cpu = `${((host.cpuUsedCores / host.spec.cpuCores) * 100).toFixed(0)} % of ${host.spec.cpuCores} cores`;
  const memory = `${((host.memoryUsedBytes / host.spec.memoryBytes) * 100).toFixed(0)} % of ${host.spec.memoryBytes / gibibyte} GiB`;
  const vms = host.copies.map(({ guest, state }) => (state === 'running' ? guest.name : `${guest.name} (${state})`));
  return `${host.hostId}: ${cpu}, ${memory}; ${vms.length === 0 ? 'no VM' : vms.join(', ')}`;
}
