/** Small clusters for tests, a line for each host: `a: web=6/8/4 db=3`, a VM by its cores in use, its GiB (4) and its virtual CPUs (4). */
import type { Balancer, HostView, Step, View } from './balancer.ts';
import { gibibyte } from './physics.ts';

export function exampleHost(line: string): HostView {
  const [hostId = '', list = ''] = line.split(':');
  const vms = list
    .trim()
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => {
      const [vmId = '', figures = ''] = word.split('=');
      const [usedCores = 0, gib = 4, vcpus = 4] = figures.split('/').map(Number);
      return { vmId, vcpus, memoryBytes: gib * gibibyte, cpuUsedCores: usedCores, cpuDelayCores: 0 };
    });
  return {
    hostId,
    cpuCores: 16,
    memoryBytes: 64 * gibibyte,
    cpuUsedCores: vms.reduce((sum, vm) => sum + vm.cpuUsedCores, 0),
    memoryUsedBytes: vms.reduce((sum, vm) => sum + vm.memoryBytes, 0),
    vms,
  };
}

export function exampleView(lines: readonly string[], more: Partial<View> = {}): View {
  return { atSeconds: 0, hosts: lines.map(exampleHost), underWay: [], ended: [], ...more };
}

/** The first steps of a balancer that sees the same cluster again and again, and when it came to them; null after two hours without any. */
export function firstSteps(
  balancer: Balancer,
  lines: readonly string[],
): { readonly atSeconds: number; readonly steps: readonly string[] } | null {
  for (let atSeconds = balancer.periodSeconds; atSeconds <= 7200; atSeconds += balancer.periodSeconds) {
    const steps = balancer.plan(exampleView(lines, { atSeconds }));
    if (steps.length > 0) return { atSeconds, steps: steps.map(told) };
  }
  return null;
}

function told({ vmId, fromHostId, toHostId }: Step): string {
  return `${vmId}: ${fromHostId} -> ${toHostId}`;
}
