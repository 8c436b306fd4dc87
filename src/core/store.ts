/** What the controller keeps. Every write that resolves is durable. */
import type { TuningRecord } from './model/channel.ts';
import type { Drain } from './model/drain.ts';
import type { HostAddresses, HostId } from './model/host.ts';
import type { Labels } from './model/label.ts';
import type { LedgerEntry } from './model/ledger.ts';
import type { Maintenance } from './model/maintenance.ts';
import type { Migration } from './model/migration.ts';
import type { PlanCourse, StartedMove } from './model/plan-course.ts';
import type { Plan } from './model/plan.ts';
import type { Mode } from './model/policy.ts';
import type { Recovery } from './model/recovery.ts';
import type { Cordon, Rule } from './model/rule.ts';
import type { Sample } from './model/sample.ts';
import type { VmId } from './model/vm.ts';

export interface HostRecord {
  readonly hostId: HostId;
  readonly joinedAtMs: number;
  readonly addresses: HostAddresses | null;
  readonly lastSeenAtMs: number | null;
  /** Null unless an operator has revoked it; a revoked host can join again with a new token. */
  readonly revokedAtMs: number | null;
}

/** A certificate that the cluster's CA has issued to a host. */
export interface CertificateRecord {
  readonly serialNumber: string;
  readonly authorityId: string;
  readonly hostId: HostId;
  readonly sha256: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly revokedAtMs: number | null;
}

/** Permission for a channel that does not protect: asked for by one person, approved by another, for a time. */
export interface Grant {
  readonly grantId: string;
  readonly fromHostId: HostId;
  readonly toHostId: HostId;
  readonly reason: string;
  readonly requestedBy: string;
  readonly requestedAtMs: number;
  readonly approvedBy: string | null;
  readonly approvedAtMs: number | null;
  readonly expiresAtMs: number;
  /** Null unless somebody has ended it early. */
  readonly withdrawnAtMs: number | null;
}

/** Who did what with the cluster's security. Appended, never changed. */
export interface AuditEntry {
  readonly atMs: number;
  readonly who: string;
  /** Such as `host.revoke`, `grant.approve`. */
  readonly verb: string;
  /** The host, migration or grant it was done to. */
  readonly subject: string;
  readonly detail: string;
}

/** Two hosts, whoever of them sends; `hostA` < `hostB`. */
export interface HostPair {
  readonly hostA: HostId;
  readonly hostB: HostId;
}

/** The newest tuning of one pair of hosts. */
export interface StoredTuning extends HostPair {
  readonly record: TuningRecord;
}

export interface JoinToken {
  /** SHA-256 of the token, hex: the token itself is never kept. */
  readonly tokenHash: string;
  readonly hostId: HostId;
  readonly expiresAtMs: number;
  readonly usedAtMs: number | null;
}

/** A signed record of one migration (DSSE envelope): the exact signed bytes as base64, and the signature. */
export interface StoredReceipt {
  readonly migrationId: string;
  readonly sequence: number;
  readonly createdAtMs: number;
  readonly envelope: string;
}

/** Which of the kept migrations are wanted; all that is given must hold, what is left out does not restrict. */
export interface MigrationQuery {
  /** True: those under way; false: those that have ended. */
  readonly open?: boolean;
  readonly vmId?: VmId;
  /** Source or destination. */
  readonly hostId?: HostId;
  /** Of one that has ended, as the ledger has it; one under way has none. */
  readonly outcome?: LedgerEntry['outcome'];
  /** Asked for at this time or later. */
  readonly sinceMs?: number;
  /** Asked for before this time. */
  readonly untilMs?: number;
  /** At most this many, the newest. */
  readonly limit: number;
}

/** What the operator wants for one VM, and what is needed to start it again when its host has died. */
export interface VmSettings {
  readonly vmId: VmId;
  /** After its host's death it may be started on another one. */
  readonly restartable: boolean;
  /** Where its clients reach it; null when that is not known. */
  readonly address: string | null;
  /** Its definition in the hypervisor's own words, as last seen; null before it was. */
  readonly definitionText: string | null;
  /** A name of `policy.classes`; null: nobody has given it one, and it counts as `standard`. */
  readonly slaClass: string | null;
  /** Whose it is, for budgets; null where that is not said. */
  readonly tenant: string | null;
  readonly labels: Labels;
  readonly updatedAtMs: number;
}

/** A rule, and who made it when. */
export interface StoredRule {
  readonly rule: Rule;
  readonly by: string;
  readonly atMs: number;
}

/** Load of one host at one time, for history. */
export interface HistoryPoint {
  readonly hostId: HostId;
  readonly atMs: number;
  readonly cpuPercent: number;
  readonly memoryPercent: number;
}

export interface Store {
  /**
   * Grows by one with each call: the fencing epoch of this run of the controller, which takes the store over with it. Whoever held it
   * before, through a handle of its own, writes nothing from then on: each of its writes rejects with `controller-replaced`.
   */
  nextControllerEpoch(): Promise<number>;
  /** Grows by one with each call for this VM. */
  nextVmEpoch(vmId: VmId): Promise<number>;

  hosts(): Promise<readonly HostRecord[]>;
  /**
   * A record that is revoked also voids, in the same write, every unused token of this host: whoever has got one beforehand does not
   * come back with it.
   */
  saveHost(host: HostRecord): Promise<void>;

  saveToken(token: JoinToken): Promise<void>;
  /** Marks the token used and returns it as it was before; null when unknown. Atomic: a token is used once. */
  useToken(tokenHash: string, atMs: number): Promise<JoinToken | null>;

  /** One transaction for the whole batch. */
  appendSamples(samples: readonly Sample[]): Promise<void>;
  history(hostId: HostId, sinceMs: number, limit: number): Promise<readonly HistoryPoint[]>;
  /** Deletes history older than this. */
  trimHistory(beforeMs: number): Promise<void>;

  saveMigration(migration: Migration): Promise<void>;
  migration(migrationId: string): Promise<Migration | null>;
  /** Newest first. */
  migrations(query: MigrationQuery): Promise<readonly Migration[]>;

  /** Inserts, or replaces the settings of this VM. */
  saveVmSettings(settings: VmSettings): Promise<void>;
  /** Of every VM that ever had some, by its id. */
  vmSettings(): Promise<readonly VmSettings[]>;

  /** Inserts, or replaces the record of this VM. */
  saveRecovery(recovery: Recovery): Promise<void>;
  /** No agent holds the VM under its lease any more, and nobody wants it restarted. */
  removeRecovery(vmId: VmId): Promise<void>;
  /** By the VM's id. */
  recoveries(): Promise<readonly Recovery[]>;

  /** Inserts, or replaces the rule of this name. */
  saveRule(rule: StoredRule): Promise<void>;
  removeRule(name: string): Promise<void>;
  /** By name. */
  rules(): Promise<readonly StoredRule[]>;
  /** Inserts, or replaces that of this host. */
  saveCordon(cordon: Cordon): Promise<void>;
  removeCordon(hostId: HostId): Promise<void>;
  /** By host. */
  cordons(): Promise<readonly Cordon[]>;
  /** Inserts, or replaces that of this host. */
  saveDrain(drain: Drain): Promise<void>;
  /** The newest of each host that was ever drained, by host. */
  drains(): Promise<readonly Drain[]>;
  /** Inserts, or replaces the record of this id. */
  saveMaintenance(maintenance: Maintenance): Promise<void>;
  /** The one that was inserted last; null when there was none. */
  latestMaintenance(): Promise<Maintenance | null>;

  appendLedger(entry: LedgerEntry): Promise<void>;
  ledgerSince(sinceMs: number): Promise<readonly LedgerEntry[]>;

  savePlan(plan: Plan): Promise<void>;
  plan(planId: string): Promise<Plan | null>;
  latestPlan(): Promise<Plan | null>;
  /** Newest first: by the order of their saving. */
  plans(limit: number): Promise<readonly Plan[]>;
  /** Inserts, or replaces that of this plan. */
  savePlanCourse(course: PlanCourse): Promise<void>;
  /** Of those of these plans that have any, by the plan's id. */
  planCourses(planIds: readonly string[]): Promise<readonly PlanCourse[]>;
  /** Of plans that were rejected at this time or later, the oldest rejection first. */
  rejectedSince(sinceMs: number): Promise<readonly PlanCourse[]>;
  /** Migrations that name one of these plans, in the order of their start. */
  startedMoves(planIds: readonly string[]): Promise<readonly StartedMove[]>;

  /**
   * Inserts, or replaces the record of this authority and serial number. What ended long before this one begins (`isLongEnded`) goes
   * with the same write.
   */
  saveCertificate(certificate: CertificateRecord): Promise<void>;
  certificates(filter: { readonly hostId?: HostId; readonly revoked?: boolean }): Promise<readonly CertificateRecord[]>;
  saveGrant(grant: Grant): Promise<void>;
  grant(grantId: string): Promise<Grant | null>;
  /** Newest first. */
  grants(limit: number): Promise<readonly Grant[]>;
  appendAudit(entry: AuditEntry): Promise<void>;
  /** Newest first. */
  audit(limit: number): Promise<readonly AuditEntry[]>;
  saveTuning(tuning: StoredTuning): Promise<void>;
  tunings(): Promise<readonly StoredTuning[]>;
  /** The channel of this pair is to stay up between migrations. */
  saveKeptChannel(pair: HostPair): Promise<void>;
  removeKeptChannel(pair: HostPair): Promise<void>;
  keptChannels(): Promise<readonly HostPair[]>;

  saveReceipt(receipt: StoredReceipt): Promise<void>;
  receipt(migrationId: string): Promise<StoredReceipt | null>;
  lastReceipt(): Promise<StoredReceipt | null>;

  mode(): Promise<Mode | null>;
  saveMode(mode: Mode): Promise<void>;
  close(): Promise<void>;
}
