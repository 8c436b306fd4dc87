/**
 * VMs that are marked restartable: keeps their hosts' leases and their definitions fresh, and starts a VM again when the pure machine
 * (core/recovery/restart.ts) says so. Every record is durable before anything is done with it.
 */
import { firstRefusal, judgePreflight } from '#core/checks/preflight.ts';
import type { HostId } from '#core/model/host.ts';
import type { Migration } from '#core/model/migration.ts';
import type { Recovery, ToldStanding } from '#core/model/recovery.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import { bytes } from '#core/model/units.ts';
import type { VmId } from '#core/model/vm.ts';
import { beginRecovery, type HostLook, type RecoveryEffect, type RecoveryEvent, restartLimits, step } from '#core/recovery/restart.ts';
import type { Stamp } from '#wire/agent-protocol.ts';
import { pause } from '#core/time.ts';
import type { AgentLines } from './agent-lines.ts';
import type { Audit } from './audit.ts';
import type { ClusterView } from './cluster-view.ts';
import type { HostLeases, LeaseWord } from './host-leases.ts';
import type { Membership } from './membership.ts';
import { inParallel } from './in-parallel.ts';
import type { ControllerParts } from './parts.ts';
import type { VmSettings } from './vm-settings.ts';

const tickMs = 1000;
const idleMs = 5000;
const renewMs = 5000;
/** To ask every host of a large cluster is not for every second. */
const lookMsMin = 3000;
const describeMsMin = 300_000;
const quickMs = 5000;
const startMsMax = 90_000;
const hostsAtOnce = 16;
/** What is started on a host shows in its samples a little later. */
const placedMs = 15_000;

export interface RecoveryRooms {
  readonly parts: ControllerParts;
  readonly lines: AgentLines;
  readonly leases: HostLeases;
  readonly view: ClusterView;
  readonly membership: Pick<Membership, 'records' | 'revokedAtMs'>;
  readonly settings: Pick<VmSettings, 'of' | 'list' | 'keepDefinition'>;
  readonly audit: Audit;
  /** The migration that a VM is in, and between which hosts. */
  readonly flightOf: (vmId: VmId) => { readonly fromHostId: HostId; readonly toHostId: HostId } | null;
}

/** A host that can run the VM, with its lease renewed just now. */
interface Chosen {
  readonly hostId: HostId;
  readonly stamp: Stamp;
}

export class Recoveries {
  readonly #rooms: RecoveryRooms;
  readonly #signal: AbortSignal;
  readonly #kept: Map<VmId, Recovery>;
  readonly #describedAtMs = new Map<VmId, number>();
  readonly #lookedAtMs = new Map<VmId, number>();
  /** One renewal of a host at a time: a list of VMs that is older never comes after a newer one. */
  readonly #turns = new Map<HostId, Promise<unknown>>();
  readonly #placed: { readonly hostId: HostId; readonly memoryBytes: number; readonly atMs: number }[] = [];
  /** One change of a record at a time. */
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(rooms: RecoveryRooms, kept: readonly Recovery[], signal: AbortSignal) {
    this.#rooms = rooms;
    this.#kept = new Map(kept.map((recovery) => [recovery.vmId, recovery]));
    this.#signal = signal;
  }

  static async load(rooms: RecoveryRooms, signal: AbortSignal): Promise<Recoveries> {
    return new Recoveries(rooms, await rooms.parts.store.recoveries(), signal);
  }

  /** By name: what is known of every VM that is, or was until just now, restartable. */
  list(): readonly Recovery[] {
    return [...this.#kept.values()].toSorted((a, b) => (a.vmName < b.vmName ? -1 : 1));
  }

  /** Whether this host's copy of the VM has ended with its lease, if its agent lives; false where that agent never confirmed it. */
  hasEnded(hostId: HostId, vmId: VmId): boolean {
    const recovery = this.#kept.get(vmId);
    return recovery !== undefined && recovery.coveredHostIds.includes(hostId) && this.#rooms.leases.isOver(hostId);
  }

  /**
   * A migration has entered this phase. From its first one on, both hosts may have the VM: were that known only once the destination has
   * told of it, a VM that has just arrived there could be started a second time when both hosts are lost.
   */
  noteMigration({ request: { vmId, fromHostId, toHostId }, phase }: Pick<Migration, 'request' | 'phase'>): void {
    void this.#guarded('a migration could not be noted', async () => {
      await this.#change(vmId, (known) => telling(known, [fromHostId, toHostId]));
      if (phase === 'done')
        await this.#step(vmId, { kind: 'seen', hostId: toHostId, bootId: null, standing: 'here', migrationOpen: false });
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#renewals(signal), this.#restarts(signal)]);
  }

  async #renewals(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#guarded('leases could not be renewed', () =>
        inParallel(this.#boundHosts(), hostsAtOnce, (hostId) => this.#renew(hostId)),
      );
      await pause(this.#rooms.parts.clock, renewMs, signal);
    }
  }

  async #restarts(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#guarded('the marks of restartable VMs could not be read', () => this.#followSettings());
      for (const vmId of this.#kept.keys()) {
        await this.#guarded('a VM could not be looked after', () => this.#tick(vmId));
      }
      await pause(this.#rooms.parts.clock, this.#kept.size === 0 ? idleMs : tickMs, signal);
    }
  }

  async #guarded(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!this.#signal.aborted) this.#rooms.parts.log.error(what, { ...refusalOf(error) });
    }
  }

  /** Takes up VMs that were marked, and lets go of those whose mark was taken away as soon as no agent holds them any more. */
  async #followSettings(): Promise<void> {
    const { settings, parts, view } = this.#rooms;
    for (const { vmId, restartable } of settings.list()) {
      const known = this.#kept.get(vmId);
      if (restartable === (known?.wanted ?? false)) continue;
      const name = view.vms().find((vm) => vm.vmId === vmId)?.name ?? vmId;
      const fresh = beginRecovery(vmId, known?.vmName ?? name, parts.clock.nowMs());
      const told = known === undefined ? fresh : { ...fresh, toldHostIds: known.toldHostIds, vmEpoch: known.vmEpoch };
      await this.#put(vmId, () => (restartable ? told : { ...told, wanted: false, reason: 'it is not restartable any more' }));
    }
    for (const recovery of this.#kept.values()) {
      if (recovery.wanted || recovery.toldHostIds.length > 0) continue;
      await parts.store.removeRecovery(recovery.vmId);
      this.#kept.delete(recovery.vmId);
      this.#describedAtMs.delete(recovery.vmId);
      this.#lookedAtMs.delete(recovery.vmId);
    }
  }

  async #tick(vmId: VmId): Promise<void> {
    const { leases, parts } = this.#rooms;
    await this.#bindNewHosts(vmId);
    const recovery = this.#kept.get(vmId);
    if (recovery === undefined) return;
    const leaseOver = recovery.hostId !== null && leases.isSilent(recovery.hostId);
    const effect = await this.#step(vmId, { kind: 'tick', migrationOpen: this.#isMoving(vmId), leaseOver });
    const nowMs = parts.clock.monotonicMs();
    if (effect.kind !== 'look' || nowMs - (this.#lookedAtMs.get(vmId) ?? Number.NEGATIVE_INFINITY) < lookMsMin) return;
    this.#lookedAtMs.set(vmId, nowMs);
    await this.#look(vmId);
  }

  /** Where the VM is, or is about to be, its agent is told before it counts on anything. */
  async #bindNewHosts(vmId: VmId): Promise<void> {
    const { view, flightOf } = this.#rooms;
    const flight = flightOf(vmId);
    const seen = view.vms().find((vm) => vm.vmId === vmId);
    const seenOn = seen?.hostId;
    const recovery = this.#kept.get(vmId);
    // A migration has ended, and its destination has not told of the VM itself yet.
    const hasMoved = recovery?.phase === 'watched' && flight === null && seenOn !== undefined && seenOn !== recovery.hostId;
    if (hasMoved) await this.#step(vmId, { kind: 'seen', hostId: seenOn, bootId: null, standing: 'here', migrationOpen: false });
    const at = recovery?.phase === 'watched' ? recovery.hostId : null;
    const hostIds = [seenOn, at, flight?.fromHostId, flight?.toHostId].filter((hostId) => typeof hostId === 'string');
    await this.#change(vmId, (known) => {
      const told = telling(known, hostIds);
      return told === known ? known : { ...told, vmName: seen?.name ?? known.vmName };
    });
  }

  #boundHosts(): readonly HostId[] {
    const bound = new Set([...this.#kept.values()].flatMap(({ toldHostIds }) => toldHostIds));
    return [...bound].filter((hostId) => this.#rooms.lines.isUp(hostId)).toSorted();
  }

  /** A VM that a host has no more to do with is not named to it, and so let go. */
  #boundOn(hostId: HostId): readonly VmId[] {
    return [...this.#kept.values()].filter((recovery) => this.#binds(recovery, hostId)).map(({ vmId }) => vmId);
  }

  #binds({ wanted, vmId, hostId: at, phase, toldHostIds }: Recovery, hostId: HostId): boolean {
    if (!wanted || !toldHostIds.includes(hostId)) return false;
    const flight = this.#rooms.flightOf(vmId);
    // Which host has it is not settled: all of them stay bound.
    if (flight !== null || phase !== 'watched') return true;
    return at === hostId;
  }

  /** What the agent said last; null when it did not answer. */
  #renew(hostId: HostId): Promise<LeaseWord | null> {
    const turn = (this.#turns.get(hostId) ?? Promise.resolve()).then(async () => {
      const word = await this.#renewOnce(hostId);
      return word === null || word.holds || word.vms.length === 0 ? word : this.#renewOnce(hostId);
    });
    this.#turns.set(
      hostId,
      turn.catch(() => undefined),
    );
    return turn;
  }

  async #renewOnce(hostId: HostId): Promise<LeaseWord | null> {
    const named = this.#boundOn(hostId);
    // What is not confirmed any more must not be counted on from before it is said.
    for (const recovery of this.#kept.values()) {
      if (named.includes(recovery.vmId) || !recovery.coveredHostIds.includes(hostId)) continue;
      await this.#change(recovery.vmId, (known) => ({ ...known, coveredHostIds: without(known.coveredHostIds, hostId) }));
    }
    try {
      const word = await this.#rooms.leases.renew(hostId, named);
      await this.#hear(hostId, named, word);
      return word;
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#rooms.parts.log.warn('a lease was not renewed', { hostId, ...refusalOf(error) });
      return null;
    }
  }

  async #hear(hostId: HostId, named: readonly VmId[], { stamp, vms }: LeaseWord): Promise<void> {
    for (const { vmId, toldHostIds } of this.#kept.values()) {
      if (!named.includes(vmId) && toldHostIds.includes(hostId))
        await this.#change(vmId, (known) => ({ ...known, toldHostIds: without(known.toldHostIds, hostId) }));
    }
    for (const { vmId, standing, covered } of vms) {
      if (covered) await this.#change(vmId, (known) => covering(known, hostId));
      if (standing === null) continue;
      await this.#step(vmId, { kind: 'seen', hostId, bootId: stamp.bootId, standing, migrationOpen: this.#isMoving(vmId) });
      if (standing === 'here') await this.#describe(vmId, hostId);
    }
  }

  /** Its definition as it runs, for the day on which it does not. */
  async #describe(vmId: VmId, hostId: HostId): Promise<void> {
    const { parts, lines, settings } = this.#rooms;
    const nowMs = parts.clock.monotonicMs();
    const known = this.#kept.get(vmId);
    const isFresh = nowMs - (this.#describedAtMs.get(vmId) ?? Number.NEGATIVE_INFINITY) < describeMsMin;
    if (known?.hostId !== hostId || this.#isMoving(vmId) || (isFresh && known.definition !== null)) return;
    try {
      const { definition, text } = await lines.command(hostId, 'vm.describe', { vmId }, quickMs, this.#signal);
      await settings.keepDefinition(vmId, text);
      await this.#change(vmId, (recovery) => ({ ...recovery, definition, vmName: definition.name }));
      this.#describedAtMs.set(vmId, nowMs);
    } catch (error) {
      this.#signal.throwIfAborted();
      parts.log.warn('the definition of a restartable VM could not be read', { vmId, hostId, ...refusalOf(error) });
    }
  }

  async #look(vmId: VmId): Promise<void> {
    const { membership, leases, settings } = this.#rooms;
    const hosts = await inParallel(membership.records, hostsAtOnce, async ({ hostId }): Promise<HostLook> => {
      const standing = await this.#standingOn(hostId, vmId);
      return { hostId, standing, leaseOver: leases.isOver(hostId) };
    });
    const hasText = settings.of(vmId).definitionText !== null;
    const effect = await this.#step(vmId, { kind: 'looked', migrationOpen: this.#isMoving(vmId), hosts, hasText });
    if (effect.kind === 'choose') await this.#restart(vmId, hosts);
  }

  async #standingOn(hostId: HostId, vmId: VmId): Promise<ToldStanding | null> {
    const { lines } = this.#rooms;
    if (!lines.isUp(hostId)) return null;
    try {
      return (await lines.command(hostId, 'lease.look', { vmId }, quickMs, this.#signal)).standing;
    } catch {
      this.#signal.throwIfAborted();
      return null;
    }
  }

  async #restart(vmId: VmId, hosts: readonly HostLook[]): Promise<void> {
    const { parts, audit } = this.#rooms;
    const before = this.#kept.get(vmId);
    const chosen = before && (await this.#choose(before, hosts));
    if (!chosen) return;
    const vmEpoch = await parts.store.nextVmEpoch(vmId);
    const why = `started on ${chosen.hostId}: ${before.reason}`;
    const effect = await this.#step(vmId, { kind: 'chosen', hostId: chosen.hostId, vmEpoch, why });
    if (effect.kind !== 'start') return;
    await audit.note('recovery', 'vm.start', before.vmName, why);
    await this.#step(vmId, { kind: 'ordered', ...(await this.#order(vmId, effect.vmEpoch, chosen)) });
  }

  async #order(vmId: VmId, vmEpoch: number, { hostId, stamp }: Chosen): Promise<Omit<Extract<RecoveryEvent, { kind: 'ordered' }>, 'kind'>> {
    const { lines, settings, view, parts } = this.#rooms;
    try {
      const text = settings.of(vmId).definitionText ?? '';
      await lines.command(hostId, 'vm.start', { vmId, vmEpoch, text, since: stamp }, startMsMax, this.#signal);
      view.place(vmId, hostId, parts.clock.nowMs());
      return { outcome: 'started', why: `it runs on ${hostId}` };
    } catch (error) {
      this.#signal.throwIfAborted();
      const { code, message } = refusalOf(error);
      return { outcome: isUnclear(code) ? 'unclear' : 'refused', why: `it was not started on ${hostId} (${code}): ${message}` };
    }
  }

  /** The host that it ran on, if that is up; else the one with the most free memory. Each is asked whether it can run it. */
  async #choose(recovery: Recovery, looks: readonly HostLook[]): Promise<Chosen | null> {
    const { view, parts, membership } = this.#rooms;
    const nowMs = parts.clock.nowMs();
    const ups = view.hosts().filter((host) => view.status(host, nowMs) === 'up' && membership.revokedAtMs(host.hostId) === null);
    const answered = ups
      .map(({ hostId }) => hostId)
      .filter((hostId) => looks.some((look) => look.hostId === hostId && look.standing !== null));
    const offers = await inParallel(answered, hostsAtOnce, (hostId) => this.#offer(recovery, hostId));
    const fit = offers.filter(({ refusal }) => refusal === null).toSorted((a, b) => b.freeBytes - a.freeBytes);
    const first = fit.find(({ hostId }) => hostId === recovery.hostId) ?? fit[0];
    if (first === undefined) {
      const reasons = offers.map(({ refusal }) => refusal).filter((refusal) => refusal !== null);
      await this.#step(recovery.vmId, { kind: 'unfit', why: `no host can run it: ${reasons[0] ?? 'no other host is up'}`.slice(0, 1000) });
      return null;
    }
    const stamp = await this.#bind(recovery.vmId, first.hostId);
    if (stamp === null) await this.#step(recovery.vmId, { kind: 'unfit', why: `${first.hostId} did not take a lease for it` });
    else if (recovery.definition !== null)
      this.#placed.push({ hostId: first.hostId, memoryBytes: recovery.definition.memoryBytes, atMs: nowMs });
    return stamp && { hostId: first.hostId, stamp };
  }

  /** Null unless the lease of the host holds and binds the VM. */
  async #bind(vmId: VmId, hostId: HostId): Promise<Stamp | null> {
    await this.#change(vmId, (known) => telling(known, [hostId]));
    const word = await this.#renew(hostId);
    const isCovered = this.#kept.get(vmId)?.coveredHostIds.includes(hostId) ?? false;
    return word?.holds === true && isCovered ? word.stamp : null;
  }

  async #offer(
    recovery: Recovery,
    hostId: HostId,
  ): Promise<{ readonly hostId: HostId; readonly refusal: string | null; readonly freeBytes: number }> {
    const { lines, settings, view, parts } = this.#rooms;
    const { vmId, vmName, definition } = recovery;
    const text = settings.of(vmId).definitionText;
    const incoming = this.#incomingBytes(hostId);
    try {
      if (definition === null || text === null) throw new PlimsollError('vm-unknown', 'its definition is not known');
      const { offer } = await lines.command(hostId, 'vm.offer', { definition, text }, quickMs, this.#signal);
      const { vcpus, memoryBytes } = definition;
      const row = judgePreflight({
        vm: { vmId, name: vmName, state: 'running', vcpus, memoryBytes, persistent: true, jobActive: false, postCopy: null },
        sourceHostId: 'its last host',
        hostId,
        definition,
        offer,
        sourceVersions: null,
        host: null,
        certificate: null,
        certificateLeftMs: null,
        predictedTotalMsMax: null,
        clock: null,
        channel: 'not-looked-at',
        otherMigrationId: null,
        method: 'auto',
        methodFault: 'not-looked-at',
        incomingBytes: bytes(incoming),
        rules: [],
        coolDownLeftMs: 0,
        askedBy: 'operator',
        downtime: 'not-looked-at',
      });
      return { hostId, refusal: firstRefusal(row)?.message ?? null, freeBytes: (offer.memoryFreeBytes ?? 0) - incoming };
    } catch (error) {
      this.#signal.throwIfAborted();
      const host = view.host(hostId);
      parts.log.warn('a host does not say whether it can run a VM', { vmId, hostId: host?.hostId ?? hostId, ...refusalOf(error) });
      return { hostId, refusal: refusalOf(error).message, freeBytes: 0 };
    }
  }

  #incomingBytes(hostId: HostId): number {
    const sinceMs = this.#rooms.parts.clock.nowMs() - placedMs;
    while (this.#placed[0] !== undefined && this.#placed[0].atMs < sinceMs) this.#placed.shift();
    return this.#placed.reduce((sum, placed) => sum + (placed.hostId === hostId ? placed.memoryBytes : 0), 0);
  }

  #isMoving(vmId: VmId): boolean {
    return this.#rooms.flightOf(vmId) !== null;
  }

  /** Runs the machine; what it says is durable, and in the log, before its effect is performed. */
  async #step(vmId: VmId, event: RecoveryEvent): Promise<RecoveryEffect> {
    const { parts } = this.#rooms;
    let effect: RecoveryEffect = { kind: 'none' };
    await this.#change(vmId, (known) => {
      const done = step(known, event, parts.clock.nowMs(), restartLimits);
      effect = done.effect;
      return done.recovery;
    });
    return effect;
  }

  /** A record that is gone stays gone. */
  #change(vmId: VmId, change: (known: Recovery) => Recovery): Promise<void> {
    return this.#put(vmId, (known) => known && change(known));
  }

  /** Durable when it resolves. */
  #put(vmId: VmId, change: (known: Recovery | undefined) => Recovery | undefined): Promise<void> {
    const done = this.#tail.then(async () => {
      const known = this.#kept.get(vmId);
      const next = change(known);
      if (next === known || next === undefined) return;
      await this.#rooms.parts.store.saveRecovery(next);
      this.#kept.set(vmId, next);
      this.#tell(known, next);
    });
    this.#tail = done.catch(() => undefined);
    return done;
  }

  #tell(before: Recovery | undefined, { vmName, phase, reason, hostId }: Recovery): void {
    if (before?.phase === phase && before.reason === reason) return;
    const level = phase === 'watched' || phase === 'off' ? 'info' : 'warn';
    this.#rooms.parts.log[level]('restartable VM', { vm: vmName, phase, hostId, reason });
  }
}

/** These hosts are told that the VM runs there under their lease only. */
function telling(known: Recovery, hostIds: readonly HostId[]): Recovery {
  const isNew = known.wanted && hostIds.some((hostId) => !known.toldHostIds.includes(hostId));
  return isNew ? { ...known, toldHostIds: [...new Set([...known.toldHostIds, ...hostIds])] } : known;
}

function covering(known: Recovery, hostId: HostId): Recovery {
  return known.coveredHostIds.includes(hostId) ? known : { ...known, coveredHostIds: [...known.coveredHostIds, hostId] };
}

function without(hostIds: readonly HostId[], hostId: HostId): readonly HostId[] {
  return hostIds.filter((other) => other !== hostId);
}

/** With these the hypervisor may have begun, or may still begin. */
function isUnclear(code: string): boolean {
  return (
    code === 'link-lost' ||
    code === 'command-timeout' ||
    code === 'message-invalid' ||
    code === 'hypervisor-unavailable' ||
    code === 'aborted'
  );
}
