import type { VmResource } from '#wire/api.ts';
import type { VmSettingsResource } from '#wire/vm-settings-api.ts';
import { formatBytes, formatCores, formatDuration, formatPercent, unknown } from './format.ts';
import { type Column, fields, table } from './table.ts';

const columns: readonly Column<VmResource>[] = [
  { title: 'VM', value: (vm) => vm.name },
  { title: 'HOST', value: (vm) => vm.hostId },
  { title: 'STATE', value: (vm) => vm.state },
  { title: 'VCPUS', align: 'right', value: (vm) => String(vm.vcpus), rank: 2 },
  { title: 'CORES USED', align: 'right', value: (vm) => formatCores(vm.cpuUsedCores) },
  { title: 'MEMORY', align: 'right', value: (vm) => formatBytes(vm.memoryBytes) },
  { title: 'MIGRATION', value: (vm) => vm.migrationId ?? unknown, rank: 1 },
  { title: 'UUID', value: (vm) => vm.vmId, rank: 3 },
];

/** All VMs, one line each. */
export function printVms(vms: readonly VmResource[], _nowMs?: number, width?: number): string {
  return table(columns, vms, 'No VM is known: no host has reported one yet.', width);
}

/** A VM, and what operators want for it. */
export interface VmWithSettings extends VmResource {
  readonly settings: VmSettingsResource;
}

/** One VM. */
export function printVm(vm: VmWithSettings): string {
  return fields([
    ['VM', vm.name],
    ['UUID', vm.vmId],
    ['host', vm.hostId],
    ['state', vm.state],
    ['virtual CPUs', String(vm.vcpus)],
    ['cores used', formatCores(vm.cpuUsedCores)],
    ['forecast', forecastOf(vm)],
    ...usualField(vm),
    ['memory', formatBytes(vm.memoryBytes)],
    ['migration', vm.migrationId ?? 'none under way'],
    ...settingsFields(vm.settings),
  ]);
}

function forecastOf({ forecast }: VmResource): string {
  if (forecast === null) return 'none yet';
  const { meanCores, highCores, horizonMs, confidencePercent } = forecast;
  const ahead = `in the next ${formatDuration(horizonMs)}`;
  return `${formatCores(meanCores)} cores ${ahead}, nine times in ten at most ${formatCores(highCores)} (confidence ${formatPercent(confidencePercent)})`;
}

function usualField({ forecast }: VmResource): readonly (readonly [string, string])[] {
  if (forecast?.usual === undefined) return [];
  const { meanCores, spreadCores } = forecast.usual;
  return [['usually', `${formatCores(meanCores)} cores in the last hours, give or take ${formatCores(spreadCores)}`]];
}

/** What operators want for one VM. */
export function printVmSettings(reference: string, settings: VmSettingsResource): string {
  return fields([['VM', reference], ...settingsFields(settings)]);
}

function settingsFields({
  address,
  restartable,
  slaClass,
  effectiveClass,
  tenant,
  labels,
}: VmSettingsResource): readonly (readonly [string, string])[] {
  return [
    ['address', address ?? 'not set: looked up among the neighbours of the hosts'],
    ['restartable', restartable ? 'yes: it may be started elsewhere when its host has died' : 'no'],
    ['class', slaClass === null || slaClass === effectiveClass ? effectiveClass : lostClass(slaClass, effectiveClass)],
    ['tenant', tenant ?? 'not set'],
    ['labels', labelsOf(labels)],
  ];
}

function labelsOf(labels: VmSettingsResource['labels']): string {
  const all = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return all.length === 0 ? 'none' : all.join(', ');
}

function lostClass(slaClass: string, effectiveClass: string): string {
  return `${effectiveClass}, because policy.classes does not have its own, ${slaClass}`;
}
