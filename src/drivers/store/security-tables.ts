import type { Kysely } from 'kysely';
import type { HostId } from '#core/model/host.ts';
import { endedCertificatesKeptMs } from '#core/store-rules.ts';
import type { AuditEntry, CertificateRecord, Grant, HostPair, StoredTuning } from '#core/store.ts';
import { grantRecord, tuningRecord } from './records.ts';
import { checked, parsedJson, rowShapes, writable } from './row-shapes.ts';
import type { Tables } from './tables.ts';

/** Certificates, break-glass grants, what was measured between hosts, and who did what. */
export class SecurityTables {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  /** See `isLongEnded`. */
  async saveCertificate(certificate: CertificateRecord): Promise<void> {
    const changing = {
      host_id: certificate.hostId,
      sha256: certificate.sha256,
      not_before_ms: certificate.notBeforeMs,
      not_after_ms: certificate.notAfterMs,
      revoked_at_ms: certificate.revokedAtMs,
    };
    const row = { ...changing, authority_id: certificate.authorityId, serial_number: certificate.serialNumber };
    const written = writable(rowShapes.certificate, row, 'certificates', certificate.serialNumber);
    await this.#database.transaction().execute(async (transaction) => {
      await transaction
        .insertInto('certificates')
        .values(written)
        .onConflict((conflict) => conflict.columns(['authority_id', 'serial_number']).doUpdateSet(changing))
        .execute();
      await transaction
        .deleteFrom('certificates')
        .where('host_id', '=', certificate.hostId)
        .where('not_after_ms', '<', certificate.notBeforeMs - endedCertificatesKeptMs)
        .execute();
    });
  }

  /** Those that end last come first. */
  async certificates(filter: { readonly hostId?: HostId; readonly revoked?: boolean }): Promise<readonly CertificateRecord[]> {
    let query = this.#database.selectFrom('certificates').selectAll();
    if (filter.hostId !== undefined) query = query.where('host_id', '=', filter.hostId);
    if (filter.revoked !== undefined) query = query.where('revoked_at_ms', filter.revoked ? 'is not' : 'is', null);
    const rows = await query.orderBy('not_after_ms', 'desc').orderBy('serial_number').execute();
    return rows.map(certificateOf);
  }

  async saveGrant(grant: Grant): Promise<void> {
    const record = JSON.stringify(writable(grantRecord, grant, 'grants', grant.grantId));
    await this.#database
      .insertInto('grants')
      .values({ grant_id: grant.grantId, requested_at_ms: grant.requestedAtMs, record })
      .onConflict((conflict) => conflict.column('grant_id').doUpdateSet({ record }))
      .execute();
  }

  async grant(grantId: string): Promise<Grant | null> {
    const row = await this.#database.selectFrom('grants').select('record').where('grant_id', '=', grantId).executeTakeFirst();
    return row === undefined ? null : parsedJson(grantRecord, row.record, 'grants', grantId);
  }

  async grants(limit: number): Promise<readonly Grant[]> {
    const rows = await this.#database
      .selectFrom('grants')
      .select(['grant_id', 'record'])
      .orderBy('requested_at_ms', 'desc')
      .orderBy('position', 'desc')
      .limit(limit)
      .execute();
    return rows.map((row) => parsedJson(grantRecord, row.record, 'grants', row.grant_id));
  }

  async appendAudit(entry: AuditEntry): Promise<void> {
    const row = { at_ms: entry.atMs, who: entry.who, verb: entry.verb, subject: entry.subject, detail: entry.detail };
    await this.#database
      .insertInto('audit')
      .values(writable(rowShapes.audit, row, 'audit', entry.verb))
      .execute();
  }

  /** In the order in which they were written: a clock that was set back hides nothing. */
  async audit(limit: number): Promise<readonly AuditEntry[]> {
    const rows = await this.#database.selectFrom('audit').selectAll().orderBy('position', 'desc').limit(limit).execute();
    return rows.map((raw) => {
      const row = checked(rowShapes.audit, raw, 'audit', String(raw.position));
      return { atMs: row.at_ms, who: row.who, verb: row.verb, subject: row.subject, detail: row.detail };
    });
  }

  async saveTuning({ hostA, hostB, record }: StoredTuning): Promise<void> {
    const text = JSON.stringify(writable(tuningRecord, record, 'tunings', `${hostA} ${hostB}`));
    await this.#database
      .insertInto('tunings')
      .values({ host_a: hostA, host_b: hostB, record: text })
      .onConflict((conflict) => conflict.columns(['host_a', 'host_b']).doUpdateSet({ record: text }))
      .execute();
  }

  async tunings(): Promise<readonly StoredTuning[]> {
    const rows = await this.#database.selectFrom('tunings').selectAll().orderBy('host_a').orderBy('host_b').execute();
    return rows.map(({ host_a: hostA, host_b: hostB, record }) => ({
      hostA,
      hostB,
      record: parsedJson(tuningRecord, record, 'tunings', `${hostA} ${hostB}`),
    }));
  }

  async saveKeptChannel({ hostA, hostB }: HostPair): Promise<void> {
    const row = writable(rowShapes.keptChannel, { host_a: hostA, host_b: hostB }, 'kept_channels', `${hostA} ${hostB}`);
    await this.#database
      .insertInto('kept_channels')
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }

  async removeKeptChannel({ hostA, hostB }: HostPair): Promise<void> {
    await this.#database.deleteFrom('kept_channels').where('host_a', '=', hostA).where('host_b', '=', hostB).execute();
  }

  async keptChannels(): Promise<readonly HostPair[]> {
    const rows = await this.#database.selectFrom('kept_channels').selectAll().orderBy('host_a').orderBy('host_b').execute();
    return rows.map((raw) => {
      const row = checked(rowShapes.keptChannel, raw, 'kept_channels', `${raw.host_a} ${raw.host_b}`);
      return { hostA: row.host_a, hostB: row.host_b };
    });
  }
}

function certificateOf(raw: Tables['certificates']): CertificateRecord {
  const row = checked(rowShapes.certificate, raw, 'certificates', raw.serial_number);
  return {
    serialNumber: row.serial_number,
    authorityId: row.authority_id,
    hostId: row.host_id,
    sha256: row.sha256,
    notBeforeMs: row.not_before_ms,
    notAfterMs: row.not_after_ms,
    revokedAtMs: row.revoked_at_ms,
  };
}
