/** The store of the controller's own tests: in memory, and it can be made to fail. */
import type { HostId } from '#core/model/host.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { Migration } from '#core/model/migration.ts';
import type { PlanCourse, StartedMove } from '#core/model/plan-course.ts';
import type { Plan } from '#core/model/plan.ts';
import type { Mode } from '#core/model/policy.ts';
import type { Drain } from '#core/model/drain.ts';
import type { Maintenance } from '#core/model/maintenance.ts';
import type { Recovery } from '#core/model/recovery.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Cordon } from '#core/model/rule.ts';
import type { Sample } from '#core/model/sample.ts';
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

/** In memory, with the rules of the real one. */
export class MemoryStore implements Store {
  /** Calls of these fail. */
  readonly failing = new Set<keyof Store>();
  readonly ledger: LedgerEntry[] = [];
  readonly receipts: StoredReceipt[] = [];
  samples: Sample[] = [];
  readonly plansKept: Plan[] = [];
  readonly courses = new Map<string, PlanCourse>();
  readonly records = new Map<string, Migration>();
  readonly hostRecords: HostRecord[] = [];
  readonly tokens = new Map<string, JoinToken>();
  issued: CertificateRecord[] = [];
  readonly audited: AuditEntry[] = [];
  readonly granted = new Map<string, Grant>();
  readonly tuned: StoredTuning[] = [];
  readonly keptPairs = new Map<string, HostPair>();
  readonly settings = new Map<string, VmSettings>();
  readonly ruled = new Map<string, StoredRule>();
  readonly cordoned = new Map<string, Cordon>();
  readonly drained = new Map<string, Drain>();
  readonly maintained = new Map<string, Maintenance>();
  readonly recovering = new Map<string, Recovery>();
  kept: Mode | null = null;
  #controllerEpoch = 0;
  readonly #vmEpochs = new Map<string, number>();

  nextControllerEpoch = () => this.#do('nextControllerEpoch', () => (this.#controllerEpoch += 1));
  nextVmEpoch = (vmId: string) => this.#do('nextVmEpoch', () => this.#nextVmEpoch(vmId));
  hosts = () => this.#do('hosts', (): readonly HostRecord[] => inOrder(this.hostRecords, ({ hostId }) => hostId));
  saveHost = (host: HostRecord) => this.#do('saveHost', () => this.#saveHost(host));
  saveToken = (token: JoinToken) => this.#do('saveToken', () => void this.tokens.set(token.tokenHash, token));
  useToken = (tokenHash: string, atMs: number) => this.#do('useToken', () => this.#useToken(tokenHash, atMs));
  appendSamples = (samples: readonly Sample[]) => this.#do('appendSamples', () => void this.samples.push(...samples));
  history = (hostId: HostId, sinceMs: number, limit: number) => this.#do('history', () => this.#history(hostId, sinceMs).slice(-limit));
  trimHistory = (beforeMs: number) =>
    this.#do('trimHistory', () => void (this.samples = this.samples.filter(({ takenAtMs }) => takenAtMs >= beforeMs)));
  saveMigration = (migration: Migration) =>
    this.#do('saveMigration', () => void this.records.set(migration.request.migrationId, migration));
  migration = (migrationId: string) => this.#do('migration', () => this.records.get(migrationId) ?? null);
  migrations = (query: MigrationQuery) => this.#do('migrations', () => wantedMigrations(this.records.values(), query));
  saveVmSettings = (settings: VmSettings) => this.#do('saveVmSettings', () => void this.settings.set(settings.vmId, settings));
  vmSettings = () => this.#do('vmSettings', (): readonly VmSettings[] => inOrder([...this.settings.values()], ({ vmId }) => vmId));
  saveRecovery = (recovery: Recovery) => this.#do('saveRecovery', () => void this.recovering.set(recovery.vmId, recovery));
  removeRecovery = (vmId: string) => this.#do('removeRecovery', () => void this.recovering.delete(vmId));
  recoveries = () => this.#do('recoveries', (): readonly Recovery[] => inOrder([...this.recovering.values()], ({ vmId }) => vmId));
  saveRule = (stored: StoredRule) => this.#do('saveRule', () => void this.ruled.set(stored.rule.name, stored));
  removeRule = (name: string) => this.#do('removeRule', () => void this.ruled.delete(name));
  rules = () => this.#do('rules', (): readonly StoredRule[] => inOrder([...this.ruled.values()], ({ rule }) => rule.name));
  saveCordon = (cordon: Cordon) => this.#do('saveCordon', () => void this.cordoned.set(cordon.hostId, cordon));
  removeCordon = (hostId: string) => this.#do('removeCordon', () => void this.cordoned.delete(hostId));
  cordons = () => this.#do('cordons', (): readonly Cordon[] => inOrder([...this.cordoned.values()], ({ hostId }) => hostId));
  saveDrain = (drain: Drain) => this.#do('saveDrain', () => void this.drained.set(drain.hostId, drain));
  saveMaintenance = (one: Maintenance) => this.#do('saveMaintenance', () => void this.maintained.set(one.maintenanceId, one));
  latestMaintenance = () => this.#do('latestMaintenance', () => [...this.maintained.values()].at(-1) ?? null);
  drains = () => this.#do('drains', (): readonly Drain[] => inOrder([...this.drained.values()], ({ hostId }) => hostId));
  appendLedger = (entry: LedgerEntry) => this.#do('appendLedger', () => this.#appendLedger(entry));
  ledgerSince = (sinceMs: number) => this.#do('ledgerSince', () => this.#ledgerSince(sinceMs));
  savePlan = (plan: Plan) => this.#do('savePlan', () => this.#savePlan(plan));
  plan = (planId: string) => this.#do('plan', () => this.plansKept.find((plan) => plan.planId === planId) ?? null);
  latestPlan = () => this.#do('latestPlan', () => this.plansKept.at(-1) ?? null);
  plans = (limit: number) => this.#do('plans', (): readonly Plan[] => this.plansKept.toReversed().slice(0, limit));
  savePlanCourse = (course: PlanCourse) => this.#do('savePlanCourse', () => void this.courses.set(course.planId, course));
  planCourses = (planIds: readonly string[]) => this.#do('planCourses', () => coursesOf(this.courses.values(), planIds));
  rejectedSince = (sinceMs: number) => this.#do('rejectedSince', () => rejectedCourses(this.courses.values(), sinceMs));
  startedMoves = (planIds: readonly string[]) =>
    this.#do('startedMoves', (): readonly StartedMove[] => startedMovesOf(this.records.values(), planIds));
  saveReceipt = (receipt: StoredReceipt) => this.#do('saveReceipt', () => this.#saveReceipt(receipt));
  receipt = (id: string) => this.#do('receipt', () => this.receipts.find(({ migrationId }) => migrationId === id) ?? null);
  lastReceipt = () => this.#do('lastReceipt', () => this.receipts.toSorted((a, b) => a.sequence - b.sequence).at(-1) ?? null);
  saveCertificate = (certificate: CertificateRecord) => this.#do('saveCertificate', () => this.#saveCertificate(certificate));
  certificates = (filter: { readonly hostId?: HostId; readonly revoked?: boolean }) =>
    this.#do('certificates', () => this.#certificates(filter));
  saveGrant = (grant: Grant) => this.#do('saveGrant', () => void this.granted.set(grant.grantId, grant));
  grant = (grantId: string) => this.#do('grant', () => this.granted.get(grantId) ?? null);
  grants = (limit: number) => this.#do('grants', () => this.#grants().slice(0, limit));
  appendAudit = (entry: AuditEntry) => this.#do('appendAudit', () => void this.audited.push(entry));
  audit = (limit: number) => this.#do('audit', () => this.audited.toReversed().slice(0, limit));
  saveTuning = (tuning: StoredTuning) => this.#do('saveTuning', () => replaceBy(this.tuned, tuning, pairOf));
  tunings = () => this.#do('tunings', (): readonly StoredTuning[] => inOrder(this.tuned, pairOf));
  saveKeptChannel = (pair: HostPair) => this.#do('saveKeptChannel', () => void this.keptPairs.set(pairOf(pair), pair));
  removeKeptChannel = (pair: HostPair) => this.#do('removeKeptChannel', () => void this.keptPairs.delete(pairOf(pair)));
  keptChannels = () => this.#do('keptChannels', (): readonly HostPair[] => inOrder([...this.keptPairs.values()], pairOf));
  mode = () => this.#do('mode', () => this.kept);
  saveMode = (mode: Mode) => this.#do('saveMode', () => void (this.kept = mode));
  close = () => Promise.resolve();

  async #do<Value>(name: keyof Store, work: () => Value): Promise<Value> {
    if (this.failing.has(name)) throw new Error(`${name}: disk full`);
    return work();
  }

  #nextVmEpoch(vmId: string): number {
    const epoch = (this.#vmEpochs.get(vmId) ?? 0) + 1;
    this.#vmEpochs.set(vmId, epoch);
    return epoch;
  }

  #history(hostId: HostId, sinceMs: number): readonly HistoryPoint[] {
    const points = new Map<number, HistoryPoint>();
    for (const sample of this.samples) {
      const point = historyPointOf(sample);
      if (point?.hostId === hostId && point.atMs >= sinceMs && !points.has(point.atMs)) points.set(point.atMs, point);
    }
    return [...points.values()].toSorted((a, b) => a.atMs - b.atMs);
  }

  #saveCertificate(certificate: CertificateRecord): void {
    replaceBy(this.issued, certificate, ({ authorityId, serialNumber }) => `${authorityId} ${serialNumber}`);
    this.issued = this.issued.filter((kept) => !isLongEnded(kept, certificate));
  }

  #grants(): readonly Grant[] {
    return [...this.granted.values()].toReversed().toSorted((a, b) => b.requestedAtMs - a.requestedAtMs);
  }

  #certificates({ hostId, revoked }: { readonly hostId?: HostId; readonly revoked?: boolean }): readonly CertificateRecord[] {
    const wanted = this.issued.filter(
      (one) => (hostId === undefined || one.hostId === hostId) && (revoked === undefined || (one.revokedAtMs !== null) === revoked),
    );
    return wanted.toSorted((a, b) => b.notAfterMs - a.notAfterMs);
  }

  #saveHost(host: HostRecord): void {
    replaceBy(this.hostRecords, host, ({ hostId }) => hostId);
    if (host.revokedAtMs === null) return;
    for (const token of this.tokens.values()) if (token.hostId === host.hostId) this.#useToken(token.tokenHash, host.revokedAtMs);
  }

  #useToken(tokenHash: string, atMs: number): JoinToken | null {
    const before = this.tokens.get(tokenHash) ?? null;
    if (before?.usedAtMs === null) this.tokens.set(tokenHash, { ...before, usedAtMs: atMs });
    return before;
  }

  #appendLedger(entry: LedgerEntry): void {
    const again = this.ledger.some(({ migrationId, outcome }) => migrationId === entry.migrationId && outcome === entry.outcome);
    if (!again) this.ledger.push(entry);
  }

  #ledgerSince(sinceMs: number): readonly LedgerEntry[] {
    return this.ledger.filter(({ endedAtMs }) => endedAtMs >= sinceMs).toSorted((a, b) => a.endedAtMs - b.endedAtMs);
  }

  #savePlan(plan: Plan): void {
    if (this.plansKept.some(({ planId }) => planId === plan.planId)) throw writtenTwice('plan', plan.planId);
    this.plansKept.push(plan);
  }

  #saveReceipt(receipt: StoredReceipt): void {
    const { migrationId, sequence } = receipt;
    if (this.receipts.some((kept) => kept.migrationId === migrationId || kept.sequence === sequence))
      throw writtenTwice('receipt', migrationId);
    this.receipts.push(receipt);
  }
}

function pairOf({ hostA, hostB }: HostPair): string {
  return `${hostA} ${hostB}`;
}

function writtenTwice(what: string, id: string): PlimsollError {
  return new PlimsollError('internal', `${what} ${id} was written before; it never changes`);
}

function inOrder<Item>(items: readonly Item[], keyOf: (one: Item) => string): readonly Item[] {
  return items.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

function replaceBy<Item>(items: Item[], item: Item, keyOf: (one: Item) => string): void {
  const index = items.findIndex((one) => keyOf(one) === keyOf(item));
  if (index === -1) items.push(item);
  else items[index] = item;
}
