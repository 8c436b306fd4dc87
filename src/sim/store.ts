import type { HostId } from '#core/model/host.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { Migration } from '#core/model/migration.ts';
import type { Plan } from '#core/model/plan.ts';
import type { Mode } from '#core/model/policy.ts';
import type { Recovery } from '#core/model/recovery.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Sample } from '#core/model/sample.ts';
import type { VmId } from '#core/model/vm.ts';
import { historyPointOf, isLongEnded, wantedMigrations } from '#core/store-rules.ts';
import type {
  AuditEntry,
  CertificateRecord,
  Grant,
  HistoryPoint,
  HostRecord,
  JoinToken,
  MigrationQuery,
  Store,
  StoredReceipt,
  StoredTuning,
  VmSettings,
} from '#core/store.ts';
import type { VirtualTime } from './virtual-time.ts';

const syncMs = 1;

/** What a harness wants to see as it becomes durable. */
export interface StoreWatcher {
  readonly onPlan: (plan: Plan) => void;
  readonly onReceipt: (receipt: StoredReceipt) => void;
  readonly onLedger: (entry: LedgerEntry) => void;
  readonly onMigration: (migration: Migration) => void;
}

/**
 * The controller's disk, with the rules of the real store. Everything is copied in and out. As in SimAgentMemory, a write is
 * durable when it begins and acknowledged a moment later. Outlives the controllers that use it.
 */
export class SimStore implements Store {
  readonly #time: VirtualTime;
  readonly #watcher: StoreWatcher;
  readonly #hosts = new Map<HostId, HostRecord>();
  readonly #tokens = new Map<string, JoinToken>();
  readonly #vmEpochs = new Map<VmId, number>();
  readonly #migrations = new Map<string, Migration>();
  readonly #plans = new Map<string, Plan>();
  readonly #receipts = new Map<string, StoredReceipt>();
  readonly #certificates = new Map<string, CertificateRecord>();
  readonly #grants = new Map<string, Grant>();
  readonly #tunings = new Map<string, StoredTuning>();
  readonly #vmSettings = new Map<VmId, VmSettings>();
  readonly #recoveries = new Map<VmId, Recovery>();
  #audit: readonly AuditEntry[] = [];
  /** By host and time. */
  readonly #history = new Map<HostId, Map<number, HistoryPoint>>();
  #ledger: readonly LedgerEntry[] = [];
  #controllerEpoch = 0;
  #mode: Mode | null = null;

  constructor(time: VirtualTime, watcher: StoreWatcher) {
    this.#time = time;
    this.#watcher = watcher;
  }

  nextControllerEpoch(): Promise<number> {
    this.#controllerEpoch += 1;
    return this.#written(this.#controllerEpoch);
  }

  nextVmEpoch(vmId: VmId): Promise<number> {
    const epoch = (this.#vmEpochs.get(vmId) ?? 0) + 1;
    this.#vmEpochs.set(vmId, epoch);
    return this.#written(epoch);
  }

  hosts(): Promise<readonly HostRecord[]> {
    return read(inOrder(this.#hosts));
  }

  saveHost(host: HostRecord): Promise<void> {
    this.#hosts.set(host.hostId, structuredClone(host));
    if (host.revokedAtMs !== null) this.#voidTokens(host.hostId, host.revokedAtMs);
    return this.#written(undefined);
  }

  saveToken(token: JoinToken): Promise<void> {
    this.#tokens.set(token.tokenHash, structuredClone(token));
    return this.#written(undefined);
  }

  useToken(tokenHash: string, atMs: number): Promise<JoinToken | null> {
    const before = this.#tokens.get(tokenHash) ?? null;
    if (before !== null && before.usedAtMs === null) this.#tokens.set(tokenHash, { ...before, usedAtMs: atMs });
    return this.#written(before);
  }

  appendSamples(samples: readonly Sample[]): Promise<void> {
    for (const sample of samples) {
      const point = historyPointOf(sample);
      if (point === null) continue;
      const ofHost = this.#history.get(point.hostId) ?? new Map<number, HistoryPoint>();
      if (!ofHost.has(point.atMs)) ofHost.set(point.atMs, point);
      this.#history.set(point.hostId, ofHost);
    }
    return this.#written(undefined);
  }

  history(hostId: HostId, sinceMs: number, limit: number): Promise<readonly HistoryPoint[]> {
    const points = [...(this.#history.get(hostId)?.values() ?? [])].filter(({ atMs }) => atMs >= sinceMs);
    return read(points.toSorted((a, b) => a.atMs - b.atMs).slice(-limit));
  }

  trimHistory(beforeMs: number): Promise<void> {
    for (const ofHost of this.#history.values()) for (const atMs of ofHost.keys()) if (atMs < beforeMs) ofHost.delete(atMs);
    return this.#written(undefined);
  }

  saveMigration(migration: Migration): Promise<void> {
    this.#migrations.set(migration.request.migrationId, structuredClone(migration));
    this.#watcher.onMigration(migration);
    return this.#written(undefined);
  }

  migration(migrationId: string): Promise<Migration | null> {
    return read(this.#migrations.get(migrationId) ?? null);
  }

  migrations(query: MigrationQuery): Promise<readonly Migration[]> {
    return read(wantedMigrations(this.#migrations.values(), query));
  }

  saveVmSettings(settings: VmSettings): Promise<void> {
    this.#vmSettings.set(settings.vmId, structuredClone(settings));
    return this.#written(undefined);
  }

  vmSettings(): Promise<readonly VmSettings[]> {
    return read(inOrder(this.#vmSettings));
  }

  saveRecovery(recovery: Recovery): Promise<void> {
    this.#recoveries.set(recovery.vmId, structuredClone(recovery));
    return this.#written(undefined);
  }

  removeRecovery(vmId: VmId): Promise<void> {
    this.#recoveries.delete(vmId);
    return this.#written(undefined);
  }

  recoveries(): Promise<readonly Recovery[]> {
    return read(inOrder(this.#recoveries));
  }

  appendLedger(entry: LedgerEntry): Promise<void> {
    const again = this.#ledger.some(({ migrationId, outcome }) => migrationId === entry.migrationId && outcome === entry.outcome);
    if (!again) {
      this.#ledger = [...this.#ledger, structuredClone(entry)];
      this.#watcher.onLedger(entry);
    }
    return this.#written(undefined);
  }

  ledgerSince(sinceMs: number): Promise<readonly LedgerEntry[]> {
    return read(this.#ledger.filter(({ endedAtMs }) => endedAtMs >= sinceMs).toSorted((a, b) => a.endedAtMs - b.endedAtMs));
  }

  savePlan(plan: Plan): Promise<void> {
    if (this.#plans.has(plan.planId)) return Promise.reject(writtenTwice('plan', plan.planId));
    this.#plans.set(plan.planId, structuredClone(plan));
    this.#watcher.onPlan(plan);
    return this.#written(undefined);
  }

  plan(planId: string): Promise<Plan | null> {
    return read(this.#plans.get(planId) ?? null);
  }

  latestPlan(): Promise<Plan | null> {
    return read([...this.#plans.values()].at(-1) ?? null);
  }

  saveCertificate(certificate: CertificateRecord): Promise<void> {
    this.#certificates.set(`${certificate.authorityId} ${certificate.serialNumber}`, structuredClone(certificate));
    for (const [key, kept] of this.#certificates) if (isLongEnded(kept, certificate)) this.#certificates.delete(key);
    return this.#written(undefined);
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
    this.#grants.set(grant.grantId, structuredClone(grant));
    return this.#written(undefined);
  }

  grant(grantId: string): Promise<Grant | null> {
    return read(this.#grants.get(grantId) ?? null);
  }

  grants(limit: number): Promise<readonly Grant[]> {
    const newestFirst = [...this.#grants.values()].toReversed().toSorted((a, b) => b.requestedAtMs - a.requestedAtMs);
    return read(newestFirst.slice(0, limit));
  }

  appendAudit(entry: AuditEntry): Promise<void> {
    this.#audit = [...this.#audit, structuredClone(entry)];
    return this.#written(undefined);
  }

  audit(limit: number): Promise<readonly AuditEntry[]> {
    return read(this.#audit.toReversed().slice(0, limit));
  }

  saveTuning(tuning: StoredTuning): Promise<void> {
    this.#tunings.set(`${tuning.hostA} ${tuning.hostB}`, structuredClone(tuning));
    return this.#written(undefined);
  }

  tunings(): Promise<readonly StoredTuning[]> {
    return read(inOrder(this.#tunings));
  }

  saveReceipt(receipt: StoredReceipt): Promise<void> {
    const taken = this.allReceipts().some(({ sequence }) => sequence === receipt.sequence);
    if (taken || this.#receipts.has(receipt.migrationId)) return Promise.reject(writtenTwice('receipt', receipt.migrationId));
    this.#receipts.set(receipt.migrationId, structuredClone(receipt));
    this.#watcher.onReceipt(receipt);
    return this.#written(undefined);
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
    this.#mode = mode;
    return this.#written(undefined);
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

  #voidTokens(hostId: string, atMs: number): void {
    for (const token of this.#tokens.values()) {
      if (token.hostId === hostId && token.usedAtMs === null) this.#tokens.set(token.tokenHash, { ...token, usedAtMs: atMs });
    }
  }

  async #written<Value>(value: Value): Promise<Value> {
    await this.#time.sleep(syncMs);
    return structuredClone(value);
  }
}

function read<Value>(value: Value): Promise<Value> {
  return Promise.resolve(structuredClone(value));
}

function inOrder<Value>(byKey: ReadonlyMap<string, Value>): readonly Value[] {
  return [...byKey].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}

function writtenTwice(what: string, id: string): PlimsollError {
  return new PlimsollError('internal', `${what} ${id} was written before; it never changes`);
}
