import type { HostId } from '#core/model/host.ts';
import type { Mode } from '#core/model/policy.ts';
import type { HistoryPoint } from '#core/store.ts';
import type {
  HostResource,
  MigrateBody,
  MigrateCheck,
  MigrationResource,
  PredictionErrorsResource,
  ReceiptResource,
  StatusResource,
  TokenResource,
  VmCheckResource,
  VmResource,
} from '#wire/api.ts';
import type { BalanceResource } from '#wire/balance-api.ts';
import type { ChannelResource, ProveBody, ProveResource, ResetResource, TuneBody, TuneResource } from '#wire/channel-api.ts';
import type {
  AuditResource,
  CertificateResource,
  GrantBody,
  GrantResource,
  RenewalResource,
  RevocationResource,
} from '#wire/security-api.ts';
import type { SnapshotFile } from '#wire/snapshot-file.ts';
import type { PlacementService } from './placement.ts';
import type { PlanService } from './plans.ts';
import type { ShownVmSettings, VmChange } from './vm-settings.ts';

/** Newest first. What is left out does not restrict. */
export interface MigrationFilter {
  readonly open?: boolean;
  readonly vm?: string;
  readonly hostId?: HostId;
  readonly outcome?: 'moved' | 'stayed' | 'unclear';
  readonly sinceMs?: number;
  readonly untilMs?: number;
  readonly limit: number;
}

/** What the REST API may ask of the controller. Routes decide nothing; every refusal is a PlimsollError with a stable code. */
export interface ControllerService {
  /** Rules, cordons and drains. */
  readonly placement: PlacementService;
  /** Plans, from the first look to their rollback. */
  readonly plans: PlanService;
  status(): Promise<StatusResource>;
  hosts(): Promise<readonly HostResource[]>;
  /** `host-unknown` */
  host(hostId: HostId): Promise<HostResource>;
  /** Newest first. `host-unknown` */
  history(hostId: HostId, sinceMs: number, limit: number): Promise<readonly HistoryPoint[]>;
  vms(): Promise<readonly VmResource[]>;
  /** By name or UUID. `vm-unknown`, `vm-ambiguous` */
  vm(reference: string): Promise<VmResource>;
  /** By name or UUID; one that never had any has the defaults. `vm-unknown`, `vm-ambiguous` */
  vmSettings(reference: string): Promise<ShownVmSettings>;
  /** What is left out stays as it is; resolves with what holds from now on. `vm-unknown`, `vm-ambiguous`, `input-invalid` */
  setVm(reference: string, change: VmChange, askedBy: string): Promise<ShownVmSettings>;
  /** The cluster as the planner would see it now; counts no planning round. */
  snapshot(): Promise<SnapshotFile>;
  /** How balancing stands; changes nothing. */
  balance(): Promise<BalanceResource>;
  /** Starts one migration; without `toHostId` the least loaded fitting host is taken. */
  migrate(body: MigrateBody, askedBy: string): Promise<MigrationResource>;
  /** The dry run of `migrate`: all checks, no effect. */
  checkMigrate(body: MigrateBody): Promise<MigrateCheck>;
  /** All checks of a VM against one host, or against every other one. `vm-unknown`, `vm-ambiguous`, `host-unknown` */
  checkVm(reference: string, toHostId: HostId | null): Promise<VmCheckResource>;
  migrations(filter: MigrationFilter): Promise<readonly MigrationResource[]>;
  /** How far predictions were off, over the newest migrations. */
  predictionErrors(): Promise<PredictionErrorsResource>;
  /** `migration-unknown` */
  migration(migrationId: string): Promise<MigrationResource>;
  /** Asks for an abort; the migration then ends as `failed` with code `aborted` unless it was already too late. */
  abortMigration(migrationId: string, askedBy: string): Promise<MigrationResource>;
  /** `receipt-unknown` */
  receipt(migrationId: string): Promise<ReceiptResource>;
  createToken(hostId: HostId, lifetimeMs: number, askedBy: string): Promise<TokenResource>;
  setMode(mode: Mode, askedBy: string): Promise<StatusResource>;

  /** Every pair of hosts with a channel, settings for one, or a measurement. */
  channels(): Promise<readonly ChannelResource[]>;
  /** `host-unknown` */
  channel(one: HostId, other: HostId): Promise<ChannelResource>;
  /** Makes a channel and proves it. Takes up to a minute. `host-unknown`, `migration-limit` */
  proveChannel(fromHostId: HostId, toHostId: HostId, body: ProveBody, askedBy: string): Promise<ProveResource>;
  /** Measures the path and compares packet sizes. Takes up to two minutes. `host-unknown`, `migration-limit`, `channel-failed` */
  tuneChannel(fromHostId: HostId, toHostId: HostId, body: TuneBody, askedBy: string): Promise<TuneResource>;
  /** Ends the channel and puts network settings back. `host-unknown`, `migration-limit` */
  resetChannel(one: HostId, other: HostId, askedBy: string): Promise<ResetResource>;

  /** All that are known of a host, those that end last first. `host-unknown` */
  certificates(hostId: HostId): Promise<readonly CertificateResource[]>;
  /** A new certificate for one host (`host-unknown`), or for every connected one. */
  renewCertificates(hostId: HostId | null, askedBy: string): Promise<readonly RenewalResource[]>;
  /** Puts a host out of the cluster within 5 s. `host-unknown` */
  revokeHost(hostId: HostId, reason: string, askedBy: string): Promise<RevocationResource>;

  requestGrant(body: GrantBody, askedBy: string): Promise<GrantResource>;
  /** `grant-missing`, `grant-invalid` */
  approveGrant(grantId: string, askedBy: string): Promise<GrantResource>;
  /** `grant-missing`, `grant-invalid` */
  withdrawGrant(grantId: string, askedBy: string): Promise<GrantResource>;
  /** Newest first. */
  grants(limit: number): Promise<readonly GrantResource[]>;
  /** Newest first. */
  audit(limit: number): Promise<readonly AuditResource[]>;
}
