import type { HostView, VmView } from '#bench/traces/balancer.ts';

/** A host in a balancer's own reckoning: changed as its plan grows. */
export interface DraftHost {
  readonly hostId: string;
  readonly cpuCores: number;
  readonly memoryBytes: number;
  readonly vms: VmView[];
  cpuUsedCores: number;
  memoryUsedBytes: number;
}

export function draftOf(host: HostView): DraftHost {
  return { ...host, vms: [...host.vms] };
}

export function cpuPercent(host: Pick<DraftHost, 'cpuUsedCores' | 'cpuCores'>): number {
  return (host.cpuUsedCores / host.cpuCores) * 100;
}

export function memoryPercent(host: Pick<DraftHost, 'memoryUsedBytes' | 'memoryBytes'>): number {
  return (host.memoryUsedBytes / host.memoryBytes) * 100;
}

export function hasMemoryFor(host: DraftHost, vm: VmView): boolean {
  return host.memoryUsedBytes + vm.memoryBytes <= host.memoryBytes;
}

/** The VM on the other host, with this much of its CPU. */
export function moveIn(source: DraftHost, destination: DraftHost, vm: VmView, usedCores: number): void {
  source.vms.splice(source.vms.indexOf(vm), 1);
  destination.vms.push(vm);
  source.cpuUsedCores -= usedCores;
  destination.cpuUsedCores += usedCores;
  source.memoryUsedBytes -= vm.memoryBytes;
  destination.memoryUsedBytes += vm.memoryBytes;
}
