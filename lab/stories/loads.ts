/** How loaded the hosts are: by Plimsoll's figures, which are smoothed, and by the kernel's own account. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatCores, formatPercent } from '#cli/format.ts';
import { table } from '#cli/table.ts';
import type { HostResource } from '#wire/api.ts';
import type { SnapshotFile } from '#wire/snapshot-file.ts';
import { type LabHost, LabError } from '#lab/api.ts';

type SeenVm = SnapshotFile['vms'][number];

/** Each host with its VMs: what a VM uses, and what it waits for. */
export function loadTable(hosts: readonly HostResource[], vms: readonly SeenVm[]): string {
  return table(
    [
      { title: 'HOST', value: (host) => host.hostId },
      { title: 'CPU', align: 'right', value: (host) => formatPercent(host.cpuPercent) },
      { title: 'CORES', align: 'right', value: coresOf },
      { title: 'LINE', value: (host) => (host.overLine ? 'OVER' : 'below') },
      { title: 'VMS (CORES USED + WAITED FOR)', value: (host) => vmsOf(host.hostId, vms) },
    ],
    hosts,
    'no host',
  );
}

function coresOf(host: HostResource): string {
  return `${formatCores(host.cpuUsedCores)} of ${formatCores(host.capacity?.cpuCores ?? null)}`;
}

function vmsOf(hostId: string, vms: readonly SeenVm[]): string {
  const here = vms.filter((vm) => vm.hostId === hostId);
  return here.map((vm) => `${vm.name} ${formatCores(vm.cpuUsedCores)}+${formatCores(vm.cpuDelayCores)}`).join('  ') || 'none';
}

/** `host1 97 % over   host2 12 %` */
export function loadLine(hosts: readonly HostResource[]): string {
  return hosts.map((host) => `${host.hostId} ${formatPercent(host.cpuPercent)}${host.overLine ? ' OVER' : ''}`).join('   ');
}

/** CPU time of everything that runs in a host, by the kernel's account of its control group. */
export interface CpuReading {
  readonly atMs: number;
  readonly usedMs: number;
}

export async function readCpu(host: LabHost): Promise<CpuReading> {
  const path = join(host.cgroup, 'cpu.stat');
  const usedUs = Number(/^usage_usec (\d+)$/m.exec(await readFile(path, 'utf8'))?.[1] ?? 'missing');
  if (!Number.isFinite(usedUs)) throw new LabError('lab-prerequisite-missing', `${path} has no usage_usec: this kernel does not count it`);
  return { atMs: performance.now(), usedMs: usedUs / 1000 };
}

/** In percent of the host's cores. */
export function cpuPercentBetween(before: CpuReading, after: CpuReading, hostCores: number): number {
  return ((after.usedMs - before.usedMs) / (after.atMs - before.atMs) / hostCores) * 100;
}
