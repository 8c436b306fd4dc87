/** The tables as Kysely sees them. Times are milliseconds since the Unix epoch; `record` and `addresses` hold JSON. */
import type { Generated } from 'kysely';

export interface Tables {
  readonly settings: { readonly name: string; readonly value: string };
  readonly counters: { readonly name: string; readonly value: number };
  readonly vm_epochs: { readonly vm_id: string; readonly epoch: number };
  readonly hosts: {
    readonly host_id: string;
    readonly joined_at_ms: number;
    readonly addresses: string | null;
    readonly last_seen_at_ms: number | null;
    readonly revoked_at_ms: number | null;
  };
  readonly join_tokens: {
    readonly token_hash: string;
    readonly host_id: string;
    readonly expires_at_ms: number;
    readonly used_at_ms: number | null;
  };
  readonly history: { readonly host_id: string; readonly at_ms: number; readonly cpu_percent: number; readonly memory_percent: number };
  readonly migrations: {
    /** Order of first saving; breaks ties of time. */
    readonly position: Generated<number>;
    readonly migration_id: string;
    readonly asked_at_ms: number;
    readonly ended_at_ms: number | null;
    readonly record: string;
    /** What a migration is found by, as in its record; null in a row that was damaged before there were these columns. */
    readonly vm_id: string | null;
    readonly from_host_id: string | null;
    readonly to_host_id: string | null;
    /** Also null while the migration is under way. */
    readonly outcome: string | null;
    /** Null for one that no plan asked for. */
    readonly plan_id: string | null;
  };
  readonly ledger: {
    readonly position: Generated<number>;
    readonly migration_id: string;
    readonly vm_id: string;
    readonly from_host_id: string;
    readonly to_host_id: string;
    readonly cause: string;
    readonly started_at_ms: number;
    readonly ended_at_ms: number;
    readonly outcome: string;
    readonly failure_code: string | null;
    readonly sent_bytes: number | null;
  };
  readonly plans: {
    readonly position: Generated<number>;
    readonly plan_id: string;
    readonly created_at_ms: number;
    readonly record: string;
  };
  readonly plan_courses: { readonly plan_id: string; readonly rejected_at_ms: number | null; readonly record: string };
  readonly receipts: {
    readonly migration_id: string;
    readonly sequence: number;
    readonly created_at_ms: number;
    readonly envelope: string;
  };
  readonly certificates: {
    readonly authority_id: string;
    readonly serial_number: string;
    readonly host_id: string;
    readonly sha256: string;
    readonly not_before_ms: number;
    readonly not_after_ms: number;
    readonly revoked_at_ms: number | null;
  };
  readonly grants: {
    readonly position: Generated<number>;
    readonly grant_id: string;
    readonly requested_at_ms: number;
    readonly record: string;
  };
  readonly audit: {
    readonly position: Generated<number>;
    readonly at_ms: number;
    readonly who: string;
    readonly verb: string;
    readonly subject: string;
    readonly detail: string;
  };
  readonly vm_settings: {
    readonly vm_id: string;
    /** 0 or 1. */
    readonly restartable: number;
    readonly address: string | null;
    readonly definition_text: string | null;
    readonly sla_class: string | null;
    readonly tenant: string | null;
    /** JSON; null: none. */
    readonly labels: string | null;
    readonly updated_at_ms: number;
  };
  readonly recoveries: { readonly vm_id: string; readonly record: string };
  readonly rules: { readonly name: string; readonly record: string };
  readonly cordons: { readonly host_id: string; readonly record: string };
  readonly drains: { readonly host_id: string; readonly record: string };
  readonly maintenances: { readonly position: Generated<number>; readonly maintenance_id: string; readonly record: string };
  readonly tunings: { readonly host_a: string; readonly host_b: string; readonly record: string };
  readonly kept_channels: { readonly host_a: string; readonly host_b: string };
}
