import type { Kysely } from 'kysely';
import type { HostRecord, JoinToken } from '#core/store.ts';
import { hostAddresses } from './records.ts';
import { checked, parsedJson, rowShapes, writable } from './row-shapes.ts';
import type { Tables } from './tables.ts';

/** Hosts and the one-time tokens by which they join. */
export class HostTables {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async hosts(): Promise<readonly HostRecord[]> {
    const rows = await this.#database.selectFrom('hosts').selectAll().orderBy('host_id').execute();
    return rows.map((row) => {
      const {
        host_id: hostId,
        joined_at_ms: joinedAtMs,
        last_seen_at_ms: lastSeenAtMs,
        revoked_at_ms: revokedAtMs,
      } = checked(rowShapes.host, row, 'hosts', row.host_id);
      const addresses = row.addresses === null ? null : parsedJson(hostAddresses, row.addresses, 'hosts', hostId);
      return { hostId, joinedAtMs, addresses, lastSeenAtMs, revokedAtMs };
    });
  }

  /** A revoked host's unused tokens are void from the same moment on: with them it, or a thief of them, would be back at once. */
  async saveHost(host: HostRecord): Promise<void> {
    const { addresses } = host;
    if (addresses !== null) writable(hostAddresses, addresses, 'hosts', host.hostId);
    const columns = {
      joined_at_ms: host.joinedAtMs,
      addresses: addresses === null ? null : JSON.stringify(addresses),
      last_seen_at_ms: host.lastSeenAtMs,
      revoked_at_ms: host.revokedAtMs,
    };
    writable(rowShapes.host, { ...columns, host_id: host.hostId }, 'hosts', host.hostId);
    await this.#database.transaction().execute(async (transaction) => {
      await transaction
        .insertInto('hosts')
        .values({ ...columns, host_id: host.hostId })
        .onConflict((conflict) => conflict.column('host_id').doUpdateSet(columns))
        .execute();
      if (host.revokedAtMs === null) return;
      await transaction
        .updateTable('join_tokens')
        .set({ used_at_ms: host.revokedAtMs })
        .where('host_id', '=', host.hostId)
        .where('used_at_ms', 'is', null)
        .execute();
    });
  }

  async saveToken(token: JoinToken): Promise<void> {
    const row = { token_hash: token.tokenHash, host_id: token.hostId, expires_at_ms: token.expiresAtMs, used_at_ms: token.usedAtMs };
    await this.#database
      .insertInto('join_tokens')
      .values(writable(rowShapes.token, row, 'join_tokens', token.tokenHash))
      .execute();
  }

  /** The update takes the token only while it is unused: of two callers at once, one sees it unused. */
  async useToken(tokenHash: string, atMs: number): Promise<JoinToken | null> {
    const taken = await this.#database
      .updateTable('join_tokens')
      .set({ used_at_ms: atMs })
      .where('token_hash', '=', tokenHash)
      .where('used_at_ms', 'is', null)
      .returningAll()
      .executeTakeFirst();
    const row =
      taken ?? (await this.#database.selectFrom('join_tokens').selectAll().where('token_hash', '=', tokenHash).executeTakeFirst());
    if (row === undefined) return null;
    const token = checked(rowShapes.token, row, 'join_tokens', tokenHash);
    const usedAtMs = taken === undefined ? token.used_at_ms : null;
    return { tokenHash: token.token_hash, hostId: token.host_id, expiresAtMs: token.expires_at_ms, usedAtMs };
  }
}
