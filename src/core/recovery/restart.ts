/**
 * Whether and when a VM that is marked restartable is started again, as a pure state machine. `step` takes what happened and returns the
 * new record and the one effect to perform next; the record is durable before the effect is performed.
 *
 *   watched  -> off        a person or the guest has ended it, or nobody knows why it ended
 *   watched  -> down       its process has died, its agent ended it with the lease, its host was restarted; or its host is silent past its lease
 *   watched  -> missing    a migration of it was closed, and nobody knows which host has it
 *   missing  -> down       no host runs it or may still run it, and none that may have had it says that it was ended on purpose
 *   missing  -> off        one that may have had it says that a person or the guest has ended it
 *   down     -> starting   no host runs it or may still run it, and one was found that can: the order goes out next
 *   down     -> given-up   it was started too often
 *   starting -> watched    it runs there
 *   starting -> down       it was not started, the next try comes later; or it may run where nobody can ask, and that was no try
 *   any      -> watched    it was seen to run somewhere
 *   any      -> off        a migration of it as an image has ended, and nobody knows where it is
 *
 * Never twice: an order goes out once for each turn from `down` to `starting`, with a VM epoch of its own; a start whose outcome nobody
 * knows is waited out (`settleMs`). A host "may still run it" when it does not say now that it
 * does not, and its lease is not over; of a host that has had the VM before, its agent must also have confirmed that it ends the VM
 * with that lease. What that leaves open - an agent that is dead or stopped while its host lives - the storage lock refuses, so a VM
 * without one is never started here.
 */
import type { VmDefinition } from '#core/model/definition.ts';
import type { HostId } from '#core/model/host.ts';
import type { Recovery, RecoveryPhase, ToldStanding } from '#core/model/recovery.ts';
import type { VmId } from '#core/model/vm.ts';

export type RecoveryEvent =
  /** A host told what it has of the VM, without being asked. */
  | {
      readonly kind: 'seen';
      readonly hostId: HostId;
      readonly bootId: string | null;
      readonly standing: ToldStanding;
      readonly migrationOpen: boolean;
    }
  /** Time has passed. `leaseOver`: of the host that the record names. */
  | { readonly kind: 'tick'; readonly migrationOpen: boolean; readonly leaseOver: boolean }
  /** All hosts of the cluster were asked. */
  | { readonly kind: 'looked'; readonly migrationOpen: boolean; readonly hosts: readonly HostLook[]; readonly hasText: boolean }
  /** A migration of it as an image has ended, and nobody knows where it is: one of these hosts may bring it back from that by itself. */
  | { readonly kind: 'image-left'; readonly hostIds: readonly HostId[] }
  /** Any other migration of it has ended, and nobody knows where it is; `endedOn`: unless that host is known to have run it, or to have been about to. */
  | { readonly kind: 'lost'; readonly hostIds: readonly HostId[]; readonly endedOn: HostId | null }
  /** The host that it is to be started on: its lease is renewed, and binds the VM. */
  | { readonly kind: 'chosen'; readonly hostId: HostId; readonly bootId: string; readonly vmEpoch: number; readonly why: string }
  | { readonly kind: 'unfit'; readonly why: string }
  /**
   * `held`: somebody has the lock of its storage, so it still runs. `unclear`: whether the start has begun is not known. `unseen`: as the
   * effect that this comes of.
   */
  | {
      readonly kind: 'ordered';
      readonly outcome: 'started' | 'refused' | 'held' | 'unclear';
      readonly unseen: boolean;
      readonly why: string;
    };

export interface HostLook {
  readonly hostId: HostId;
  /** Null: no answer. */
  readonly standing: ToldStanding | null;
  readonly leaseOver: boolean;
}

export type RecoveryEffect =
  | { readonly kind: 'none' }
  /** Ask every host of the cluster what it has of the VM. */
  | { readonly kind: 'look' }
  /**
   * Find a host that can run it, and have its lease bind the VM. `why` it is started, not what that has waited for. `unseen`: a host that
   * may have it does not answer; if its agent is dead, it may still run there.
   */
  | { readonly kind: 'choose'; readonly why: string; readonly unseen: boolean }
  | { readonly kind: 'start'; readonly hostId: HostId; readonly vmEpoch: number };

export interface RecoveryStep {
  readonly recovery: Recovery;
  readonly effect: RecoveryEffect;
}

export interface RestartLimits {
  readonly attemptsMax: number;
  /** Before the second start; doubles with each further one. */
  readonly backOffMs: number;
  readonly backOffMsMax: number;
  /** A VM that ran this long has recovered: its starts are forgotten. */
  readonly steadyMs: number;
  /** Before the next start of a VM that may run where nobody can ask. */
  readonly heldMs: number;
  /** A start whose outcome is not known may still happen for this long. */
  readonly settleMs: number;
}

export const restartLimits: RestartLimits = {
  attemptsMax: 5,
  backOffMs: 10_000,
  backOffMsMax: 600_000,
  steadyMs: 600_000,
  heldMs: 15_000,
  settleMs: 180_000,
};

const nothing: RecoveryEffect = { kind: 'none' };

/** The record of a VM that has just been marked. */
export function beginRecovery(vmId: VmId, vmName: string, nowMs: number): Recovery {
  return {
    vmId,
    vmName,
    phase: 'off',
    phaseSinceMs: nowMs,
    hostId: null,
    bootId: null,
    toldHostIds: [],
    coveredHostIds: [],
    vmEpoch: 0,
    attempts: 0,
    notBeforeMs: 0,
    reason: 'it was not seen to run yet',
    definition: null,
    wanted: true,
  };
}

export function step(recovery: Recovery, event: RecoveryEvent, nowMs: number, limits: RestartLimits): RecoveryStep {
  if (!recovery.wanted) return { recovery, effect: nothing };
  switch (event.kind) {
    case 'seen':
      return { recovery: seen(recovery, event, nowMs, limits), effect: nothing };
    case 'tick':
      return tick(recovery, event, nowMs, limits);
    case 'looked':
      return looked(recovery, event, nowMs, limits);
    case 'image-left': {
      const where = event.hostIds.join(' or ');
      const why = `its last migration left an image of it on ${where}, which may come back to life: look at both, and start it by hand`;
      return { recovery: enter(recovery, 'off', why, nowMs), effect: nothing };
    }
    case 'lost':
      return { recovery: lost(recovery, event, nowMs), effect: nothing };
    case 'chosen':
      return chosen(recovery, event, nowMs);
    case 'unfit':
      return { recovery: noted(recovery, event.why), effect: nothing };
    case 'ordered':
      return { recovery: ordered(recovery, event, nowMs, limits), effect: nothing };
    default:
      return event satisfies never;
  }
}

/** Another host's word counts only when it has the VM; why it ended is the word of the host that it ran on. */
function seen(recovery: Recovery, event: Extract<RecoveryEvent, { kind: 'seen' }>, nowMs: number, limits: RestartLimits): Recovery {
  const { hostId, bootId, standing } = event;
  // Both hosts of a migration may have it; where it stays is known when the migration is closed.
  const isOnItsWay = event.migrationOpen && recovery.phase === 'watched' && recovery.hostId !== hostId;
  if (standing === 'here') return isOnItsWay ? recovery : runs(recovery, hostId, bootId, nowMs, limits);
  if (hostId !== recovery.hostId || recovery.phase !== 'watched' || event.migrationOpen) return recovery;
  const restarted = recovery.bootId !== null && recovery.bootId !== bootId;
  switch (standing) {
    case 'crashed':
      return enter(recovery, 'down', `its process on ${hostId} has died`, nowMs);
    case 'fenced':
      return enter(recovery, 'down', `${hostId} has ended it because its lease had ended`, nowMs);
    case 'stopped':
      return enter(recovery, 'off', `it was shut down, destroyed or saved on ${hostId}: start it there when it is wanted again`, nowMs);
    case 'unknown':
      if (restarted) return enter(recovery, 'down', `${hostId} was restarted under it`, nowMs);
      return enter(recovery, 'off', `it ended on ${hostId}, and its hypervisor does not say why: look there, and start it by hand`, nowMs);
    case 'absent':
      if (restarted) return enter(recovery, 'down', `${hostId} was restarted under it`, nowMs);
      return noted(recovery, `${hostId} does not have it any more, and no other host has told that it runs there`);
    case 'gone':
    case 'arriving':
    case 'starting':
      return recovery;
    default:
      return standing satisfies never;
  }
}

function runs(recovery: Recovery, hostId: HostId, bootId: string | null, nowMs: number, { steadyMs }: RestartLimits): Recovery {
  const isNew = recovery.phase !== 'watched' || recovery.hostId !== hostId;
  const steady = !isNew && nowMs - recovery.phaseSinceMs >= steadyMs;
  const attempts = steady || recovery.phase === 'off' || recovery.phase === 'given-up' ? 0 : recovery.attempts;
  const here = isNew ? enter(recovery, 'watched', `it runs on ${hostId}`, nowMs) : noted(recovery, `it runs on ${hostId}`);
  const same = here === recovery && recovery.bootId === bootId && recovery.attempts === attempts;
  return same ? recovery : { ...here, hostId, bootId, attempts };
}

function tick(recovery: Recovery, event: Extract<RecoveryEvent, { kind: 'tick' }>, nowMs: number, limits: RestartLimits): RecoveryStep {
  const { phase, hostId, notBeforeMs, attempts } = recovery;
  switch (phase) {
    case 'off':
    case 'given-up':
      return { recovery, effect: nothing };
    case 'watched':
      return { recovery: silent(recovery, event, nowMs), effect: nothing };
    case 'missing':
      return searched(recovery, event.migrationOpen);
    case 'down':
      if (nowMs < notBeforeMs) return { recovery, effect: nothing };
      if (attempts >= limits.attemptsMax) {
        const why = `it was started ${attempts} times and does not stay up: look at it, then start it by hand`;
        return { recovery: enter(recovery, 'given-up', why, nowMs), effect: nothing };
      }
      return searched(recovery, event.migrationOpen);
    case 'starting':
      return hostId === null ? { recovery, effect: nothing } : { recovery, effect: { kind: 'look' } };
    default:
      return phase satisfies never;
  }
}

function searched(recovery: Recovery, migrationOpen: boolean): RecoveryStep {
  return migrationOpen ? waits(recovery, 'a migration of it is not closed yet') : { recovery, effect: { kind: 'look' } };
}

function lost(recovery: Recovery, { hostIds, endedOn }: Extract<RecoveryEvent, { kind: 'lost' }>, nowMs: number): Recovery {
  if (recovery.phase !== 'watched') return recovery;
  if (endedOn !== null)
    return enter(recovery, 'down', `it has run on ${endedOn}, or may have, and has ended there around its migration`, nowMs);
  return enter(
    recovery,
    'missing',
    `its migration has ended, and it is not known to run on ${hostIds.join(' or ')}: it is looked for`,
    nowMs,
  );
}

/** Its host says nothing any more, for as long as its lease may last. */
function silent(recovery: Recovery, { migrationOpen, leaseOver }: Extract<RecoveryEvent, { kind: 'tick' }>, nowMs: number): Recovery {
  const { hostId, coveredHostIds } = recovery;
  if (hostId === null || migrationOpen || !leaseOver) return recovery;
  if (coveredHostIds.includes(hostId)) return enter(recovery, 'down', `${hostId} is silent and its lease is over`, nowMs);
  return noted(recovery, `${hostId} is silent, and its agent never confirmed that it ends the VM with its lease: look at that host`);
}

function looked(recovery: Recovery, event: Extract<RecoveryEvent, { kind: 'looked' }>, nowMs: number, limits: RestartLimits): RecoveryStep {
  if (recovery.phase !== 'missing' && recovery.phase !== 'down' && recovery.phase !== 'starting') return { recovery, effect: nothing };
  const { hosts, migrationOpen, hasText } = event;
  const has = hosts.find(({ standing }) => standing === 'here');
  if (has) {
    const bootId = has.hostId === recovery.hostId ? recovery.bootId : null;
    return { recovery: runs(recovery, has.hostId, bootId, nowMs, limits), effect: nothing };
  }
  const doubt = doubtOf(recovery, hosts);
  if (doubt !== null) return waits(recovery, doubt);
  if (recovery.phase === 'missing') return explained(recovery, event, nowMs, limits);
  if (recovery.phase === 'starting') return { recovery: settled(recovery, nowMs, limits), effect: nothing };
  if (migrationOpen) return waits(recovery, 'a migration of it is not closed yet');
  if (recovery.definition === null || !hasText) return waits(recovery, 'its definition was never read while it ran: start it by hand');
  if (!hasStorageLock(recovery.definition)) {
    return waits(recovery, 'no lock on its storage would refuse a second copy: give it a lease, and start it by hand this time');
  }
  const unseen = hosts.some(({ hostId, standing }) => standing === null && mayHaveIt(recovery, hostId));
  return { recovery, effect: { kind: 'choose', why: causeOf(recovery, hosts), unseen } };
}

/**
 * It ran when its migration began, and runs nowhere now: every host that may have had it has said so, or has ended it with its lease. Only
 * a host that says that it was ended on purpose speaks against a start: one that was restarted does not know why, or has it no more.
 */
function explained(
  recovery: Recovery,
  event: Extract<RecoveryEvent, { kind: 'looked' }>,
  nowMs: number,
  limits: RestartLimits,
): RecoveryStep {
  const looks = event.hosts.filter(({ hostId }) => mayHaveIt(recovery, hostId));
  const byLease = looks.some(({ standing }) => standing === 'fenced');
  const ended = looks.find(({ standing }) => standing === 'stopped');
  if (ended !== undefined && !byLease) {
    const why = `it was shut down, destroyed or saved on ${ended.hostId} around its migration: start it there when it is wanted again`;
    return { recovery: enter(recovery, 'off', why, nowMs), effect: nothing };
  }
  const cause = causeIn(looks) ?? 'its migration has ended without a winner, and no host has it';
  return looked(enter(recovery, 'down', cause, nowMs), event, nowMs, limits);
}

/** By what the hosts say that may have had it; the record's own reason may be that of a delay since. */
function causeOf(recovery: Recovery, hosts: readonly HostLook[]): string {
  return causeIn(hosts.filter((look) => mayHaveIt(recovery, look.hostId))) ?? recovery.reason;
}

function causeIn(looks: readonly HostLook[]): string | null {
  for (const { hostId, standing } of looks) {
    if (standing === null) return `${hostId} is silent and its lease is over`;
    if (standing === 'fenced') return `${hostId} has ended it because its lease had ended`;
    if (standing === 'crashed') return `its process on ${hostId} has died`;
    if (standing === 'unknown') return `it ended on ${hostId}, and its hypervisor does not say why`;
  }
  return null;
}

/** Which host may still run the VM; null: none. */
function doubtOf(recovery: Recovery, hosts: readonly HostLook[]): string | null {
  for (const { hostId, standing, leaseOver } of hosts) {
    if (standing === 'arriving' || standing === 'starting') return `${hostId} is just about to run it`;
    if (standing !== null) continue;
    if (!leaseOver) return `${hostId} does not answer, and its lease is not over`;
    if (mayHaveIt(recovery, hostId) && !recovery.coveredHostIds.includes(hostId)) {
      return `${hostId} does not answer, and never confirmed that it ends the VM with its lease: look at that host`;
    }
  }
  const known = new Set(hosts.map(({ hostId }) => hostId));
  const missing = [recovery.hostId, ...recovery.toldHostIds].find((hostId) => hostId !== null && !known.has(hostId));
  return missing === undefined ? null : `${missing} has had it, and is not asked`;
}

function mayHaveIt({ hostId, toldHostIds }: Recovery, other: HostId): boolean {
  return hostId === other || toldHostIds.includes(other);
}

/** The order went out, and the VM runs nowhere. A daemon may still carry it out, whatever became of its agent and of the lease. */
function settled(recovery: Recovery, nowMs: number, limits: RestartLimits): Recovery {
  if (nowMs - recovery.phaseSinceMs < limits.settleMs) return recovery;
  return triedInVain(recovery, `whether it was started on ${recovery.hostId} was not heard, and it does not run there`, nowMs, limits);
}

function chosen(
  recovery: Recovery,
  { hostId, bootId, vmEpoch, why }: Extract<RecoveryEvent, { kind: 'chosen' }>,
  nowMs: number,
): RecoveryStep {
  if (recovery.phase !== 'down') return { recovery, effect: nothing };
  const starting = enter(recovery, 'starting', why, nowMs);
  const attempts = recovery.attempts + 1;
  return { recovery: { ...starting, hostId, bootId, vmEpoch, attempts }, effect: { kind: 'start', hostId, vmEpoch } };
}

function ordered(
  recovery: Recovery,
  { outcome, unseen, why }: Extract<RecoveryEvent, { kind: 'ordered' }>,
  nowMs: number,
  limits: RestartLimits,
): Recovery {
  if (recovery.phase !== 'starting' || recovery.hostId === null) return recovery;
  if (outcome === 'started') return runs(recovery, recovery.hostId, recovery.bootId, nowMs, limits);
  // QEMU's own lock on an image is refused without a code of its own.
  if (outcome === 'held' || (outcome === 'refused' && unseen)) return heldElsewhere(recovery, why, nowMs, limits);
  return outcome === 'unclear' ? noted(recovery, why) : triedInVain(recovery, why, nowMs, limits);
}

/**
 * It does not fail to stay up, it may run where nobody can ask: such a start counts for nothing and is tried for as long as it takes. Were
 * it given up, nobody would start it once the agent of that host is back and ends it, because its lease is long over.
 */
function heldElsewhere(recovery: Recovery, why: string, nowMs: number, { heldMs }: RestartLimits): Recovery {
  return { ...enter(recovery, 'down', why, nowMs), attempts: Math.max(0, recovery.attempts - 1), notBeforeMs: nowMs + heldMs };
}

function triedInVain(recovery: Recovery, why: string, nowMs: number, { backOffMs, backOffMsMax }: RestartLimits): Recovery {
  const pauseMs = Math.min(backOffMsMax, backOffMs * 2 ** Math.max(0, recovery.attempts - 1));
  return { ...enter(recovery, 'down', why, nowMs), notBeforeMs: nowMs + pauseMs };
}

/** A lease that libvirt's lock manager holds, or an image that QEMU locks (see `judgeLocks` of the pre-flight). */
export function hasStorageLock({ leases, disks }: VmDefinition): boolean {
  if (leases.length > 0) return true;
  const written = disks.filter((disk) => !disk.readOnly && disk.source !== null);
  return written.some((disk) => disk.kind === 'file' && !disk.shareable);
}

function enter(recovery: Recovery, phase: RecoveryPhase, reason: string, nowMs: number): Recovery {
  return { ...recovery, phase, phaseSinceMs: nowMs, reason };
}

function waits(recovery: Recovery, why: string): RecoveryStep {
  return { recovery: noted(recovery, why), effect: nothing };
}

function noted(recovery: Recovery, reason: string): Recovery {
  return reason === recovery.reason ? recovery : { ...recovery, reason };
}
