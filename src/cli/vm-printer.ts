import type { VmResource } from '#wire/api.ts';
import { formatBytes, formatCores, unknown } from './format.ts';
import { type Column, fields, table } from './table.ts';

const columns: readonly Column<VmResource>[] = [
  { title: 'VM', value: (vm) => vm.name },
  { title: 'HOST', value: (vm) => vm.hostId },
  { title: 'STATE', value: (vm) => vm.state },
  { title: 'VCPUS', align: 'right', value: (vm) => String(vm.vcpus) },
  { title: 'CORES USED', align: 'right', value: (vm) => formatCores(vm.cpuUsedCores) },
  { title: 'MEMORY', align: 'right', value: (vm) => formatBytes(vm.memoryBytes) },
  { title: 'MIGRATION', value: (vm) => vm.migrationId ?? unknown },
  { title: 'UUID', value: (vm) => vm.vmId },
];

/** All VMs, one line each. */
export function printVms(vms: readonly VmResource[]): string {
  return table(columns, vms, 'No VM is known: no host has reported one yet.');
}

/** One VM. */
export function printVm(vm: VmResource): string {
  return fields([
    ['VM', vm.name],
    ['UUID', vm.vmId],
    ['host', vm.hostId],
    ['state', vm.state],
    ['virtual CPUs', String(vm.vcpus)],
    ['cores used', formatCores(vm.cpuUsedCores)],
    ['memory', formatBytes(vm.memoryBytes)],
    ['migration', vm.migrationId ?? 'none under way'],
  ]);
}
