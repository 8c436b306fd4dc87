import type { HostId } from '#core/model/host.ts';
import type { Drain } from '#core/model/drain.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { Maintenance } from '#core/model/maintenance.ts';
import type { Migration } from '#core/model/migration.ts';
import type { PlanCourse, StartedMove } from '#core/model/plan-course.ts';
import type { Plan } from '#core/model/plan.ts';
import type { Mode } from '#core/model/policy.ts';
import type { Recovery } from '#core/model/recovery.ts';
import type { Cordon } from '#core/model/rule.ts';
import type { Sample } from '#core/model/sample.ts';
import type { VmId } from '#core/model/vm.ts';
import { coursesOf, historyPointOf, isLongEnded, rejectedCourses, startedMovesOf, wantedMigrations } from '#core/store-rules.ts';
import type {
  AuditEntry,
  CertificateRecord,
  Grant,
  HistoryPoint,
  HostPair,
  HostRecord,
  JoinToken,
  MigrationQuery,
  Store,
  StoredReceipt,
  StoredRule,
  StoredTuning,
  VmSettings,
} from '#core/store.ts';
import { type NoteUndo, put, SimDisk, take } from './disk.ts';
import { Streams } from './random.ts';
import { copyOf, inOrder, noRoom, read, writtenTwice } from './store-copies.ts';
import { holdOf } from './store-hold.ts';
import { SimPlans } from './store-plans.ts';
import type { StoreWatcher } from './store-watcher.ts';
import type { VirtualTime } from './virtual-time.ts';

const syncMs = 1;

/**
 * What is on the controller's disk, with the rules and the refusals of the real store. Everything is copied in and out. A write begins when it
 * is called and is acknowledged a moment later, see SimDisk. Outlives the controllers that use it.
 */
export class SimStore implements Store {
  readonly #disk: SimDisk;
  readonly #watcher: StoreWatcher;
  readonly #hosts = new Map<HostId, HostRecord>();
  readonly #tokens = new Map<string, JoinToken>();
  readonly #vmEpochs = new Map<VmId, number>();
  readonly #migrations = new Map<string, Migration>();
  readonly #plans = new SimPlans((what, change) => this.#write(what, change));
  readonly #receipts = new Map<string, StoredReceipt>();
  readonly #certificates = new Map<string, CertificateRecord>();
  readonly #grants = new Map<string, Grant>();
  readonly #tunings = new Map<string, StoredTuning>();
  readonly #keptChannels = new Map<string, HostPair>();
  readonly #vmSettings = new Map<VmId, VmSettings>();
  readonly #recoveries = new Map<VmId, Recovery>();
  readonly #rules = new Map<string, StoredRule>();
  readonly #cordons = new Map<HostId, Cordon>();
  readonly #drains = new Map<HostId, Drain>();
  readonly #maintenances = new Map<string, Maintenance>();
  #audit: readonly AuditEntry[] = [];
  /** By host and time. */
  readonly #history = new Map<HostId, Map<number, HistoryPoint>>();
  #ledger: readonly LedgerEntry[] = [];
  #controllerEpoch = 0;
  #mode: Mode | null = null;

  constructor(time: VirtualTime, watcher: StoreWatcher, disk: SimDisk = new SimDisk(time, new Streams(0).stream('disk'))) {
    this.#disk = disk;
    this.#watcher = watcher;
  }

  /** As one controller has it open: it writes nothing any more when a later one has counted an epoch. */
  open(): Store {
    return holdOf(this, () => this.#controllerEpoch);
  }

  nextControllerEpoch(): Promise<number> {
    return this.#write('count the controller epoch', (undo) => {
      const before = this.#controllerEpoch;
      undo(() => {
        this.#controllerEpoch = before;
      });
      this.#controllerEpoch = before + 1;
      return before + 1;
    });
  }

  nextVmEpoch(vmId: VmId): Promise<number> {
    return this.#write('count the VM epoch', (undo) => {
      const epoch = (this.#vmEpochs.get(vmId) ?? 0) + 1;
      put(undo, this.#vmEpochs, vmId, epoch);
      return epoch;
    });
  }

  hosts(): Promise<readonly HostRecord[]> {
    return read(inOrder(this.#hosts));
  }

  saveHost(host: HostRecord): Promise<void> {
    return this.#write('write a host', (undo) => {
      put(undo, this.#hosts, host.hostId, copyOf(host));
      if (host.revokedAtMs !== null) this.#voidTokens(undo, host.hostId, host.revokedAtMs);
    });
  }

  saveToken(token: JoinToken): Promise<void> {
    return this.#write('write a join token', (undo) => put(undo, this.#tokens, token.tokenHash, copyOf(token)));
  }

  useToken(tokenHash: string, atMs: number): Promise<JoinToken | null> {
    return this.#write('use a join token', (undo) => {
      const before = this.#tokens.get(tokenHash) ?? null;
      if (before !== null && before.usedAtMs === null) put(undo, this.#tokens, tokenHash, { ...before, usedAtMs: atMs });
      return before;
    });
  }

  appendSamples(samples: readonly Sample[]): Promise<void> {
    return this.#write('write samples', (undo) => {
      for (const sample of samples) {
        const point = historyPointOf(sample);
        if (point === null) continue;
        const ofHost = this.#history.get(point.hostId) ?? new Map<number, HistoryPoint>();
        if (!ofHost.has(point.atMs)) put(undo, ofHost, point.atMs, point);
        this.#history.set(point.hostId, ofHost);
      }
    });
  }

  history(hostId: HostId, sinceMs: number, limit: number): Promise<readonly HistoryPoint[]> {
    const points = [...(this.#history.get(hostId)?.values() ?? [])].filter(({ atMs }) => atMs >= sinceMs);
    return read(points.toSorted((a, b) => a.atMs - b.atMs).slice(-limit));
  }

  trimHistory(beforeMs: number): Promise<void> {
    return this.#write('trim the history', (undo) => {
      for (const ofHost of this.#history.values()) for (const atMs of ofHost.keys()) if (atMs < beforeMs) take(undo, ofHost, atMs);
    });
  }

  saveMigration(migration: Migration): Promise<void> {
    return this.#write('write a migration', (undo) => {
      undo(() => this.#watcher.onMigrationLost(migration));
      put(undo, this.#migrations, migration.request.migrationId, copyOf(migration));
      this.#watcher.onMigration(migration);
    });
  }

  migration(migrationId: string): Promise<Migration | null> {
    return read(this.#migrations.get(migrationId) ?? null);
  }

  migrations(query: MigrationQuery): Promise<readonly Migration[]> {
    return read(wantedMigrations(this.#migrations.values(), query));
  }

  saveVmSettings(settings: VmSettings): Promise<void> {
    return this.#write("write a VM's settings", (undo) => put(undo, this.#vmSettings, settings.vmId, copyOf(settings)));
  }

  vmSettings(): Promise<readonly VmSettings[]> {
    return read(inOrder(this.#vmSettings));
  }

  saveRecovery(recovery: Recovery): Promise<void> {
    return this.#write("write a VM's recovery", (undo) => put(undo, this.#recoveries, recovery.vmId, copyOf(recovery)));
  }

  removeRecovery(vmId: VmId): Promise<void> {
    return this.#write("remove a VM's recovery", (undo) => take(undo, this.#recoveries, vmId));
  }

  recoveries(): Promise<readonly Recovery[]> {
    return read(inOrder(this.#recoveries));
  }

  saveRule(stored: StoredRule): Promise<void> {
    return this.#write('write a rule', (undo) => put(undo, this.#rules, stored.rule.name, copyOf(stored)));
  }

  removeRule(name: string): Promise<void> {
    return this.#write('remove a rule', (undo) => take(undo, this.#rules, name));
  }

  saveCordon(cordon: Cordon): Promise<void> {
    return this.#write('write a cordon', (undo) => put(undo, this.#cordons, cordon.hostId, copyOf(cordon)));
  }

  removeCordon(hostId: HostId): Promise<void> {
    return this.#write('remove a cordon', (undo) => take(undo, this.#cordons, hostId));
  }

  saveDrain(drain: Drain): Promise<void> {
    return this.#write('write a drain', (undo) => {
      put(undo, this.#drains, drain.hostId, copyOf(drain));
      this.#watcher.onDrain(drain);
    });
  }

  get hasRules(): boolean {
    return this.#rules.size > 0;
  }

  rules = (): Promise<readonly StoredRule[]> => read(inOrder(this.#rules));
  cordons = (): Promise<readonly Cordon[]> => read(inOrder(this.#cordons));
  drains = (): Promise<readonly Drain[]> => read(inOrder(this.#drains));
  latestMaintenance = (): Promise<Maintenance | null> => read([...this.#maintenances.values()].at(-1) ?? null);

  saveMaintenance(maintenance: Maintenance): Promise<void> {
    return this.#write('write a maintenance', (undo) => {
      put(undo, this.#maintenances, maintenance.maintenanceId, copyOf(maintenance));
      this.#watcher.onMaintenance(maintenance);
    });
  }

  appendLedger(entry: LedgerEntry): Promise<void> {
    return this.#write('write the ledger', (undo) => {
      const before = this.#ledger;
      if (before.some(({ migrationId, outcome }) => migrationId === entry.migrationId && outcome === entry.outcome)) return;
      undo(() => {
        this.#ledger = before;
        this.#watcher.onLedgerLost(entry);
      });
      this.#ledger = [...before, copyOf(entry)];
      this.#watcher.onLedger(entry);
    });
  }

  ledgerSince(sinceMs: number): Promise<readonly LedgerEntry[]> {
    return read(this.#ledger.filter(({ endedAtMs }) => endedAtMs >= sinceMs).toSorted((a, b) => a.endedAtMs - b.endedAtMs));
  }

  savePlan = (plan: Plan): Promise<void> => this.#plans.save(plan, (kept) => this.#watcher.onPlan(kept));
  plan = (planId: string): Promise<Plan | null> => read(this.#plans.find(planId));
  latestPlan = (): Promise<Plan | null> => read(this.#plans.newest(1)[0] ?? null);
  plans = (limit: number): Promise<readonly Plan[]> => read(this.#plans.newest(limit));
  savePlanCourse = (course: PlanCourse): Promise<void> => this.#plans.saveCourse(course);
  planCourses = (planIds: readonly string[]): Promise<readonly PlanCourse[]> => read(coursesOf(this.#plans.courses(), planIds));
  rejectedSince = (sinceMs: number): Promise<readonly PlanCourse[]> => read(rejectedCourses(this.#plans.courses(), sinceMs));
  startedMoves = (planIds: readonly string[]): Promise<readonly StartedMove[]> => read(startedMovesOf(this.#migrations.values(), planIds));

  saveCertificate(certificate: CertificateRecord): Promise<void> {
    return this.#write('write a certificate', (undo) => {
      put(undo, this.#certificates, `${certificate.authorityId} ${certificate.serialNumber}`, copyOf(certificate));
      for (const [key, kept] of this.#certificates) if (isLongEnded(kept, certificate)) take(undo, this.#certificates, key);
    });
  }

  /** Those that end last come first. */
  certificates(filter: { readonly hostId?: HostId; readonly revoked?: boolean }): Promise<readonly CertificateRecord[]> {
    const wanted = [...this.#certificates.values()].filter(
      ({ hostId, revokedAtMs }) =>
        (filter.hostId === undefined || filter.hostId === hostId) &&
        (filter.revoked === undefined || filter.revoked === (revokedAtMs !== null)),
    );
    return read(wanted.toSorted((a, b) => b.notAfterMs - a.notAfterMs));
  }

  saveGrant(grant: Grant): Promise<void> {
    return this.#write('write a grant', (undo) => put(undo, this.#grants, grant.grantId, copyOf(grant)));
  }

  grant(grantId: string): Promise<Grant | null> {
    return read(this.#grants.get(grantId) ?? null);
  }

  grants(limit: number): Promise<readonly Grant[]> {
    const newestFirst = [...this.#grants.values()].toReversed().toSorted((a, b) => b.requestedAtMs - a.requestedAtMs);
    return read(newestFirst.slice(0, limit));
  }

  appendAudit(entry: AuditEntry): Promise<void> {
    return this.#write('write the audit', (undo) => {
      const before = this.#audit;
      undo(() => {
        this.#audit = before;
      });
      this.#audit = [...before, copyOf(entry)];
    });
  }

  audit(limit: number): Promise<readonly AuditEntry[]> {
    return read(this.#audit.toReversed().slice(0, limit));
  }

  saveTuning(tuning: StoredTuning): Promise<void> {
    return this.#write('write a tuning', (undo) => put(undo, this.#tunings, `${tuning.hostA} ${tuning.hostB}`, copyOf(tuning)));
  }

  tunings(): Promise<readonly StoredTuning[]> {
    return read(inOrder(this.#tunings));
  }

  saveKeptChannel(pair: HostPair): Promise<void> {
    return this.#write('write a kept channel', (undo) => put(undo, this.#keptChannels, `${pair.hostA} ${pair.hostB}`, { ...pair }));
  }

  removeKeptChannel({ hostA, hostB }: HostPair): Promise<void> {
    return this.#write('remove a kept channel', (undo) => take(undo, this.#keptChannels, `${hostA} ${hostB}`));
  }

  keptChannels(): Promise<readonly HostPair[]> {
    return read(inOrder(this.#keptChannels));
  }

  saveReceipt(receipt: StoredReceipt): Promise<void> {
    const taken = this.allReceipts().some(({ sequence }) => sequence === receipt.sequence);
    if (taken || this.#receipts.has(receipt.migrationId)) return Promise.reject(writtenTwice('receipt', receipt.migrationId));
    return this.#write('write a receipt', (undo) => {
      put(undo, this.#receipts, receipt.migrationId, copyOf(receipt));
      this.#watcher.onReceipt(receipt);
    });
  }

  receipt(migrationId: string): Promise<StoredReceipt | null> {
    return read(this.#receipts.get(migrationId) ?? null);
  }

  lastReceipt(): Promise<StoredReceipt | null> {
    return read(
      this.allReceipts()
        .toSorted((a, b) => a.sequence - b.sequence)
        .at(-1) ?? null,
    );
  }

  mode(): Promise<Mode | null> {
    return read(this.#mode);
  }

  saveMode(mode: Mode): Promise<void> {
    return this.#write('write the mode', (undo) => {
      const before = this.#mode;
      undo(() => {
        this.#mode = before;
      });
      this.#mode = mode;
      this.#watcher.onMode(mode);
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** In the order of their first saving. */
  allMigrations(): readonly Migration[] {
    return [...this.#migrations.values()];
  }

  allReceipts(): readonly StoredReceipt[] {
    return [...this.#receipts.values()];
  }

  allLedger(): readonly LedgerEntry[] {
    return this.#ledger;
  }

  #voidTokens(undo: NoteUndo, hostId: string, atMs: number): void {
    for (const token of this.#tokens.values()) {
      if (token.hostId === hostId && token.usedAtMs === null) put(undo, this.#tokens, token.tokenHash, { ...token, usedAtMs: atMs });
    }
  }

  async #write<Value>(what: string, change: (undo: NoteUndo) => Value): Promise<Value> {
    return copyOf(await this.#disk.write(syncMs, () => noRoom(what), change));
  }
}
