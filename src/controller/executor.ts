/**
 * Runs migrations: feeds what happened to the pure machine, makes its record durable, performs its effect.
 * Every migration of the cluster goes through here, whoever asked for it.
 */
import type { HostId } from '#core/model/host.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { Migration, MigrationRequest } from '#core/model/migration.ts';
import type { Policy } from '#core/model/policy.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import type { InFlight } from '#core/model/snapshot.ts';
import { askAbort, begin, outcomeOf, recover, step, type Step, type StepLimits } from '#core/migration/step.ts';
import { isReplaced } from '#core/store-rules.ts';
import { pause } from '#core/time.ts';
import type { BusyPairs } from './busy-pairs.ts';
import { type EffectRooms, MigrationEffects } from './migration-effects.ts';
import type { AgentLines } from './agent-lines.ts';
import type { ControllerParts } from './parts.ts';
import type { Receipts } from './receipts.ts';

const openMigrationsRead = 1000;
/** Ids that people type. 48 bits: unique enough for one cluster, and nothing is secret about them. */
const shownIdLength = 12;
const truthWaitMsMax = 600_000;
/** A transfer that nobody steers any more, because its agent has died. */
const unattendedMsMax = 3_600_000;
const storeRetryMs = 1000;
/** After a restart the agents get this long to dial in before the truth is asked of them. */
const reconnectMsMax = 15_000;
const reconnectPollMs = 100;

/** What is wished for; ids and epoch are the executor's. */
export type MigrationWish = Omit<MigrationRequest, 'migrationId' | 'vmEpoch' | 'askedAtMs'>;

interface Running {
  migration: Migration;
  done: Promise<void>;
  /** One write at a time, so that an older record never comes after a newer one. */
  saved: Promise<unknown>;
}

export class Executor {
  readonly #parts: ControllerParts;
  readonly #lines: AgentLines;
  readonly #policy: Policy;
  readonly #receipts: Receipts;
  readonly #busyPairs: BusyPairs;
  readonly #effects: MigrationEffects;
  readonly #signal: AbortSignal;
  readonly #running = new Map<string, Running>();
  readonly #onChange: (migration: Migration) => void;
  /** Resolves at the next end of a migration, whatever the end. */
  #nextEnd = Promise.withResolvers<void>();

  constructor(options: {
    readonly rooms: EffectRooms;
    readonly receipts: Receipts;
    readonly busyPairs: BusyPairs;
    readonly signal: AbortSignal;
    readonly onChange: (migration: Migration) => void;
  }) {
    const { rooms, signal } = options;
    this.#parts = rooms.parts;
    this.#lines = rooms.lines;
    this.#policy = rooms.policy;
    this.#receipts = options.receipts;
    this.#busyPairs = options.busyPairs;
    this.#signal = signal;
    this.#onChange = options.onChange;
    this.#effects = new MigrationEffects(rooms, signal);
  }

  inFlight(): readonly InFlight[] {
    return [...this.#running.values()].map(({ migration: { request } }) => ({
      vmId: request.vmId,
      fromHostId: request.fromHostId,
      toHostId: request.toHostId,
    }));
  }

  /** The VMs whose migrations a host takes part in. */
  copiedAt(hostId: HostId): readonly VmId[] {
    const requests = [...this.#running.values()].map(({ migration }) => migration.request);
    return requests.filter(({ fromHostId, toHostId }) => fromHostId === hostId || toHostId === hostId).map(({ vmId }) => vmId);
  }

  /** The migration that a VM is in; null when there is none. */
  migrationOf(vmId: string): string | null {
    const own = [...this.#running.values()].find(({ migration }) => migration.request.vmId === vmId);
    return own?.migration.request.migrationId ?? null;
  }

  /** The migration between two hosts, in either direction; null when there is none. */
  migrationBetween(one: HostId, other: HostId): string | null {
    const own = [...this.#running.values()].find(
      ({ migration: { request } }) => isPair(request, one, other) || isPair(request, other, one),
    );
    return own?.migration.request.migrationId ?? null;
  }

  /** Asks for the abort of everything that this host takes part in. */
  async abortAllOf(hostId: HostId): Promise<void> {
    for (const { migration } of this.#running.values()) {
      const { fromHostId, toHostId, migrationId } = migration.request;
      if (fromHostId === hostId || toHostId === hostId) await this.abort(migrationId);
    }
  }

  /** The newest record of a migration that is under way; undefined when it is not. */
  current(migrationId: string): Migration | undefined {
    return this.#running.get(migrationId)?.migration;
  }

  /** Takes up what a controller before this one left open. */
  async takeUp(): Promise<void> {
    const open = await this.#parts.store.migrations({ open: true, limit: openMigrationsRead });
    for (const migration of open) {
      this.#parts.log.warn('taking up a migration after a restart', { migrationId: migration.request.migrationId, phase: migration.phase });
      const running: Running = { migration, done: Promise.resolve(), saved: Promise.resolve() };
      this.#effects.inherit(migration.request);
      this.#launch(running, async () => {
        await this.#awaitHosts(migration.request);
        return recover(migration, this.#parts.clock.nowMs());
      });
    }
  }

  /** Starts a migration and returns its first record, already durable. Throws `vm-busy` or `migration-limit`. */
  async start(wish: MigrationWish): Promise<Migration> {
    this.#checkLimits(wish);
    const migrationId = this.#parts.random.id().slice(0, shownIdLength);
    const draft = begin({ ...wish, migrationId, vmEpoch: 0, askedAtMs: this.#parts.clock.nowMs() });
    const reserved = Promise.withResolvers<void>();
    const running: Running = { migration: draft.migration, done: reserved.promise, saved: reserved.promise };
    this.#running.set(migrationId, running);
    try {
      const vmEpoch = await this.#parts.store.nextVmEpoch(wish.vmId);
      const first = begin({ ...draft.migration.request, vmEpoch });
      await this.#parts.store.saveMigration(first.migration);
      running.migration = { ...first.migration, abortAsked: running.migration.abortAsked };
      this.#launch(running, () => Promise.resolve(first));
      return first.migration;
    } catch (error) {
      this.#running.delete(migrationId);
      this.#announceEnd();
      throw error;
    } finally {
      reserved.resolve();
    }
  }

  /** Asks for an abort; one that has ended already stays as it is. Throws `migration-unknown` when it is not under way. */
  async abort(migrationId: string): Promise<Migration> {
    const running = this.#running.get(migrationId);
    if (!running) throw new PlimsollError('migration-unknown', `migration ${migrationId} is not under way: see 'plimsoll migration list'`);
    if (running.migration.endedAtMs === null) {
      running.migration = askAbort(running.migration);
      await this.#save(running);
    }
    return running.migration;
  }

  /** Whether a migration could begin now, as far as those under way are concerned. Throws `vm-busy` or `migration-limit`. */
  mustBeFree(wish: MigrationWish): void {
    this.#checkLimits(wish);
  }

  /** VMs on their way to a host, without that of one migration. */
  vmsOnTheirWayTo(hostId: HostId, withoutMigrationId: string | null): readonly VmId[] {
    const requests = [...this.#running.values()].map(({ migration }) => migration.request);
    return requests.filter((one) => one.toHostId === hostId && one.migrationId !== withoutMigrationId).map(({ vmId }) => vmId);
  }

  /** Resolves when any of the migrations under way has ended; with false when there is none, or the controller stops. */
  async nextEnd(): Promise<boolean> {
    if (this.#running.size === 0) return false;
    await this.#nextEnd.promise;
    return !this.#signal.aborted;
  }

  async settle(): Promise<void> {
    await Promise.allSettled([...this.#running.values()].map((running) => running.done));
  }

  #checkLimits(wish: { readonly vmId: string; readonly vmName: string; readonly fromHostId: HostId; readonly toHostId: HostId }): void {
    const flights = this.inFlight();
    if (wish.fromHostId === wish.toHostId)
      throw new PlimsollError('destination-same-as-source', `${wish.vmName} is on ${wish.toHostId} already`);
    if (flights.some((flight) => flight.vmId === wish.vmId)) throw new PlimsollError('vm-busy', `${wish.vmName} is being migrated already`);
    if (flights.length >= this.#policy.migrationsPerClusterMax) {
      throw new PlimsollError(
        'migration-limit',
        `${flights.length} migrations are under way, the policy allows no more: wait for one to end`,
      );
    }
    this.#checkPair(wish);
    for (const hostId of [wish.fromHostId, wish.toHostId]) {
      const here = flights.filter((flight) => flight.fromHostId === hostId || flight.toHostId === hostId).length;
      if (here >= this.#policy.migrationsPerHostMax) {
        throw new PlimsollError(
          'migration-limit',
          `${hostId} has ${here} migration under way, the policy allows no more: wait for it to end`,
        );
      }
    }
  }

  /** A pair of hosts has one channel, and the migration that ends first takes it down. */
  #checkPair({ fromHostId, toHostId }: { readonly fromHostId: HostId; readonly toHostId: HostId }): void {
    if (this.migrationBetween(fromHostId, toHostId) !== null) {
      throw new PlimsollError(
        'migration-limit',
        `a migration between ${fromHostId} and ${toHostId} is under way, they have one channel: wait for it to end`,
      );
    }
    if (this.#busyPairs.isBusy(fromHostId, toHostId)) {
      throw new PlimsollError(
        'migration-limit',
        `the channel between ${fromHostId} and ${toHostId} is being proven, tuned or taken down: try again`,
      );
    }
  }

  #launch(running: Running, first: () => Promise<Step>): void {
    const { migrationId } = running.migration.request;
    this.#running.set(migrationId, running);
    running.done = this.#run(running, first)
      .catch((error: unknown) => {
        if (!this.#signal.aborted) this.#parts.log.error('a migration could not go on', { migrationId, ...refusalOf(error) });
      })
      .finally(() => this.#announceEnd());
  }

  #announceEnd(): void {
    this.#nextEnd.resolve();
    this.#nextEnd = Promise.withResolvers<void>();
  }

  async #run(running: Running, first: () => Promise<Step>): Promise<void> {
    const { noProgressMsMax, migration: policy } = this.#policy;
    const { switchOverMsMax } = policy.pilot;
    const limits: StepLimits = { noProgressMsMax, truthWaitMsMax, switchOverMsMax, unattendedMsMax };
    let { migration, effect } = await first();
    for (;;) {
      await this.#record(running, migration);
      if (effect.kind === 'finish') break;
      const event = await this.#effects.perform(effect, running.migration);
      ({ migration, effect } = step(running.migration, event, this.#parts.clock.nowMs(), limits));
    }
    await this.#finish(running.migration);
    this.#running.delete(running.migration.request.migrationId);
  }

  /** Durable before anything is done with it; keeps an abort that was asked for in the meantime. */
  async #record(running: Running, migration: Migration): Promise<void> {
    const changed = running.migration.phase !== migration.phase;
    running.migration = { ...migration, abortAsked: migration.abortAsked || running.migration.abortAsked };
    await this.#save(running);
    if (changed) this.#onChange(running.migration);
  }

  /** Saves the newest record in its turn. The end of a migration is not in it: `#finish` closes the record. */
  async #save(running: Running): Promise<void> {
    const saved = running.saved.then(() => this.#saveOpen(running));
    running.saved = saved.catch(() => null);
    await saved;
  }

  async #saveOpen(running: Running): Promise<void> {
    const { migration } = running;
    const isOpen = migration.endedAtMs === null && this.#running.get(migration.request.migrationId) === running;
    if (isOpen) await this.#durably(() => this.#parts.store.saveMigration(migration));
  }

  async #durably(write: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await write();
        return;
      } catch (error) {
        if (isReplaced(error)) throw error;
        this.#parts.log.error('a migration cannot be made durable; nothing more is done until it is', { ...refusalOf(error) });
        if (!(await pause(this.#parts.clock, storeRetryMs, this.#signal))) throw error;
      }
    }
  }

  /** The record is closed last: a crash in here repeats it, and each part is done once. */
  async #finish(migration: Migration): Promise<void> {
    const { request } = migration;
    const mayBeOpen = migration.phase === 'done' || migration.proof !== null || migration.phaseSinceMs > request.askedAtMs;
    await Promise.all([mayBeOpen ? this.#effects.closeChannel(request) : null, this.#effects.forget(request)]);
    await this.#durably(() => this.#receipts.write(migration));
    const entry: LedgerEntry = {
      migrationId: request.migrationId,
      vmId: request.vmId,
      fromHostId: request.fromHostId,
      toHostId: request.toHostId,
      cause: request.cause,
      startedAtMs: request.askedAtMs,
      endedAtMs: migration.endedAtMs ?? this.#parts.clock.nowMs(),
      outcome: outcomeOf(migration),
      failureCode: migration.failure?.code ?? null,
      sentBytes: sentBytesOf(migration),
    };
    await this.#durably(() => this.#parts.store.appendLedger(entry));
    await this.#durably(() => this.#parts.store.saveMigration(migration));
  }

  async #awaitHosts(request: MigrationRequest): Promise<void> {
    const untilMs = this.#parts.clock.monotonicMs() + reconnectMsMax;
    while (this.#parts.clock.monotonicMs() < untilMs) {
      if (this.#lines.isUp(request.fromHostId) && this.#lines.isUp(request.toHostId)) return;
      if (!(await pause(this.#parts.clock, reconnectPollMs, this.#signal))) return;
    }
  }
}

/** Of a transfer that was given up too, as far as anybody saw it. */
function sentBytesOf({ measures, outcome, lastMoved }: Migration): number | null {
  return measures?.memorySentBytes ?? outcome?.memorySentBytes ?? lastMoved?.sentBytes ?? null;
}

function isPair(wish: { readonly fromHostId: HostId; readonly toHostId: HostId }, one: HostId, other: HostId): boolean {
  return wish.fromHostId === one && wish.toHostId === other;
}
