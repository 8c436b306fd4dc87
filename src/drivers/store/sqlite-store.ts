/** The controller's memory in one SQLite file. */
import { Kysely } from 'kysely';
import type { Drain } from '#core/model/drain.ts';
import type { Maintenance } from '#core/model/maintenance.ts';
import type { Migration } from '#core/model/migration.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { PlanCourse, StartedMove } from '#core/model/plan-course.ts';
import type { Plan } from '#core/model/plan.ts';
import type { Mode } from '#core/model/policy.ts';
import type { Recovery } from '#core/model/recovery.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Cordon } from '#core/model/rule.ts';
import type { Sample } from '#core/model/sample.ts';
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
import { replaced } from '#core/store-rules.ts';
import { EpochTables } from './epoch-tables.ts';
import { fenceWrites, isFenceRefusal } from './fence.ts';
import { HistoryTable } from './history-table.ts';
import { HostTables } from './host-tables.ts';
import { LedgerTable } from './ledger-table.ts';
import { MigrationTable } from './migration-table.ts';
import { MaintenanceTable } from './maintenance-table.ts';
import { PlacementTables } from './placement-tables.ts';
import { PlanTable } from './plan-table.ts';
import { ReceiptTable } from './receipt-table.ts';
import { upgradeSchema } from './schema-steps.ts';
import { SecurityTables } from './security-tables.ts';
import { openSqliteDialect } from './sqlite-dialect.ts';
import type { Tables } from './tables.ts';
import { RecoveryTable } from './recovery-table.ts';
import { VmSettingsTable } from './vm-settings-table.ts';

/**
 * Opens (and makes) the file, or `:memory:`, and brings its schema up to date. Rejects with
 * `config-invalid` when the file cannot be used, or was made by a newer version.
 */
export async function openSqliteStore(options: { readonly path: string }): Promise<Store> {
  let database: Kysely<Tables> | null = null;
  try {
    database = new Kysely<Tables>({ dialect: openSqliteDialect(options.path) });
    await upgradeSchema(database);
    return new SqliteStore(database);
  } catch (cause) {
    await database?.destroy();
    if (cause instanceof PlimsollError) throw cause;
    const detail = cause instanceof Error ? cause.message : String(cause);
    const sentence = `The database ${options.path} cannot be used: ${detail}. Check that its directory exists, is writable and has room.`;
    throw new PlimsollError('config-invalid', sentence, { cause });
  }
}

/** Each table group has its own class; this one only joins them and names failures. */
class SqliteStore implements Store {
  readonly #database: Kysely<Tables>;
  readonly #epochs: EpochTables;
  readonly #hosts: HostTables;
  readonly #history: HistoryTable;
  readonly #ledger: LedgerTable;
  readonly #migrations: MigrationTable;
  readonly #plans: PlanTable;
  readonly #receipts: ReceiptTable;
  readonly #security: SecurityTables;
  readonly #vmSettings: VmSettingsTable;
  readonly #recoveries: RecoveryTable;
  readonly #placement: PlacementTables;
  readonly #maintenances: MaintenanceTable;
  #closed = false;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
    this.#epochs = new EpochTables(database);
    this.#hosts = new HostTables(database);
    this.#history = new HistoryTable(database);
    this.#ledger = new LedgerTable(database);
    this.#migrations = new MigrationTable(database);
    this.#plans = new PlanTable(database);
    this.#receipts = new ReceiptTable(database);
    this.#security = new SecurityTables(database);
    this.#vmSettings = new VmSettingsTable(database);
    this.#recoveries = new RecoveryTable(database);
    this.#placement = new PlacementTables(database);
    this.#maintenances = new MaintenanceTable(database);
  }

  nextControllerEpoch = (): Promise<number> => this.#named('count the controller epoch', () => this.#takeOver());
  nextVmEpoch = (vmId: string): Promise<number> => this.#named('count the VM epoch', () => this.#epochs.nextVmEpoch(vmId));
  mode = (): Promise<Mode | null> => this.#named('read the mode', () => this.#epochs.mode());
  saveMode = (mode: Mode): Promise<void> => this.#named('write the mode', () => this.#epochs.saveMode(mode));

  hosts = (): Promise<readonly HostRecord[]> => this.#named('read the hosts', () => this.#hosts.hosts());
  saveHost = (host: HostRecord): Promise<void> => this.#named('write a host', () => this.#hosts.saveHost(host));
  saveToken = (token: JoinToken): Promise<void> => this.#named('write a join token', () => this.#hosts.saveToken(token));
  useToken = (tokenHash: string, atMs: number): Promise<JoinToken | null> =>
    this.#named('use a join token', () => this.#hosts.useToken(tokenHash, atMs));

  appendSamples = (samples: readonly Sample[]): Promise<void> => this.#named('write samples', () => this.#history.append(samples));
  history = (hostId: string, sinceMs: number, limit: number): Promise<readonly HistoryPoint[]> =>
    this.#named('read the history', () => this.#history.read(hostId, sinceMs, limit));
  trimHistory = (beforeMs: number): Promise<void> => this.#named('trim the history', () => this.#history.trim(beforeMs));

  saveMigration = (migration: Migration): Promise<void> => this.#named('write a migration', () => this.#migrations.save(migration));
  migration = (migrationId: string): Promise<Migration | null> => this.#named('read a migration', () => this.#migrations.read(migrationId));
  migrations = (query: MigrationQuery): Promise<readonly Migration[]> =>
    this.#named('read the migrations', () => this.#migrations.wanted(query));

  saveVmSettings = (settings: VmSettings): Promise<void> => this.#named("write a VM's settings", () => this.#vmSettings.save(settings));
  vmSettings = (): Promise<readonly VmSettings[]> => this.#named("read the VMs' settings", () => this.#vmSettings.list());

  saveRecovery = (recovery: Recovery): Promise<void> => this.#named("write a VM's recovery", () => this.#recoveries.save(recovery));
  removeRecovery = (vmId: string): Promise<void> => this.#named("remove a VM's recovery", () => this.#recoveries.remove(vmId));
  recoveries = (): Promise<readonly Recovery[]> => this.#named("read the VMs' recoveries", () => this.#recoveries.list());

  saveRule = (rule: StoredRule): Promise<void> => this.#named('write a rule', () => this.#placement.saveRule(rule));
  removeRule = (name: string): Promise<void> => this.#named('remove a rule', () => this.#placement.removeRule(name));
  rules = (): Promise<readonly StoredRule[]> => this.#named('read the rules', () => this.#placement.rules());
  saveCordon = (cordon: Cordon): Promise<void> => this.#named('write a cordon', () => this.#placement.saveCordon(cordon));
  removeCordon = (hostId: string): Promise<void> => this.#named('remove a cordon', () => this.#placement.removeCordon(hostId));
  cordons = (): Promise<readonly Cordon[]> => this.#named('read the cordons', () => this.#placement.cordons());
  saveDrain = (drain: Drain): Promise<void> => this.#named('write a drain', () => this.#placement.saveDrain(drain));
  drains = (): Promise<readonly Drain[]> => this.#named('read the drains', () => this.#placement.drains());
  saveMaintenance = (maintenance: Maintenance): Promise<void> =>
    this.#named('write a maintenance', () => this.#maintenances.save(maintenance));
  latestMaintenance = (): Promise<Maintenance | null> => this.#named('read the maintenance', () => this.#maintenances.latest());

  appendLedger = (entry: LedgerEntry): Promise<void> => this.#named('write the ledger', () => this.#ledger.append(entry));
  ledgerSince = (sinceMs: number): Promise<readonly LedgerEntry[]> => this.#named('read the ledger', () => this.#ledger.since(sinceMs));

  savePlan = (plan: Plan): Promise<void> => this.#named('write a plan', () => this.#plans.savePlan(plan));
  plan = (planId: string): Promise<Plan | null> => this.#named('read a plan', () => this.#plans.plan(planId));
  latestPlan = (): Promise<Plan | null> => this.#named('read the latest plan', async () => (await this.#plans.newest(1))[0] ?? null);
  plans = (limit: number): Promise<readonly Plan[]> => this.#named('read the plans', () => this.#plans.newest(limit));
  savePlanCourse = (course: PlanCourse): Promise<void> => this.#named("write a plan's course", () => this.#plans.saveCourse(course));
  planCourses = (planIds: readonly string[]): Promise<readonly PlanCourse[]> =>
    this.#named("read the plans' courses", () => this.#plans.courses(planIds));
  rejectedSince = (sinceMs: number): Promise<readonly PlanCourse[]> =>
    this.#named('read the rejected plans', () => this.#plans.rejectedSince(sinceMs));
  startedMoves = (planIds: readonly string[]): Promise<readonly StartedMove[]> =>
    this.#named("read the plans' migrations", () => this.#migrations.ofPlans(planIds));

  saveReceipt = (receipt: StoredReceipt): Promise<void> => this.#named('write a receipt', () => this.#receipts.saveReceipt(receipt));
  receipt = (migrationId: string): Promise<StoredReceipt | null> =>
    this.#named('read a receipt', () => this.#receipts.receipt(migrationId));
  lastReceipt = (): Promise<StoredReceipt | null> => this.#named('read the last receipt', () => this.#receipts.lastReceipt());

  saveCertificate = (certificate: CertificateRecord): Promise<void> =>
    this.#named('write a certificate', () => this.#security.saveCertificate(certificate));
  certificates = (filter: { readonly hostId?: string; readonly revoked?: boolean }): Promise<readonly CertificateRecord[]> =>
    this.#named('read the certificates', () => this.#security.certificates(filter));
  saveGrant = (grant: Grant): Promise<void> => this.#named('write a grant', () => this.#security.saveGrant(grant));
  grant = (grantId: string): Promise<Grant | null> => this.#named('read a grant', () => this.#security.grant(grantId));
  grants = (limit: number): Promise<readonly Grant[]> => this.#named('read the grants', () => this.#security.grants(limit));
  appendAudit = (entry: AuditEntry): Promise<void> => this.#named('write the audit', () => this.#security.appendAudit(entry));
  audit = (limit: number): Promise<readonly AuditEntry[]> => this.#named('read the audit', () => this.#security.audit(limit));
  saveTuning = (tuning: StoredTuning): Promise<void> => this.#named('write a tuning', () => this.#security.saveTuning(tuning));
  tunings = (): Promise<readonly StoredTuning[]> => this.#named('read the tunings', () => this.#security.tunings());
  saveKeptChannel = (pair: HostPair): Promise<void> => this.#named('write a kept channel', () => this.#security.saveKeptChannel(pair));
  removeKeptChannel = (pair: HostPair): Promise<void> => this.#named('remove a kept channel', () => this.#security.removeKeptChannel(pair));
  keptChannels = (): Promise<readonly HostPair[]> => this.#named('read the kept channels', () => this.#security.keptChannels());

  async close(): Promise<void> {
    this.#closed = true;
    await this.#database.destroy();
  }

  async #takeOver(): Promise<number> {
    const epoch = await this.#epochs.nextControllerEpoch();
    await fenceWrites(this.#database, epoch);
    return epoch;
  }

  async #named<Value>(what: string, work: () => Promise<Value>): Promise<Value> {
    if (this.#closed) throw new PlimsollError('internal', `Could not ${what}: the database is closed; the controller is shutting down.`);
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof PlimsollError) throw cause;
      if (isFenceRefusal(cause)) throw replaced(what);
      const detail = cause instanceof Error ? cause.message : String(cause);
      throw new PlimsollError('internal', `Could not ${what}: ${detail}. Check that the database's disk has room and works.`, { cause });
    }
  }
}
