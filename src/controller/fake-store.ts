/** The store of the controller's own tests: in memory, and it can be made to fail. */
import type { HostId } from '#core/model/host.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { Migration } from '#core/model/migration.ts';
import type { Plan } from '#core/model/plan.ts';
import type { Mode } from '#core/model/policy.ts';
import type { Sample } from '#core/model/sample.ts';
import type {
  AuditEntry,
  CertificateRecord,
  Grant,
  HistoryPoint,
  HostRecord,
  JoinToken,
  Store,
  StoredReceipt,
  StoredTuning,
} from '#core/store.ts';

const ignored = () => undefined;

/** In memory, with the rules of the real one: a plan and a receipt are written once, a token is used once and not after its host was revoked. */
export class MemoryStore implements Store {
  /** Calls of these fail. */
  readonly failing = new Set<keyof Store>();
  readonly ledger: LedgerEntry[] = [];
  readonly receipts: StoredReceipt[] = [];
  readonly samples: Sample[] = [];
  readonly plans: Plan[] = [];
  readonly records = new Map<string, Migration>();
  readonly hostRecords: HostRecord[] = [];
  readonly tokens = new Map<string, JoinToken>();
  readonly issued: CertificateRecord[] = [];
  readonly audited: AuditEntry[] = [];
  readonly granted = new Map<string, Grant>();
  readonly tuned: StoredTuning[] = [];
  kept: Mode | null = null;
  #controllerEpoch = 0;
  #vmEpoch = 0;

  nextControllerEpoch = () => this.#do('nextControllerEpoch', () => (this.#controllerEpoch += 1));
  nextVmEpoch = () => this.#do('nextVmEpoch', () => (this.#vmEpoch += 1));
  hosts = () => this.#do('hosts', () => this.hostRecords);
  saveHost = (host: HostRecord) => this.#do('saveHost', () => this.#saveHost(host));
  saveToken = (token: JoinToken) => this.#do('saveToken', () => void this.tokens.set(token.tokenHash, token));
  useToken = (tokenHash: string, atMs: number) => this.#do('useToken', () => this.#useToken(tokenHash, atMs));
  appendSamples = (samples: readonly Sample[]) => this.#do('appendSamples', () => void this.samples.push(...samples));
  history = () => this.#do('history', (): readonly HistoryPoint[] => []);
  trimHistory = () => this.#do('trimHistory', ignored);
  saveMigration = (migration: Migration) =>
    this.#do('saveMigration', () => void this.records.set(migration.request.migrationId, migration));
  migration = (migrationId: string) => this.#do('migration', () => this.records.get(migrationId) ?? null);
  migrations = ({ open }: { readonly open?: boolean }) => this.#do('migrations', () => this.#migrations(open));
  appendLedger = (entry: LedgerEntry) => this.#do('appendLedger', () => this.#appendLedger(entry));
  ledgerSince = () => this.#do('ledgerSince', () => this.ledger);
  savePlan = (plan: Plan) => this.#do('savePlan', () => void this.plans.push(plan));
  plan = (planId: string) => this.#do('plan', () => this.plans.find((plan) => plan.planId === planId) ?? null);
  latestPlan = () => this.#do('latestPlan', () => this.plans.at(-1) ?? null);
  saveReceipt = (receipt: StoredReceipt) => this.#do('saveReceipt', () => this.#saveReceipt(receipt));
  receipt = (id: string) => this.#do('receipt', () => this.receipts.find(({ migrationId }) => migrationId === id) ?? null);
  lastReceipt = () => this.#do('lastReceipt', () => this.receipts.at(-1) ?? null);
  saveCertificate = (certificate: CertificateRecord) =>
    this.#do('saveCertificate', () => replaceBy(this.issued, certificate, ({ serialNumber }) => serialNumber));
  certificates = (filter: { readonly hostId?: HostId; readonly revoked?: boolean }) =>
    this.#do('certificates', () => this.#certificates(filter));
  saveGrant = (grant: Grant) => this.#do('saveGrant', () => void this.granted.set(grant.grantId, grant));
  grant = (grantId: string) => this.#do('grant', () => this.granted.get(grantId) ?? null);
  grants = (limit: number) => this.#do('grants', () => [...this.granted.values()].toReversed().slice(0, limit));
  appendAudit = (entry: AuditEntry) => this.#do('appendAudit', () => void this.audited.push(entry));
  audit = (limit: number) => this.#do('audit', () => this.audited.toReversed().slice(0, limit));
  saveTuning = (tuning: StoredTuning) =>
    this.#do('saveTuning', () => replaceBy(this.tuned, tuning, ({ hostA, hostB }) => `${hostA} ${hostB}`));
  tunings = () => this.#do('tunings', (): readonly StoredTuning[] => this.tuned);
  mode = () => this.#do('mode', () => this.kept);
  saveMode = (mode: Mode) => this.#do('saveMode', () => void (this.kept = mode));
  close = () => Promise.resolve();

  async #do<Value>(name: keyof Store, work: () => Value): Promise<Value> {
    if (this.failing.has(name)) throw new Error(`${name}: disk full`);
    return work();
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

  #migrations(open: boolean | undefined): readonly Migration[] {
    return [...this.records.values()].filter(({ endedAtMs }) => open === undefined || (endedAtMs === null) === open);
  }

  #appendLedger(entry: LedgerEntry): void {
    if (!this.ledger.some(({ migrationId }) => migrationId === entry.migrationId)) this.ledger.push(entry);
  }

  #saveReceipt(receipt: StoredReceipt): void {
    if (this.receipts.some(({ migrationId }) => migrationId === receipt.migrationId)) throw new Error('a receipt is written once');
    this.receipts.push(receipt);
  }
}

function replaceBy<Item>(items: Item[], item: Item, keyOf: (one: Item) => string): void {
  const index = items.findIndex((one) => keyOf(one) === keyOf(item));
  if (index === -1) items.push(item);
  else items[index] = item;
}
