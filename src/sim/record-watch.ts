import type { LedgerEntry } from '#core/model/ledger.ts';
import type { Migration } from '#core/model/migration.ts';
import { type Breach, breach } from './breach.ts';
import type { SimStore } from './store.ts';

interface Known {
  readonly vmName: string;
  /** Of each time that it was saved: null while it was open, the whole record from then on. */
  readonly saves: (string | null)[];
}

/**
 * What a controller has made durable stays: a migration is never forgotten, and what is closed stays closed and as it was. Whoever writes
 * an older record over a newer one shows here, whichever controller it was.
 */
export class RecordWatch {
  readonly #onAsked: (migration: Migration) => void;
  readonly #known = new Map<string, Known>();
  #ledger: readonly LedgerEntry[] = [];
  readonly #found: Breach[] = [];

  /** `onAsked`: with the first record of each. */
  constructor(onAsked: (migration: Migration) => void = () => undefined) {
    this.#onAsked = onAsked;
  }

  get found(): readonly Breach[] {
    return this.#found;
  }

  saved(migration: Migration): void {
    const { migrationId, vmName } = migration.request;
    if (!this.#known.has(migrationId)) this.#onAsked(migration);
    const known = this.#known.get(migrationId) ?? { vmName, saves: [] };
    this.#known.set(migrationId, known);
    const before = known.saves.findLast((closed) => closed !== null);
    if (before === undefined && migration.endedAtMs === null) {
      known.saves.push(null);
      return;
    }
    const text = JSON.stringify(migration);
    known.saves.push(text);
    if (before === undefined || before === text) return;
    const words = migration.endedAtMs === null ? 'is open again' : 'has another end';
    this.#found.push(breach('record-changed', `the migration of ${vmName}, which was closed, ${words}: ${migration.phase}`));
  }

  /** The last save of it is not on the disk after all; nobody was told that it was. */
  lost({ request: { migrationId } }: Migration): void {
    const known = this.#known.get(migrationId);
    known?.saves.pop();
    if (known?.saves.length === 0) this.#known.delete(migrationId);
  }

  entered(entry: LedgerEntry): void {
    this.#ledger = [...this.#ledger, entry];
  }

  /** The same of an entry. */
  entryLost(entry: LedgerEntry): void {
    this.#ledger = this.#ledger.filter((one) => keyOf(one) !== keyOf(entry));
  }

  /** What of it the store no longer has. For the end of a run: it reads all of it. */
  lostFrom(store: SimStore): readonly Breach[] {
    const kept = new Set(store.allMigrations().map(({ request }) => request.migrationId));
    const entries = new Set(store.allLedger().map(keyOf));
    const lost = [...this.#known].filter(([migrationId]) => !kept.has(migrationId));
    return [
      ...lost.map(([migrationId, { vmName }]) => breach('record-lost', `the store has no migration ${migrationId} of ${vmName} any more`)),
      ...this.#ledger
        .filter((entry) => !entries.has(keyOf(entry)))
        .map(({ migrationId }) => breach('record-lost', `the ledger has no entry of migration ${migrationId} any more`)),
    ];
  }
}

function keyOf({ migrationId, outcome }: LedgerEntry): string {
  return `${migrationId} ${outcome}`;
}
