/** A cluster from a seed: hosts, VMs that fit on them with room to move, and an operator's wishes. */
import type { ClusterSpec } from './scenario.ts';
import type { Draw } from './schedule-draw.ts';

type HostPart = ClusterSpec['hosts'][string];
type VmPart = ClusterSpec['vms'][string];

/** Memory that VMs may take at first: the rest of the cluster must be able to take in what one host has. */
const filledShareMax = 0.5;
/** What a simulated host itself needs, and a little more. */
const ownGiB = 1;
const names = ['web', 'shop', 'mail', 'build', 'wiki', 'files', 'chat', 'cron', 'proxy', 'queue', 'cache', 'search'];

export function clusterOf(
  seed: number,
  draw: Draw,
  size: { readonly hosts: number; readonly runForSeconds: number; readonly quietSeconds: number },
): ClusterSpec {
  const hosts = hostsOf(draw, size.hosts);
  return {
    seed,
    runForSeconds: size.runForSeconds,
    quietSeconds: size.quietSeconds,
    mode: draw.pick(['automatic', 'automatic', 'automatic', 'approve', 'observe']),
    planIntervalSeconds: draw.pick([5, 10, 20]),
    sampleIntervalSeconds: draw.pick([2, 3, 5]),
    policy: policyOf(draw, size.hosts),
    migration: migrationOf(draw),
    channel: channelOf(draw),
    ...(draw.chance(0.25) ? { certificateLifeSeconds: draw.pick([120, 300, 600]) } : {}),
    hosts,
    vms: vmsOf(draw, hosts),
  };
}

function hostsOf(draw: Draw, count: number): Record<string, HostPart> {
  const ipsec = draw.pick(['kernel', 'libipsec'] as const);
  const link = draw.pick([30, 50, 100, 200]);
  const host = (): HostPart => ({
    cpuCores: draw.pick([2, 4, 8]),
    memoryGiB: draw.pick([6, 8, 16]),
    linkMiBPerSecond: link,
    ipsec,
  });
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`host${index + 1}`, host()]));
}

function policyOf(draw: Draw, hosts: number): NonNullable<ClusterSpec['policy']> {
  const coolDownMs = draw.pick([30_000, 60_000, 180_000]);
  return {
    sustainedRounds: draw.integer(1, 3),
    coolDownMs,
    coolDownMsMax: coolDownMs * draw.pick([1, 4, 12]),
    movesPerPlanMax: draw.integer(1, 4),
    migrationsPerHostMax: draw.integer(1, 2),
    migrationsPerClusterMax: draw.integer(1, Math.max(2, hosts)),
    minimumGainPercent: draw.pick([1, 5, 10]),
  };
}

function migrationOf(draw: Draw): NonNullable<ClusterSpec['migration']> {
  return { preset: draw.pick(['gentle', 'balanced', 'must-move']), allowPostCopy: draw.chance(0.5) };
}

function channelOf(draw: Draw): NonNullable<ClusterSpec['channel']> {
  return {
    ...(draw.chance(0.3) ? { rekeySeconds: draw.pick([60, 120]) } : {}),
    ...(draw.chance(0.3) ? { tuning: { mode: draw.pick(['off', 'clamp', 'raise']) } } : {}),
  };
}

function vmsOf(draw: Draw, hosts: ClusterSpec['hosts']): Record<string, VmPart> {
  const left = new Map(Object.entries(hosts).map(([hostId, { memoryGiB }]) => [hostId, memoryGiB * filledShareMax - ownGiB]));
  const wanted = draw.integer(left.size, left.size * 3);
  const vms: Record<string, VmPart> = {};
  for (let index = 0; index < wanted; index += 1) {
    const memoryGiB = draw.pick([0.25, 0.5, 1, 2]);
    const room = [...left].filter(([, freeGiB]) => freeGiB >= memoryGiB).map(([hostId]) => hostId);
    if (room.length === 0) continue;
    // Half of them crowd on the first host that can take them, so that there is something to balance.
    const host = draw.chance(0.5) ? (room[0] ?? draw.pick(room)) : draw.pick(room);
    left.set(host, (left.get(host) ?? 0) - memoryGiB);
    vms[nameOf(index)] = vmOf(draw, host, memoryGiB);
  }
  return vms;
}

function nameOf(index: number): string {
  const name = names[index % names.length] ?? 'vm';
  return index < names.length ? name : `${name}${Math.floor(index / names.length) + 1}`;
}

function vmOf(draw: Draw, host: string, memoryGiB: number): VmPart {
  return {
    host,
    vcpus: draw.pick([1, 2, 4]),
    memoryGiB,
    demandCores: draw.tenths(0.1, 1.5),
    dirtyMiBPerSecond: draw.pick([1, 4, 10, 30, 90]),
    workingSetMiB: Math.round(memoryGiB * 1024 * draw.pick([0.05, 0.2, 0.6])),
    ...(draw.chance(0.3) ? { restartable: true } : {}),
  };
}
