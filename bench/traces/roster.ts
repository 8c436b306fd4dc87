import { defaultPolicy, type Policy } from '#core/model/policy.ts';
import type { Entrant } from './balancer.ts';
import { cloudStack } from './balancers/cloudstack.ts';
import { incus } from './balancers/incus.ts';
import { none } from './balancers/none.ts';
import { Plimsoll } from './balancers/plimsoll.ts';
import { proxLb } from './balancers/proxlb.ts';
import { proxmox } from './balancers/proxmox.ts';
import { Reference } from './balancers/reference.ts';
import { thresholdRule } from './balancers/threshold-rule.ts';
import { stabilization } from './balancers/watcher-stabilization.ts';
import { workloadBalance } from './balancers/watcher-workload-balance.ts';
import { xenOrchestra } from './balancers/xen-orchestra.ts';
import { peerOf } from './grid.ts';
import { defaultPhysics } from './physics.ts';

export const noneName = 'none';
export const plimsollName = 'plimsoll';
export const referenceName = 'reference';

export const peers = [
  peerOf(xenOrchestra),
  peerOf(proxmox),
  peerOf(proxLb),
  peerOf(incus),
  peerOf(workloadBalance),
  peerOf(stabilization),
  peerOf(cloudStack),
  peerOf(thresholdRule),
];

/**
 * For load that changes within minutes: relief begins at once where VMs have to wait, looks no further ahead than such loads can be seen, after
 * that expects of VMs what is usual for them, and does not make them wait for a copy before they have to.
 */
const balancePolicy: Policy = {
  ...defaultPolicy,
  strategy: 'balance',
  cpuLine: { startPercent: 88, stopPercent: 87 },
  coolDownMs: 20 * 60_000,
  coolDownMsMax: 20 * 60_000,
  smoothingHalfLifeMs: 1000,
  forecast: { horizonMs: 5 * 60_000 },
  balance: { ...defaultPolicy.balance, copyCores: 1, usualMs: 10 * 60_000 },
  // Measured by the product after the first migration of a pair.
  assumedBandwidthBytesPerSecond: defaultPhysics.bandwidthBytesPerSecond,
};

/** Only where they are asked for by --only: they are for other aims than the table compares, or nobody's. */
const onDemand: readonly Entrant[] = [
  { name: referenceName, create: () => new Reference() },
  ...(['threshold', 'pack'] as const).map((strategy) => ({
    name: `${plimsollName} ${strategy}`,
    create: () => new Plimsoll({ ...balancePolicy, strategy }),
  })),
  ...(['pull', 'both'] as const).map((direction) => ({
    name: `${plimsollName} ${direction}`,
    create: () => new Plimsoll({ ...defaultPolicy, direction }),
  })),
];

const own: readonly Entrant[] = [
  { name: noneName, create: () => none },
  { name: plimsollName, create: () => new Plimsoll(balancePolicy) },
  { name: `${plimsollName} (defaults)`, create: () => new Plimsoll() },
];

/** All of the table, or those whose names begin with one of these, ours on demand among them. Throws RangeError for one that nobody has. */
export function entrantsNamed(names: readonly string[] | null): readonly Entrant[] {
  const table = [...own, ...peers.flatMap(({ entrants }) => entrants)];
  if (names === null) return table;
  const all = [...table, ...onDemand];
  const unknown = names.find((name) => !all.some((entrant) => entrant.name.startsWith(name)));
  if (unknown !== undefined) throw new RangeError(`no balancer is called ${unknown}: there are ${all.map(({ name }) => name).join(', ')}`);
  return all.filter((entrant) => names.some((name) => entrant.name.startsWith(name)));
}
