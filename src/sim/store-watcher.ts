import type { Drain } from '#core/model/drain.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { Maintenance } from '#core/model/maintenance.ts';
import type { Migration } from '#core/model/migration.ts';
import type { Plan } from '#core/model/plan.ts';
import type { Mode } from '#core/model/policy.ts';
import type { StoredReceipt } from '#core/store.ts';

/** What a harness wants to see as it becomes durable. */
export interface StoreWatcher {
  readonly onPlan: (plan: Plan) => void;
  readonly onReceipt: (receipt: StoredReceipt) => void;
  readonly onLedger: (entry: LedgerEntry) => void;
  readonly onMigration: (migration: Migration) => void;
  readonly onMode: (mode: Mode) => void;
  readonly onDrain: (drain: Drain) => void;
  readonly onMaintenance: (maintenance: Maintenance) => void;
  /** What it was shown is not on the disk after all: never acknowledged, and lost with its process. */
  readonly onMigrationLost: (migration: Migration) => void;
  readonly onLedgerLost: (entry: LedgerEntry) => void;
}
