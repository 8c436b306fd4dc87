/**
 * VMs that are marked restartable: keeps their hosts' leases and their definitions fresh, and starts a VM again when the pure machine
 * (core/recovery/restart.ts) says so. Every record is durable before anything is done with it.
 */
import { outcomeOf } from '#core/migration/step.ts';
import type { HostId } from '#core/model/host.ts';
import type { Migration } from '#core/model/migration.ts';
import type { Recovery, ToldStanding } from '#core/model/recovery.ts';
import { refusalOf } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import { lossOf } from '#core/recovery/loss.ts';
import { beginRecovery, type HostLook, type RecoveryEffect, type RecoveryEvent } from '#core/recovery/restart.ts';
import type { Stamp } from '#wire/agent-protocol.ts';
import { pause } from '#core/time.ts';
import type { AgentLines } from './agent-lines.ts';
import type { Audit } from './audit.ts';
import type { ClusterView } from './cluster-view.ts';
import type { HostLeases, LeaseWord } from './host-leases.ts';
import type { Membership } from './membership.ts';
import { inParallel } from './in-parallel.ts';
import type { ControllerParts } from './parts.ts';
import type { Flights } from './preflight.ts';
import { RecoveryOffers } from './recovery-offers.ts';
import { RecoveryRecords } from './recovery-records.ts';
import type { RulesAgainst } from './surveys.ts';
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

export interface RecoveryRooms {
  readonly parts: ControllerParts;
  readonly lines: AgentLines;
  readonly leases: HostLeases;
  readonly view: ClusterView;
  readonly membership: Pick<Membership, 'records' | 'revokedAtMs'>;
  readonly settings: Pick<VmSettings, 'of' | 'list' | 'keepDefinition'>;
  readonly audit: Audit;
  readonly rulesAgainst: RulesAgainst;
  /** The migration that a VM is in, and between which hosts. */
  readonly flightOf: (vmId: VmId) => { readonly fromHostId: HostId; readonly toHostId: HostId } | null;
  readonly flights: Pick<Flights, 'incomingBytes'>;
}

type Because = Extract<RecoveryEffect, { kind: 'choose' }>;
type Answer = Pick<Extract<RecoveryEvent, { kind: 'ordered' }>, 'outcome' | 'why'>;

/** A host that can run the VM, with its lease renewed just now. */
interface Chosen {
  readonly hostId: HostId;
  readonly stamp: Stamp;
}

export class Recoveries {
  readonly #rooms: RecoveryRooms;
  readonly #signal: AbortSignal;
  readonly #records: RecoveryRecords;
  readonly #offers: RecoveryOffers;
  readonly #describedAtMs = new Map<VmId, number>();
  readonly #lookedAtMs = new Map<VmId, number>();
  /** One renewal of a host at a time: a list of VMs that is older never comes after a newer one. */
  readonly #turns = new Map<HostId, Promise<unknown>>();
  /** Hosts that were told of a VM and did not answer at the last look. */
  #away: ReadonlySet<HostId> = new Set();

  private constructor(rooms: RecoveryRooms, records: RecoveryRecords, signal: AbortSignal) {
    this.#rooms = rooms;
    this.#records = records;
    this.#offers = new RecoveryOffers(rooms, signal);
    this.#signal = signal;
  }

  static async load(rooms: RecoveryRooms, signal: AbortSignal): Promise<Recoveries> {
    return new Recoveries(rooms, await RecoveryRecords.load(rooms.parts), signal);
  }

  /**
   * A migration has entered this phase. From its first one on, both hosts may have the VM: were that known only once the destination has
   * told of it, a VM that has just arrived there could be started a second time when both hosts are lost.
   */
  noteMigration(migration: Migration): void {
    const { request, phase } = migration;
    const { vmId, fromHostId, toHostId } = request;
    void this.#guarded('a migration could not be noted', async () => {
      await this.#records.change(vmId, (known) => telling(known, [fromHostId, toHostId]));
      if (phase === 'done') await this.#arrived(vmId, toHostId);
      if (phase === 'failed' && outcomeOf(migration) === 'unclear') await this.#records.step(vmId, lossOf(migration));
    });
  }

  async #arrived(vmId: VmId, hostId: HostId): Promise<void> {
    const bootId = this.#rooms.leases.bootOf(hostId);
    await this.#records.step(vmId, { kind: 'seen', hostId, bootId, standing: 'here', migrationOpen: false });
  }

  isRestartable(vmId: VmId): boolean {
    return this.#records.get(vmId)?.wanted === true;
  }

  /** Whether a host that says nothing any more has ended this VM with its lease, as its agent has confirmed that it would. */
  hasFenced(hostId: HostId, vmId: VmId): boolean {
    const known = this.#records.get(vmId);
    return known?.wanted === true && known.coveredHostIds.includes(hostId) && this.#rooms.leases.isSilent(hostId);
  }

  /** The boot that a host is in now, as it says itself; null where it does not. */
  async bootOf(hostId: HostId): Promise<string | null> {
    return this.#rooms.lines.isUp(hostId) ? ((await this.#renew(hostId))?.stamp.bootId ?? null) : null;
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#renewals(signal), this.#restarts(signal)]);
  }

  async #renewals(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#renewAll(this.#boundHosts());
      await pause(this.#rooms.parts.clock, renewMs, signal);
    }
  }

  #renewAll(hostIds: readonly HostId[]): Promise<void> {
    return this.#guarded('leases could not be renewed', () => inParallel(hostIds, hostsAtOnce, (hostId) => this.#renew(hostId)));
  }

  /** Their leases may be over. Until they are told otherwise they refuse VMs that have moved on meanwhile, and end those that have not. */
  #returnedHosts(): readonly HostId[] {
    const up = this.#boundHosts();
    const returned = up.filter((hostId) => this.#away.has(hostId));
    this.#away = new Set(this.#records.all.flatMap(({ toldHostIds }) => toldHostIds).filter((hostId) => !up.includes(hostId)));
    return returned;
  }

  async #restarts(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#guarded('the marks of restartable VMs could not be read', () => this.#followSettings());
      void this.#renewAll(this.#returnedHosts());
      for (const { vmId } of this.#records.all) {
        await this.#guarded('a VM could not be looked after', () => this.#tick(vmId));
      }
      await pause(this.#rooms.parts.clock, this.#records.all.length === 0 ? idleMs : tickMs, signal);
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
      const known = this.#records.get(vmId);
      if (restartable === (known?.wanted ?? false)) continue;
      const name = view.vms().find((vm) => vm.vmId === vmId)?.name ?? vmId;
      const fresh = beginRecovery(vmId, known?.vmName ?? name, parts.clock.nowMs());
      const told = known === undefined ? fresh : { ...fresh, toldHostIds: known.toldHostIds, vmEpoch: known.vmEpoch };
      await this.#records.put(vmId, () => (restartable ? told : { ...told, wanted: false, reason: 'it is not restartable any more' }));
    }
    for (const recovery of this.#records.all) {
      if (recovery.wanted || recovery.toldHostIds.length > 0) continue;
      await this.#records.remove(recovery.vmId);
      this.#describedAtMs.delete(recovery.vmId);
      this.#lookedAtMs.delete(recovery.vmId);
    }
  }

  async #tick(vmId: VmId): Promise<void> {
    const { leases, parts } = this.#rooms;
    await this.#bindNewHosts(vmId);
    const recovery = this.#records.get(vmId);
    if (recovery === undefined) return;
    const leaseOver = recovery.hostId !== null && leases.isSilent(recovery.hostId);
    const effect = await this.#records.step(vmId, { kind: 'tick', migrationOpen: this.#isMoving(vmId), leaseOver });
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
    const recovery = this.#records.get(vmId);
    // A migration has ended, and its destination has not told of the VM itself yet.
    const hasMoved = recovery?.phase === 'watched' && flight === null && seenOn !== undefined && seenOn !== recovery.hostId;
    if (hasMoved) await this.#arrived(vmId, seenOn);
    const at = recovery?.phase === 'watched' ? recovery.hostId : null;
    const hostIds = [seenOn, at, flight?.fromHostId, flight?.toHostId].filter((hostId) => typeof hostId === 'string');
    await this.#records.change(vmId, (known) => {
      const told = telling(known, hostIds);
      return told === known ? known : { ...told, vmName: seen?.name ?? known.vmName };
    });
  }

  #boundHosts(): readonly HostId[] {
    const bound = new Set(this.#records.all.flatMap(({ toldHostIds }) => toldHostIds));
    return [...bound].filter((hostId) => this.#rooms.lines.isUp(hostId)).toSorted();
  }

  /** A VM that a host has no more to do with is not named to it, and so let go. */
  #boundOn(hostId: HostId): readonly VmId[] {
    return this.#records.all.filter((recovery) => this.#binds(recovery, hostId)).map(({ vmId }) => vmId);
  }

  #binds({ wanted, vmId, hostId: at, phase, toldHostIds }: Recovery, hostId: HostId): boolean {
    if (!wanted || !toldHostIds.includes(hostId)) return false;
    const flight = this.#rooms.flightOf(vmId);
    // Which host has it is not settled: all of them stay bound.
    if (flight !== null || phase !== 'watched') return true;
    return at === hostId;
  }

  /** What the agent said last; null when it did not answer. The first answer may only tell the time, or come for a time that is long over. */
  #renew(hostId: HostId): Promise<LeaseWord | null> {
    const turn = (this.#turns.get(hostId) ?? Promise.resolve()).then(async () => {
      const word = await this.#renewOnce(hostId);
      return word === null || bindsAll(word) ? word : this.#renewOnce(hostId);
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
    for (const recovery of this.#records.all) {
      if (named.includes(recovery.vmId) || !recovery.coveredHostIds.includes(hostId)) continue;
      await this.#records.change(recovery.vmId, (known) => ({ ...known, coveredHostIds: without(known.coveredHostIds, hostId) }));
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
    for (const { vmId, toldHostIds } of this.#records.all) {
      if (!named.includes(vmId) && toldHostIds.includes(hostId))
        await this.#records.change(vmId, (known) => ({ ...known, toldHostIds: without(known.toldHostIds, hostId) }));
    }
    for (const { vmId, standing, covered } of vms) {
      if (covered) await this.#records.change(vmId, (known) => covering(known, hostId));
      if (standing === null) continue;
      await this.#records.step(vmId, { kind: 'seen', hostId, bootId: stamp.bootId, standing, migrationOpen: this.#isMoving(vmId) });
      if (standing === 'here') await this.#describe(vmId, hostId);
    }
  }

  /** Its definition as it runs, for the day on which it does not. */
  async #describe(vmId: VmId, hostId: HostId): Promise<void> {
    const { parts, lines, settings } = this.#rooms;
    const nowMs = parts.clock.monotonicMs();
    const known = this.#records.get(vmId);
    const isFresh = nowMs - (this.#describedAtMs.get(vmId) ?? Number.NEGATIVE_INFINITY) < describeMsMin;
    if (known?.hostId !== hostId || (known.definition !== null && (isFresh || this.#isMoving(vmId)))) return;
    try {
      const { definition, text } = await lines.command(hostId, 'vm.describe', { vmId }, quickMs, this.#signal);
      await settings.keepDefinition(vmId, text);
      await this.#records.change(vmId, (recovery) => ({ ...recovery, definition, vmName: definition.name }));
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
    const effect = await this.#records.step(vmId, { kind: 'looked', migrationOpen: this.#isMoving(vmId), hosts, hasText });
    if (effect.kind === 'choose') await this.#restart(vmId, hosts, effect);
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

  async #restart(vmId: VmId, hosts: readonly HostLook[], because: Because): Promise<void> {
    const { parts, audit } = this.#rooms;
    const before = this.#records.get(vmId);
    const chosen = before && (await this.#choose(before, hosts));
    if (!chosen) return;
    const vmEpoch = await parts.store.nextVmEpoch(vmId);
    const why = `started on ${chosen.hostId}: ${because.why}`;
    const effect = await this.#records.step(vmId, { kind: 'chosen', hostId: chosen.hostId, bootId: chosen.stamp.bootId, vmEpoch, why });
    if (effect.kind !== 'start') return;
    await audit.note('recovery', 'vm.start', before.vmName, why);
    await this.#records.step(vmId, { kind: 'ordered', unseen: because.unseen, ...(await this.#order(vmId, effect.vmEpoch, chosen)) });
  }

  async #order(vmId: VmId, vmEpoch: number, { hostId, stamp }: Chosen): Promise<Answer> {
    const { lines, settings, view, parts } = this.#rooms;
    try {
      const text = settings.of(vmId).definitionText ?? '';
      await lines.command(hostId, 'vm.start', { vmId, vmEpoch, text, since: stamp }, startMsMax, this.#signal);
      view.place(vmId, hostId, parts.clock.nowMs());
      return { outcome: 'started', why: `it runs on ${hostId}` };
    } catch (error) {
      this.#signal.throwIfAborted();
      const { code, message } = refusalOf(error);
      return { outcome: outcomeOfRefusal(code), why: `it was not started on ${hostId} (${code}): ${message}` };
    }
  }

  /** Among the hosts that have just told that they do not run it. */
  async #choose(recovery: Recovery, looks: readonly HostLook[]): Promise<Chosen | null> {
    const { view, parts, membership, settings } = this.#rooms;
    const nowMs = parts.clock.nowMs();
    const ups = view.hosts().filter((host) => view.status(host, nowMs) === 'up' && membership.revokedAtMs(host.hostId) === null);
    const asked = ups
      .map(({ hostId }) => hostId)
      .filter((hostId) => looks.some((look) => look.hostId === hostId && look.standing !== null));
    const best = await this.#offers.best(recovery, settings.of(recovery.vmId).definitionText, asked);
    const stamp = 'hostId' in best ? await this.#bind(recovery.vmId, best.hostId) : null;
    if ('hostId' in best && stamp !== null) {
      this.#offers.place(recovery, best.hostId);
      return { hostId: best.hostId, stamp };
    }
    await this.#records.step(recovery.vmId, {
      kind: 'unfit',
      why: 'hostId' in best ? `${best.hostId} did not take a lease for it` : best.why,
    });
    return null;
  }

  /** Null unless the lease of the host holds and binds the VM. */
  async #bind(vmId: VmId, hostId: HostId): Promise<Stamp | null> {
    await this.#records.change(vmId, (known) => telling(known, [hostId]));
    const word = await this.#renew(hostId);
    const isCovered = this.#records.get(vmId)?.coveredHostIds.includes(hostId) ?? false;
    return word?.holds === true && isCovered ? word.stamp : null;
  }

  #isMoving(vmId: VmId): boolean {
    return this.#rooms.flightOf(vmId) !== null;
  }
}

/** Whether every VM that was named runs under a lease now, as far as could be seen. */
function bindsAll({ holds, vms }: LeaseWord): boolean {
  return vms.length === 0 || (holds && vms.every(({ standing, covered }) => covered || standing === null));
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

function outcomeOfRefusal(code: string): 'refused' | 'held' | 'unclear' {
  if (code === 'lock-held') return 'held';
  return unclearCodes.has(code) ? 'unclear' : 'refused';
}

/** With these the hypervisor may have begun, or may still begin. */
const unclearCodes: ReadonlySet<string> = new Set(['link-lost', 'command-timeout', 'message-invalid', 'hypervisor-unavailable', 'aborted']);
