/**
 * How hosts are taken through maintenance:
 *
 *   waiting -> draining -> empty -> restoring -> done
 *
 * The next host begins when fewer than `parallel` are on their way, none of those is held up, and a dry run of its drain empties it.
 * Nothing is done here: what has to be done is said, and is said again until it shows.
 */
import type { Drain } from '#core/model/drain.ts';
import type { HostId } from '#core/model/host.ts';
import type { Maintenance, MaintenanceHost, MaintenancePhase } from '#core/model/maintenance.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { drainSteps } from './drain.ts';
import { headroomOf } from './headroom.ts';
import { baseWhere } from './where.ts';
import { count, memorySize } from './words.ts';

export interface MaintenanceFacts {
  readonly nowMs: number;
  /** The newest drain of a host. */
  readonly drainOf: (hostId: HostId) => Pick<Drain, 'phase' | 'phaseSinceMs'> | null;
  /** Why the drain of a host, or what brings its VMs back, does not go on by itself; null when it does. */
  readonly stuckAt: (hostId: HostId) => string | null;
  /** The boot that the host is in, as it says itself; null where it says nothing. */
  readonly bootOf: (hostId: HostId) => string | null;
  /** Why this host cannot be emptied now; null when it can. Asked of the next one only. */
  readonly faultOf: (hostId: HostId) => string | null;
}

export interface MaintenanceOrder {
  readonly hostId: HostId;
  readonly kind: 'drain' | 'restore';
}

export interface MaintenanceAdvance {
  /** To be durable before its orders are carried out. The same object when nothing has changed. */
  readonly maintenance: Maintenance;
  readonly orders: readonly MaintenanceOrder[];
  /** Why a host does not go on. */
  readonly held: ReadonlyMap<HostId, string>;
}

interface Judged {
  readonly phase: MaintenancePhase;
  readonly order?: MaintenanceOrder['kind'];
  readonly held?: string | null;
}

export function advanceMaintenance(maintenance: Maintenance, facts: MaintenanceFacts): MaintenanceAdvance {
  if (maintenance.endedAtMs !== null) return { maintenance, orders: [], held: new Map() };
  const orders: MaintenanceOrder[] = [];
  const held = new Map<HostId, string>();
  const isOnItsWay = ({ phase }: MaintenanceHost) => phase !== 'waiting' && phase !== 'done';
  const hosts = maintenance.hosts.map((host) => {
    if (!isOnItsWay(host)) return host;
    const judged = judgeHost(host, maintenance, facts);
    if (judged.order !== undefined) orders.push({ hostId: host.hostId, kind: judged.order });
    if (typeof judged.held === 'string') held.set(host.hostId, judged.held);
    return entered(host, judged.phase, maintenance, facts);
  });
  const next = hosts.findIndex(({ phase }) => phase === 'waiting');
  const waiting = hosts[next];
  if (waiting !== undefined && hosts.filter(isOnItsWay).length < maintenance.parallel && held.size === 0) {
    const fault = facts.faultOf(waiting.hostId);
    if (fault === null) {
      hosts[next] = entered(waiting, 'draining', maintenance, facts);
      orders.push({ hostId: waiting.hostId, kind: 'drain' });
    } else held.set(waiting.hostId, fault);
  }
  const isOver = hosts.every(({ phase }) => phase === 'done');
  const isSame = hosts.every((host, index) => host === maintenance.hosts[index]);
  if (isSame && !isOver) return { maintenance, orders, held };
  const ended = isOver ? ({ endedAtMs: facts.nowMs, outcome: 'done' } as const) : {};
  return { maintenance: { ...maintenance, hosts, ...ended }, orders, held };
}

/** A person's word that the host is back. Only for one that is empty. */
export function withReady(maintenance: Maintenance, hostId: HostId, facts: Pick<MaintenanceFacts, 'nowMs' | 'drainOf'>): Maintenance {
  const hosts = maintenance.hosts.map((host) =>
    host.hostId === hostId && host.phase === 'empty' ? begun(host, 'restoring', facts) : host,
  );
  return { ...maintenance, hosts };
}

function begun(
  host: MaintenanceHost,
  phase: MaintenancePhase,
  { nowMs, drainOf }: Pick<MaintenanceFacts, 'nowMs' | 'drainOf'>,
): MaintenanceHost {
  return { ...host, phase, phaseSinceMs: nowMs, drainSinceMs: drainOf(host.hostId)?.phaseSinceMs ?? null };
}

function entered(host: MaintenanceHost, phase: MaintenancePhase, { until }: Maintenance, facts: MaintenanceFacts): MaintenanceHost {
  if (host.phase === phase) return host;
  // Counted from when it is empty: what it did before was not its maintenance.
  const marks = until === 'reboot' && (phase === 'draining' || phase === 'empty');
  return { ...begun(host, phase, facts), bootId: marks ? (facts.bootOf(host.hostId) ?? host.bootId) : host.bootId };
}

/** What the host's drain shows decides: a person may have changed it by hand. */
function judgeHost(host: MaintenanceHost, { until }: Maintenance, facts: MaintenanceFacts): Judged {
  const { hostId, phase } = host;
  const drain = facts.drainOf(hostId);
  const isUntouched = (drain?.phaseSinceMs ?? null) === host.drainSinceMs;
  if (phase === 'draining') {
    if (drain === null || isUntouched) return { phase, order: 'drain' };
    if (drain.phase === 'drained') return { phase: 'empty' };
    if (drain.phase === 'restoring' || drain.phase === 'restored') return { phase: 'restoring' };
    return { phase, held: drain.phase === 'cancelled' ? cancelledWords(hostId, 'drain') : facts.stuckAt(hostId) };
  }
  if (phase === 'empty') {
    if (drain?.phase === 'restoring' || drain?.phase === 'restored') return { phase: 'restoring' };
    const bootId = facts.bootOf(hostId);
    const hasRebooted = until === 'reboot' && bootId !== null && host.bootId !== null && bootId !== host.bootId;
    return hasRebooted ? { phase: 'restoring', order: 'restore' } : { phase };
  }
  if (drain?.phase === 'restoring') return { phase, held: facts.stuckAt(hostId) };
  if (drain?.phase === 'cancelled') return { phase, held: cancelledWords(hostId, 'restore') };
  // One that somebody has begun since is a drain of its own.
  return drain?.phase !== 'restored' && isUntouched ? { phase, order: 'restore' } : { phase: 'done' };
}

function cancelledWords(hostId: HostId, verb: 'drain' | 'restore'): string {
  return `its ${verb} was cancelled: 'plimsoll host ${verb} ${hostId}' goes on with it, 'plimsoll maintenance cancel' ends the maintenance`;
}

/**
 * Why a host cannot be emptied now, by a dry run of its drain; null when it can. `emptying`: hosts of the same maintenance that are not back
 * yet. Their VMs that have not left have their places first, and beside them the cluster keeps the headroom that the policy asks for.
 */
export function maintenanceFault(snapshot: Snapshot, hostId: HostId, emptying: readonly HostId[]): string | null {
  let pending = snapshot;
  for (const other of emptying) pending = withFlights(pending, drainSteps(pending, other, snapshot.takenAtMs).steps);
  const { steps, stays, unseen } = drainSteps(pending, hostId, snapshot.takenAtMs);
  if (unseen !== null) return `what runs there is not known: ${unseen}`;
  const [first, ...more] = stays;
  if (first !== undefined) {
    const others = more.length === 0 ? '' : `; and ${count(more.length, 'other VM')}: 'plimsoll host drain ${hostId} --dry-run'`;
    return `${first.vmName} cannot leave it (${first.code}): ${first.reason}${others}`;
  }
  const coming = snapshot.inFlight.filter(({ toHostId }) => toHostId === hostId).length;
  if (coming > 0) return `${count(coming, 'VM')} is on its way there`;
  return emptying.length === 0 ? null : headroomFault(withFlights(pending, steps), [...emptying, hostId]);
}

function withFlights(snapshot: Snapshot, steps: Snapshot['inFlight']): Snapshot {
  return { ...snapshot, inFlight: [...snapshot.inFlight, ...steps] };
}

/** With all of them empty and closed. */
function headroomFault(snapshot: Snapshot, hostIds: readonly HostId[]): string | null {
  const hosts = snapshot.hosts.map((host) => (hostIds.includes(host.hostId) ? { ...host, cordoned: true } : host));
  const emptied = { ...snapshot, hosts };
  const shortBytes = headroomOf(emptied)?.shortBytes(baseWhere(emptied)) ?? 0;
  if (shortBytes <= 1) return null;
  return `with ${hostIds.join(' and ')} empty the cluster could not lose another host: ${memorySize(shortBytes)} of VMs would find no room`;
}
