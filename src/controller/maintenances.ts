/** Takes hosts through maintenance: what comes next is decided in the core, drains do it. One maintenance at a time. */
import type { HostId } from '#core/model/host.ts';
import type { Maintenance } from '#core/model/maintenance.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import { drainSteps } from '#core/planner/drain.ts';
import {
  advanceMaintenance,
  type MaintenanceFacts,
  maintenanceFault,
  type MaintenanceOrder,
  withReady,
} from '#core/planner/maintenance.ts';
import { pause } from '#core/time.ts';
import type { MaintenanceHostResource, MaintenancePreviewResource, MaintenanceResource, MaintenanceWish } from '#wire/maintenance-api.ts';
import type { Audit } from './audit.ts';
import type { ClusterView } from './cluster-view.ts';
import type { Drains } from './drains.ts';
import type { Membership } from './membership.ts';
import type { ControllerParts } from './parts.ts';
import type { Recoveries } from './recovery.ts';
import type { Surveys } from './surveys.ts';

const passMs = 1000;
const shownIdLength = 12;

export interface MaintenanceRooms {
  readonly parts: ControllerParts;
  readonly view: ClusterView;
  readonly membership: Membership;
  readonly surveys: Surveys;
  readonly drains: Drains;
  readonly recoveries: Pick<Recoveries, 'bootOf'>;
  readonly audit: Audit;
}

export class Maintenances {
  readonly #rooms: MaintenanceRooms;
  #latest: Maintenance | null;
  #held: ReadonlyMap<HostId, string> = new Map();
  /** What was last said of what does not go on. */
  #told = '';
  /** Resolves when there may be something to do. */
  #wake = Promise.withResolvers<void>();
  /** One change of the record at a time. */
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(rooms: MaintenanceRooms, latest: Maintenance | null) {
    this.#rooms = rooms;
    this.#latest = latest;
  }

  /** With what a controller before this one was at. */
  static async load(rooms: MaintenanceRooms): Promise<Maintenances> {
    return new Maintenances(rooms, await rooms.parts.store.latestMaintenance());
  }

  /** Goes on until the signal aborts; nothing is looked at while there is no maintenance. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#rooms.parts;
    signal.addEventListener('abort', () => this.#wake.resolve(), { once: true });
    if (this.#active() !== null) log.warn('taking up a maintenance after a restart', { hosts: this.#active()?.hosts.length });
    while (!signal.aborted) {
      if (this.#active() === null) await this.#wake.promise;
      this.#wake = Promise.withResolvers();
      try {
        await this.#pass();
      } catch (error) {
        if (!signal.aborted) log.error('a maintenance could not go on', { ...refusalOf(error) });
      }
      if (!(await pause(clock, passMs, signal))) return;
    }
  }

  /** The newest. Throws `maintenance-unknown`. */
  async show(): Promise<MaintenanceResource> {
    const maintenance = this.#latest;
    if (maintenance === null)
      throw new PlimsollError('maintenance-unknown', "there was no maintenance yet: 'plimsoll maintenance start HOST...' begins one");
    const hosts = maintenance.hosts.map(async ({ hostId, phase, phaseSinceMs }): Promise<MaintenanceHostResource> => {
      const held = maintenance.endedAtMs === null ? (this.#held.get(hostId) ?? null) : null;
      const base = { hostId, phase, phaseSinceMs, held };
      if (phase === 'waiting' || this.#rooms.drains.phaseOf(hostId) === null)
        return { ...base, moving: 0, waiting: 0, away: [], stays: [] };
      const { moving, waiting, away, stays } = await this.#rooms.drains.show(hostId);
      return { ...base, moving: moving.length, waiting, away, stays };
    });
    return { ...maintenance, hosts: await Promise.all(hosts) };
  }

  /** What would be moved where now, host after host. Throws as `start`, but for what only keeps it from being begun. */
  async preview(wish: MaintenanceWish): Promise<MaintenancePreviewResource> {
    const snapshot = await this.#rooms.surveys.snapshot();
    const hosts = this.#hostIdsOf(wish).map((hostId) => {
      const { steps, stays, unseen } = drainSteps(snapshot, hostId, snapshot.takenAtMs);
      return { drain: { hostId, steps: [...steps], stays: [...stays], unseen }, fault: maintenanceFault(snapshot, hostId, []) };
    });
    return { refusal: this.#refusalOf(wish)?.message ?? null, hosts };
  }

  /** Begins. Throws `host-unknown`, `host-revoked`, `input-invalid`, `maintenance-active`, `host-draining`. */
  async start(wish: MaintenanceWish, by: string): Promise<MaintenanceResource> {
    const hostIds = this.#hostIdsOf(wish);
    await this.#inTurn(async () => {
      const refusal = this.#refusalOf(wish);
      if (refusal !== null) throw refusal;
      const { audit, parts } = this.#rooms;
      const { parallel, until, reason } = wish;
      const nowMs = parts.clock.nowMs();
      const maintenanceId = parts.random.id().slice(0, shownIdLength);
      await audit.write(by, 'maintenance.start', maintenanceId, `${hostIds.join(', ')}; ${parallel} at a time, until ${until}; ${reason}`);
      const hosts = hostIds.map((hostId) => ({ hostId, phase: 'waiting' as const, phaseSinceMs: nowMs, bootId: null, drainSinceMs: null }));
      await this.#save({ maintenanceId, hosts, parallel, until, by, reason, startedAtMs: nowMs, endedAtMs: null, outcome: null });
    });
    return this.show();
  }

  /** A person's word that a host is back. Throws `not-in-maintenance`, `host-draining`, `host-down`. */
  async ready(hostId: HostId, by: string): Promise<MaintenanceResource> {
    await this.#inTurn(async () => {
      const maintenance = this.#active();
      const host = maintenance?.hosts.find((one) => one.hostId === hostId);
      if (maintenance === null || host === undefined || host.phase === 'waiting' || host.phase === 'done')
        throw new PlimsollError(
          'not-in-maintenance',
          `${hostId} is not in maintenance now: 'plimsoll maintenance show' tells which hosts are`,
        );
      if (host.phase === 'draining')
        throw new PlimsollError('host-draining', `${hostId} is not empty yet: 'plimsoll maintenance show' tells when it is`);
      if (host.phase === 'restoring') return;
      if (!this.#isUp(hostId))
        throw new PlimsollError(
          'host-down',
          `${hostId} is not heard of: start it, wait until 'plimsoll host list' shows it up, then say this again`,
        );
      const { audit, drains, parts } = this.#rooms;
      await audit.write(by, 'maintenance.ready', hostId, maintenance.maintenanceId);
      await this.#save(withReady(maintenance, hostId, { nowMs: parts.clock.nowMs(), drainOf: (id) => drains.find(id) }));
    });
    return this.show();
  }

  /** Begins no host any more, and stops the drains that are under way. Throws `maintenance-unknown`. */
  async cancel(by: string): Promise<MaintenanceResource> {
    await this.#inTurn(async () => {
      const maintenance = this.#active();
      if (maintenance === null) return;
      const { audit, drains, parts } = this.#rooms;
      await audit.write(by, 'maintenance.cancel', maintenance.maintenanceId);
      const under = maintenance.hosts.filter(({ phase }) => phase === 'draining' || phase === 'restoring');
      // Before it is over: what stopped halfway here would otherwise go on with nobody to look after it.
      for (const { hostId } of under) if (drains.phaseOf(hostId) !== null) await drains.cancel(hostId, by);
      await this.#save({ ...maintenance, endedAtMs: parts.clock.nowMs(), outcome: 'cancelled' });
    });
    return this.show();
  }

  #active(): Maintenance | null {
    return this.#latest?.endedAtMs === null ? this.#latest : null;
  }

  async #pass(): Promise<void> {
    const before = this.#active();
    if (before === null) return;
    const facts = await this.#facts(before);
    await this.#inTurn(async () => {
      // Somebody has changed it while it was looked at.
      if (this.#latest !== before) return;
      const { maintenance, orders, held } = advanceMaintenance(before, facts);
      if (maintenance !== before) await this.#save(maintenance);
      for (const order of orders) await this.#carryOut(maintenance, order);
      this.#held = held;
      this.#tell(held);
    });
  }

  async #carryOut({ by, reason }: Maintenance, { hostId, kind }: MaintenanceOrder): Promise<void> {
    const { drains } = this.#rooms;
    if (kind === 'drain') await drains.start(hostId, reason === '' ? 'it is taken through maintenance' : reason, by);
    else await drains.restore(hostId, by);
  }

  async #facts(maintenance: Maintenance): Promise<MaintenanceFacts> {
    const { drains, parts, recoveries, surveys } = this.#rooms;
    const away = maintenance.hosts.filter(({ phase }) => phase !== 'waiting' && phase !== 'done').map(({ hostId }) => hostId);
    const next = maintenance.hosts.find(({ phase }) => phase === 'waiting')?.hostId;
    const [stuck, boots] = [new Map<HostId, string | null>(), new Map<HostId, string | null>()];
    for (const hostId of away) stuck.set(hostId, await this.#stuckAt(hostId));
    if (maintenance.until === 'reboot')
      for (const hostId of next === undefined ? away : [...away, next])
        boots.set(hostId, this.#isUp(hostId) ? await recoveries.bootOf(hostId) : null);
    const snapshot = next === undefined ? null : await surveys.snapshot();
    const bootOf = (hostId: HostId) => boots.get(hostId) ?? null;
    // One that is filled again takes back what is its own.
    const emptying = maintenance.hosts.filter(({ phase }) => phase === 'draining' || phase === 'empty').map(({ hostId }) => hostId);
    return {
      nowMs: parts.clock.nowMs(),
      drainOf: (hostId) => drains.find(hostId),
      stuckAt: (hostId) => stuck.get(hostId) ?? null,
      bootOf,
      faultOf: (hostId) => {
        if (maintenance.until === 'reboot' && bootOf(hostId) === null) return 'its agent does not say which boot it is in';
        return snapshot === null ? null : maintenanceFault(snapshot, hostId, emptying);
      },
    };
  }

  /** Why what is done with a host's VMs does not go on by itself; null while it does. */
  async #stuckAt(hostId: HostId): Promise<string | null> {
    const phase = this.#rooms.drains.phaseOf(hostId);
    if (phase !== 'draining' && phase !== 'restoring') return null;
    const { moving, waiting, stays, unseen } = await this.#rooms.drains.show(hostId);
    if (moving.length > 0 || waiting > 0) return null;
    const first = stays.find(({ passing }) => !passing);
    if (first !== undefined) return `${first.vmName} cannot be moved (${first.code}): ${first.reason}`;
    return unseen === null ? null : `what runs there is not known: ${unseen}`;
  }

  /** Once, until it is another. */
  #tell(held: ReadonlyMap<HostId, string>): void {
    const gist = [...held.keys()].join(' ');
    if (gist === this.#told) return;
    this.#told = gist;
    for (const [hostId, reason] of held) this.#rooms.parts.log.info('maintenance waits', { hostId, reason });
  }

  #isUp(hostId: HostId): boolean {
    const host = this.#rooms.view.host(hostId);
    return host !== undefined && this.#rooms.view.status(host, this.#rooms.parts.clock.nowMs()) === 'up';
  }

  /** Throws `host-unknown`, `host-revoked`, `input-invalid`. */
  #hostIdsOf({ hostIds }: Pick<MaintenanceWish, 'hostIds'>): readonly HostId[] {
    const { view, membership } = this.#rooms;
    if (hostIds === null) {
      const members = view.hosts().filter(({ hostId }) => membership.revokedAtMs(hostId) === null);
      if (members.length === 0) throw new PlimsollError('host-unknown', 'there is no host yet: see docs/install.md');
      return members.map(({ hostId }) => hostId);
    }
    const twice = hostIds.find((hostId, index) => hostIds.indexOf(hostId) < index);
    if (twice !== undefined) throw new PlimsollError('input-invalid', `${twice} is named twice: name each host once`);
    for (const hostId of hostIds) {
      if (view.host(hostId) === undefined)
        throw new PlimsollError('host-unknown', `there is no host ${hostId}: 'plimsoll host list' shows all`);
      membership.mustBeMember(hostId);
    }
    return hostIds;
  }

  /** Why it is not begun now. */
  #refusalOf(wish: MaintenanceWish): PlimsollError | null {
    if (this.#active() !== null)
      return new PlimsollError(
        'maintenance-active',
        "a maintenance is under way: wait for its end ('plimsoll maintenance show'), or end it with 'plimsoll maintenance cancel'",
      );
    const { drains } = this.#rooms;
    for (const hostId of this.#hostIdsOf(wish)) {
      const phase = drains.phaseOf(hostId);
      if (phase === 'draining' || phase === 'drained' || phase === 'restoring')
        return new PlimsollError(
          'host-draining',
          `${hostId} has a drain of its own, which is ${phase}: bring it to its end with 'plimsoll host restore ${hostId}' first`,
        );
    }
    return null;
  }

  async #save(maintenance: Maintenance): Promise<void> {
    const before = this.#latest;
    await this.#rooms.parts.store.saveMaintenance(maintenance);
    this.#latest = maintenance;
    const { log } = this.#rooms.parts;
    for (const { hostId, phase } of maintenance.hosts)
      if (before?.hosts.find((one) => one.hostId === hostId)?.phase !== phase) log.info('maintenance', { hostId, phase });
    if (maintenance.outcome !== null) log.info('maintenance is over', { outcome: maintenance.outcome });
    if (maintenance.endedAtMs !== null) this.#held = new Map();
    this.#wake.resolve();
  }

  #inTurn(change: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(change);
    this.#tail = done.catch(() => null);
    return done;
  }
}
