/** Empties hosts and brings their VMs back: what is moved next is decided in the core, the executor moves it. */
import type { Drain, DrainPhase } from '#core/model/drain.ts';
import type { HostId } from '#core/model/host.ts';
import type { Policy } from '#core/model/policy.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { type DrainDecision, drainSteps, type DrainStep, movedAway, restoreSteps } from '#core/planner/drain.ts';
import { startableMoves } from '#core/planner/migration-limits.ts';
import { pause } from '#core/time.ts';
import type { DrainPreviewResource, DrainResource } from '#wire/placement-api.ts';
import type { Audit } from './audit.ts';
import type { ClusterView } from './cluster-view.ts';
import type { Executor } from './executor.ts';
import type { ControllerParts } from './parts.ts';
import type { Rulings } from './rulings.ts';
import type { Surveys } from './surveys.ts';

/** The queue is looked at this often; what is decided is decided on the newest samples. */
const passMs = 1000;

export interface DrainRooms {
  readonly parts: ControllerParts;
  readonly policy: Policy;
  readonly view: ClusterView;
  readonly executor: Executor;
  readonly surveys: Surveys;
  readonly rulings: Rulings;
  readonly audit: Audit;
}

/** How one of them stands. */
interface Pass {
  readonly snapshot: Snapshot;
  readonly decision: DrainDecision;
  /** What is on its way from the host, or to it: it is neither empty nor filled again before they have ended. */
  readonly moving: Snapshot['inFlight'];
}

/**
 * Nothing of the decision waits for a moment. A host counts as drained only by a sample that has come since the drain began: what was started
 * there just before its cordon shows in the next one only.
 */
function isLasting({ phase, phaseSinceMs }: Drain, { stays, unseen }: DrainDecision, heardAtMs: number): boolean {
  const isSeen = phase === 'restoring' || (unseen === null && heardAtMs >= phaseSinceMs);
  return isSeen && stays.every(({ passing }) => !passing);
}

export class Drains {
  readonly #rooms: DrainRooms;
  readonly #drains = new Map<HostId, Drain>();
  /** What was last said of VMs that cannot be moved. */
  readonly #told = new Map<HostId, string>();
  /** Resolves when there may be something to do. */
  #wake = Promise.withResolvers<void>();
  /** One change of a record at a time. */
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(rooms: DrainRooms) {
    this.#rooms = rooms;
  }

  /** With what a controller before this one was at. */
  static async load(rooms: DrainRooms): Promise<Drains> {
    const drains = new Drains(rooms);
    for (const drain of await rooms.parts.store.drains()) drains.#drains.set(drain.hostId, drain);
    return drains;
  }

  /** Moves on until the signal aborts; nothing is looked at while no host is drained or restored. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake.resolve(), { once: true });
    for (const drain of this.#active())
      this.#rooms.parts.log.warn('taking up a drain after a restart', { hostId: drain.hostId, phase: drain.phase });
    while (!signal.aborted) {
      if (this.#active().length === 0) await this.#wake.promise;
      this.#wake = Promise.withResolvers();
      for (const drain of this.#active()) {
        try {
          await this.#advance(drain);
        } catch (error) {
          if (!signal.aborted) this.#rooms.parts.log.error('a drain could not go on', { hostId: drain.hostId, ...refusalOf(error) });
        }
      }
      if (!(await pause(this.#rooms.parts.clock, passMs, signal))) return;
    }
  }

  /** The newest of each host, by host. */
  list(): Promise<readonly DrainResource[]> {
    const hostIds = [...this.#drains.keys()].toSorted();
    return Promise.all(hostIds.map((hostId) => this.show(hostId)));
  }

  /** Throws `drain-unknown`. */
  async show(hostId: HostId): Promise<DrainResource> {
    const drain = this.#known(hostId);
    const { snapshot, decision, moving } = await this.#look(drain);
    const names = new Map(snapshot.vms.map((vm) => [vm.vmId, vm]));
    const isActive = drain.phase === 'draining' || drain.phase === 'restoring';
    const away = movedAway(snapshot.ledger, drain).map((vmId) => ({ vmId, vm: names.get(vmId) }));
    return {
      ...drain,
      waiting: isActive ? decision.steps.length : 0,
      moving: moving.map(({ vmId, fromHostId, toHostId }) => ({
        migrationId: this.#rooms.executor.migrationOf(vmId) ?? 'ended',
        vmId,
        vmName: names.get(vmId)?.name ?? vmId,
        fromHostId,
        toHostId,
      })),
      away: away
        .filter(({ vm }) => vm?.hostId !== hostId)
        .map(({ vmId, vm }) => ({ vmId, vmName: vm?.name ?? vmId, hostId: vm?.hostId ?? null })),
      stays: drain.phase === 'cancelled' ? [] : decision.stays,
      unseen: decision.unseen,
      settled: !isActive || (moving.length === 0 && decision.steps.length === 0 && isLasting(drain, decision, this.#heardAtMs(drain))),
    };
  }

  /** What a drain would do now. */
  async preview(hostId: HostId): Promise<DrainPreviewResource> {
    const { steps, stays, unseen } = drainSteps(await this.#rooms.surveys.snapshot(), hostId, this.#rooms.parts.clock.nowMs());
    return { hostId, steps: [...steps], stays: [...stays], unseen };
  }

  /** Cordons the host and begins. One that was cancelled goes on; one that is draining already is left as it is. */
  async start(hostId: HostId, reason: string, by: string): Promise<DrainResource> {
    const { audit, rulings, parts } = this.#rooms;
    await this.#inTurn(async () => {
      const known = this.#drains.get(hostId);
      if (known?.phase === 'draining') return;
      await audit.write(by, 'host.drain', hostId, reason);
      await rulings.cordon(hostId, reason === '' ? 'it is being drained' : reason, by);
      const nowMs = parts.clock.nowMs();
      // What it has moved before and has not brought back is still its own.
      const startedAtMs = known === undefined || known.phase === 'restored' ? nowMs : known.startedAtMs;
      await this.#save({ hostId, phase: 'draining', phaseSinceMs: nowMs, startedAtMs, by, reason });
    });
    return this.show(hostId);
  }

  /** Moves nothing more; what is under way ends. The host stays cordoned. Throws `drain-unknown`. */
  async cancel(hostId: HostId, by: string): Promise<DrainResource> {
    await this.#inTurn(async () => {
      const drain = this.#known(hostId);
      if (drain.phase !== 'draining' && drain.phase !== 'restoring') return;
      await this.#rooms.audit.write(by, 'host.drain-cancel', hostId, drain.phase);
      await this.#enter(drain, 'cancelled');
    });
    return this.show(hostId);
  }

  /** Uncordons the host and brings back what the drain has moved away, as far as it fits. Throws `drain-unknown`. */
  async restore(hostId: HostId, by: string): Promise<DrainResource> {
    await this.#inTurn(async () => {
      const drain = this.#known(hostId);
      if (drain.phase === 'restored' || drain.phase === 'restoring') return;
      await this.#rooms.audit.write(by, 'host.restore', hostId);
      await this.#rooms.rulings.uncordon(hostId, by);
      await this.#enter({ ...drain, by }, 'restoring');
    });
    return this.show(hostId);
  }

  /** The newest of the host. */
  find(hostId: HostId): Drain | null {
    return this.#drains.get(hostId) ?? null;
  }

  phaseOf(hostId: HostId): DrainPhase | null {
    return this.#drains.get(hostId)?.phase ?? null;
  }

  #active(): readonly Drain[] {
    return [...this.#drains.values()].filter(({ phase }) => phase === 'draining' || phase === 'restoring');
  }

  #known(hostId: HostId): Drain {
    const drain = this.#drains.get(hostId);
    if (!drain) throw new PlimsollError('drain-unknown', `${hostId} was never drained: 'plimsoll host drain ${hostId}' begins`);
    return drain;
  }

  async #look(drain: Drain): Promise<Pass> {
    const snapshot = await this.#rooms.surveys.snapshot(undefined, drain.startedAtMs);
    const { hostId, phase, phaseSinceMs } = drain;
    const restores = phase === 'restoring' || phase === 'restored';
    const decision = restores
      ? restoreSteps(snapshot, hostId, movedAway(snapshot.ledger, drain), phaseSinceMs)
      : drainSteps(snapshot, hostId, phaseSinceMs);
    // What somebody has sent to a host that is being emptied arrives there first.
    const moving = snapshot.inFlight.filter((flight) => flight.toHostId === hostId || (!restores && flight.fromHostId === hostId));
    return { snapshot, decision, moving };
  }

  #heardAtMs({ hostId }: Drain): number {
    return this.#rooms.view.host(hostId)?.heardAtMs ?? 0;
  }

  async #advance(drain: Drain): Promise<void> {
    const { snapshot, decision, moving } = await this.#look(drain);
    const { steps, stays } = decision;
    for (const step of startableMoves(steps, snapshot.inFlight, this.#rooms.policy)) {
      // Cancelled in the meantime.
      if (this.#drains.get(drain.hostId) !== drain) return;
      await this.#begin(drain, step);
    }
    if (steps.length > 0 || moving.length > 0) return;
    this.#tell(drain, stays);
    if (isLasting(drain, decision, this.#heardAtMs(drain)) && (drain.phase === 'restoring' || stays.length === 0))
      await this.#inTurn(async () => {
        if (this.#drains.get(drain.hostId) !== drain) return;
        await this.#enter(drain, drain.phase === 'draining' ? 'drained' : 'restored');
      });
  }

  /** Once, until it is another, and only when none of them waits for a moment. */
  #tell({ hostId, phase }: Drain, stays: DrainDecision['stays']): void {
    const lasting = stays.filter(({ passing }) => !passing);
    const gist = JSON.stringify([phase, lasting.map(({ vmId, code }) => [vmId, code])]);
    if (lasting.length < stays.length || this.#told.get(hostId) === gist) return;
    this.#told.set(hostId, gist);
    const what = phase === 'draining' ? 'a VM cannot leave' : 'a VM is not brought back';
    for (const { vmName, code, reason } of lasting) this.#rooms.parts.log.info(what, { vm: vmName, hostId, code, reason });
  }

  async #begin(drain: Drain, { vmId, vmName, fromHostId, toHostId, reason }: DrainStep): Promise<void> {
    const cause = drain.phase === 'draining' ? 'drain' : 'restore';
    const asked = { cause, askedBy: drain.by, approvedBy: null, channelKind: 'ipsec', grantId: null, planId: null } as const;
    try {
      await this.#rooms.executor.start({ vmId, vmName, fromHostId, toHostId, wish: { method: 'auto' }, ...asked });
      this.#rooms.parts.log.info('drain moves a VM', { vm: vmName, fromHostId, toHostId, cause, reason });
    } catch (error) {
      const refusal = refusalOf(error);
      // The next pass asks again.
      if (refusal.code !== 'migration-limit' && refusal.code !== 'vm-busy')
        this.#rooms.parts.log.warn('drain could not begin a move', { vm: vmName, toHostId, ...refusal });
    }
  }

  async #enter(drain: Drain, phase: DrainPhase): Promise<void> {
    await this.#save({ ...drain, phase, phaseSinceMs: this.#rooms.parts.clock.nowMs() });
  }

  async #save(drain: Drain): Promise<void> {
    await this.#rooms.parts.store.saveDrain(drain);
    this.#drains.set(drain.hostId, drain);
    this.#rooms.parts.log.info('drain', { hostId: drain.hostId, phase: drain.phase });
    this.#wake.resolve();
  }

  #inTurn(change: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(change);
    this.#tail = done.catch(() => null);
    return done;
  }
}
