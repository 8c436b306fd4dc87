/** A database that an earlier version made, opened by this one. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { MigrationQuery } from '#core/store.ts';
import { openSqliteStore } from '#drivers/store/sqlite-store.ts';
import { associationOfVersion3, migrationOfVersion3, migrationOfVersion4, version3, version4 } from './earlier-databases.ts';
import { grantOf, ledgerEntryOf, migrationOf, vmSettingsOf } from './samples.ts';

/** Nothing was wished, planned, decided or measured before version 5. */
const unplanned = { lastMoved: null, plan: null, decisions: [], measures: null };

describe('a database of schema version 3', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'plimsoll-upgrade-'));
    path = join(folder, 'plimsoll.sqlite');
    const database = new DatabaseSync(path);
    database.exec(version3);
    const insert = database.prepare('insert into migrations (migration_id, asked_at_ms, ended_at_ms, record) values (?, ?, ?, ?)');
    insert.run('m1', 10, 20, JSON.stringify(migrationOfVersion3));
    insert.run('m2', 11, null, JSON.stringify({ ...migrationOfVersion3, proof: null, saBefore: null, endedAtMs: null }));
    insert.run('m3', 12, 30, '{"request":');
    database.close();
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('keeps its migrations: as ESP in tunnel mode between certificates, with nothing made up', async () => {
    const store = await openSqliteStore({ path });
    const { saBefore: _before, saAfter: _after, leastRemaining: _least, ...kept } = migrationOfVersion3;
    const guard = { installed: true, droppedInPackets: 0, droppedOutPackets: 0, droppedProbePackets: 0, exemptPeers: [] };
    const shown = { sourceCertificateSha256: null, destinationCertificateSha256: null };
    const unknown = { ...shown, integrity: null, extendedSequenceNumbers: false, postQuantumKey: false };
    const sa = { ...associationOfVersion3, protocol: 'esp', extendedSequenceNumbers: false, outer: null, replaced: [] };
    expect(await store.migration('m1')).toEqual({
      ...kept,
      request: { ...migrationOfVersion3.request, approvedBy: null, channelKind: 'ipsec', grantId: null, wish: { method: 'auto' } },
      proof: { ...migrationOfVersion3.proof, profile: 'esp-tunnel', authentication: 'certificate', ...unknown },
      ...unplanned,
      tuning: null,
      channelBefore: { sa, guard, errors: null },
      channelAfter: null,
    });
    expect(await store.migrations({ open: true, limit: 10 })).toMatchObject([{ proof: null, channelBefore: null, channelAfter: null }]);
    await store.close();
  });

  it('keeps its hosts as not revoked, names the row that was damaged before, and takes what is new', async () => {
    const store = await openSqliteStore({ path });
    expect(await store.hosts()).toEqual([{ hostId: 'a', joinedAtMs: 5, addresses: null, lastSeenAtMs: 9, revokedAtMs: null }]);
    await expect(store.migration('m3')).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('m3') as string });
    await store.saveGrant(grantOf('g1'));
    await store.close();
    const again = await openSqliteStore({ path });
    expect([await again.grants(1), await again.certificates({}), (await again.migration('m1'))?.proof?.profile]).toEqual([
      [grantOf('g1')],
      [],
      'esp-tunnel',
    ]);
    await again.close();
  });
});

describe('a database of schema version 4', () => {
  const { request, ...old } = migrationOfVersion4;
  const copying = { ...old, phase: 'copying', failure: null, resolution: null, endedAtMs: null };
  const ended = (code: string) => ({ ...old, failure: { code, message: 'look on both hosts' } });
  /** Id, VM, source, destination, record without its request. */
  const kept: readonly (readonly [string, string, string, string, object])[] = [
    ['stayed', 'x', 'a', 'b', old],
    ['moved', 'x', 'b', 'c', { ...old, phase: 'done', failure: null, resolution: null }],
    ['two', 'y', 'a', 'c', ended('two-copies')],
    ['none', 'y', 'a', 'c', ended('zero-copies')],
    ['unknown', 'y', 'a', 'c', ended('truth-unknown')],
    ['open', 'y', 'c', 'a', copying],
  ];
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'plimsoll-upgrade-'));
    path = join(folder, 'plimsoll.sqlite');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** More rows than are rewritten at a time: `more` copies of the first one, asked for before all others. */
  const make = (more = 0): void => {
    const database = new DatabaseSync(path);
    database.exec(version4);
    const insert = database.prepare('insert into migrations (migration_id, asked_at_ms, ended_at_ms, record) values (?, ?, ?, ?)');
    database.exec('begin');
    for (let index = 0; index < more; index += 1) {
      const record = { ...old, request: { ...request, migrationId: `more-${index}`, vmId: 'z', askedAtMs: index } };
      insert.run(`more-${index}`, index, 2000, JSON.stringify(record));
    }
    for (const [index, [migrationId, vmId, fromHostId, toHostId, record]] of kept.entries()) {
      const askedAtMs = 10_000 + index;
      const asked = { ...request, migrationId, vmId, fromHostId, toHostId, askedAtMs };
      insert.run(migrationId, askedAtMs, migrationId === 'open' ? null : 20_000, JSON.stringify({ ...record, request: asked }));
    }
    insert.run('damaged', 1, 2, '{"request":');
    database.exec('commit');
    database.close();
  };

  it('keeps its migrations with every part, and nothing made up', async () => {
    make();
    const store = await openSqliteStore({ path });
    const { leastRemaining: _least, ...still } = old;
    expect(await store.migration('stayed')).toEqual({
      ...still,
      ...unplanned,
      request: { ...request, migrationId: 'stayed', vmId: 'x', askedAtMs: 10_000, wish: { method: 'auto' } },
      progress: { ...old.progress, stage: 'copying', throttlePercent: null },
      resolution: { ...old.resolution, workingSinceMs: null, haltedSinceMs: null, relocked: false, relockTries: 0 },
    });
    expect(await store.migration('open')).toMatchObject({ phase: 'copying', resolution: null, endedAtMs: null, ...unplanned });
    await expect(store.migration('damaged')).rejects.toMatchObject({ message: expect.stringContaining('damaged of table') as string });
    await store.close();
  });

  it('finds them by VM, host and outcome, however many there are', async () => {
    make(1200);
    const store = await openSqliteStore({ path });
    const ids = async (query: Omit<MigrationQuery, 'limit'>) =>
      (await store.migrations({ ...query, limit: 10_000 })).map((migration) => migration.request.migrationId);
    expect(await ids({ vmId: 'x' })).toEqual(['moved', 'stayed']);
    expect(await ids({ hostId: 'c' })).toEqual(['open', 'unknown', 'none', 'two', 'moved']);
    expect(await ids({ outcome: 'moved' })).toEqual(['moved']);
    expect(await ids({ outcome: 'unclear' })).toEqual(['unknown', 'none', 'two']);
    expect(await ids({ open: true })).toEqual(['open']);
    expect(await ids({ vmId: 'z', outcome: 'stayed' })).toHaveLength(1200);
    await store.close();
  });

  it('keeps its ledger, of which nobody can say what was sent', async () => {
    make();
    const database = new DatabaseSync(path);
    database.exec("insert into ledger values (1, 'm1', 'x', 'a', 'b', 'balance', 10, 20, 'moved', null)");
    database.close();
    const store = await openSqliteStore({ path });
    const unsaid = ledgerEntryOf('m1', 20, { vmId: 'x', cause: 'balance', sentBytes: null });
    await store.appendLedger(ledgerEntryOf('m2', 30));
    expect(await store.ledgerSince(0)).toEqual([unsaid, ledgerEntryOf('m2', 30)]);
    await store.close();
  });

  it('finds migrations by the plan that asked for them', async () => {
    make();
    const planned = new DatabaseSync(path);
    planned.exec("update migrations set record = json_set(record, '$.request.planId', 'p7') where migration_id in ('moved', 'open')");
    planned.close();
    const store = await openSqliteStore({ path });
    expect((await store.startedMoves(['p7'])).map(({ migrationId }) => migrationId)).toEqual(['moved', 'open']);
    await store.close();
  });

  it('takes what is new, and is upgraded once', async () => {
    make();
    for (const attempt of [1, 2]) {
      const store = await openSqliteStore({ path });
      expect(await store.vmSettings()).toEqual(attempt === 1 ? [] : [vmSettingsOf('x')]);
      await store.saveVmSettings(vmSettingsOf('x'));
      await store.saveMigration(migrationOf('new', 30_000));
      expect((await store.migrations({ sinceMs: 10_000, limit: 2 })).map((migration) => migration.request.migrationId)).toEqual([
        'new',
        'open',
      ]);
      await store.close();
    }
  });

  it('stays whole at version 4 when the upgrade is cut short', async () => {
    make();
    const spoil = new DatabaseSync(path);
    spoil.exec("create trigger refuse before update on migrations when old.migration_id = 'open' begin select raise(abort, 'disk'); end");
    await expect(openSqliteStore({ path })).rejects.toMatchObject({ code: 'config-invalid' });
    expect(spoil.prepare('select max(version) as version from schema_version').get()).toEqual({ version: 4 });
    expect(spoil.prepare("select record from migrations where record like '%decisions%'").all()).toEqual([]);
    spoil.exec('drop trigger refuse');
    spoil.close();
    const store = await openSqliteStore({ path });
    expect(await store.migration('open')).toMatchObject(unplanned);
    await store.close();
  });
});
