import { formatBytes, formatCores, formatPercent, formatTime, printable } from './format.ts';
import type { ClusterFile, HbalFiles, HostLoadLine } from './snapshot-files.ts';
import { type Column, fields, table } from './table.ts';

type HostRow = ClusterFile['snapshot']['hosts'][number] & HostLoadLine;
type VmRow = ClusterFile['snapshot']['vms'][number];

const hostColumns: readonly Column<HostRow>[] = [
  { title: 'HOST', value: (host) => host.hostId },
  { title: 'STATUS', value: (host) => host.status },
  { title: 'CPU', align: 'right', value: (host) => formatPercent(host.cpuPercent) },
  {
    title: 'CORES',
    align: 'right',
    value: (host) => `${formatCores(host.cpuUsedCores)} of ${formatCores(host.capacity.cpuCores)}`,
    rank: 2,
  },
  { title: 'MEMORY', align: 'right', value: (host) => formatPercent(host.memoryPercent) },
  {
    title: 'USED',
    align: 'right',
    value: (host) => `${formatBytes(host.memoryUsedBytes)} of ${formatBytes(host.capacity.memoryBytes)}`,
    rank: 1,
  },
  { title: 'VMS', align: 'right', value: (host) => String(host.vms) },
  { title: 'LINE', value: (host) => (host.over.length === 0 ? 'below' : `over: ${host.over.join(', ')}`) },
];

const vmColumns: readonly Column<VmRow>[] = [
  { title: 'VM', value: (vm) => vm.name },
  { title: 'HOST', value: (vm) => vm.hostId },
  { title: 'STATE', value: (vm) => vm.state },
  { title: 'VCPUS', align: 'right', value: (vm) => String(vm.vcpus), rank: 1 },
  { title: 'CORES USED', align: 'right', value: (vm) => formatCores(vm.cpuUsedCores) },
  { title: 'MEMORY', align: 'right', value: (vm) => formatBytes(vm.memoryBytes) },
  { title: 'UUID', value: (vm) => vm.vmId, rank: 2 },
];

/** What a file holds: the cluster in a few lines, its hosts and VMs, and what a person should know of them. */
export function printClusterFile(file: ClusterFile, _nowMs?: number, width?: number): string {
  const { snapshot, loads } = file;
  const rows = snapshot.hosts.flatMap((host, index) => {
    const load = loads[index];
    return load === undefined ? [] : [{ ...host, ...load }];
  });
  return [
    headOf(file),
    '',
    table(hostColumns, rows, 'It has no host.', width),
    '',
    table(vmColumns, snapshot.vms, 'It has no VM.', width),
    ...listed('Cannot be true of a cluster at rest:', file.unsound),
    ...listed('Lost or assumed, because the file is of hbal:', file.lost),
  ].join('\n');
}

/** Where a snapshot was written to for hbal, and what of it did not go along. */
export function printHbalFiles({ dataPath, utilPath, lost }: HbalFiles): string {
  return [`Written. Use it with: hbal -t ${printable(dataPath)} -U ${printable(utilPath)}`, ...listed('Left out:', lost)].join('\n');
}

function headOf({ path, kind, snapshot, loads }: ClusterFile): string {
  const { policy, mode, inFlight, ledger, takenAtMs } = snapshot;
  const line = (name: string, { startPercent, stopPercent }: typeof policy.cpuLine) =>
    `${name} ${startPercent} % (relief to ${stopPercent} %)`;
  const over = loads.filter((load) => load.over.length > 0).length;
  return fields([
    ['file', `${path} (${kind === 'hbal' ? 'a cluster of hbal' : `a snapshot, version ${snapshot.version}`})`],
    ['taken', `${formatTime(takenAtMs)}${kind === 'hbal' ? ' (when the file was written)' : ''}`],
    ...(mode === null ? [] : [['mode', mode] as const]),
    ['lines', `${line('CPU', policy.cpuLine)}, ${line('memory', policy.memoryLine)}`],
    ['hosts', `${snapshot.hosts.length}, ${over} over a line`],
    ['VMs', String(snapshot.vms.length)],
    ['migrations', `${inFlight.length} under way, ${ledger.length} in the ledger`],
  ]);
}

function listed(title: string, sentences: readonly string[]): readonly string[] {
  return sentences.length === 0 ? [] : ['', title, ...sentences.map((sentence) => `  ${printable(sentence)}`)];
}
