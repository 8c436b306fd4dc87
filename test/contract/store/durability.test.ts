/** The SQLite store as a file: kills, restarts, damage, two processes. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { Kysely, sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Store } from '#core/store.ts';
import { openSqliteDialect } from '#drivers/store/sqlite-dialect.ts';
import { openSqliteStore } from '#drivers/store/sqlite-store.ts';
import { fullMigrationOf, ledgerEntryOf, migrationOf, planOf, sampleOf, vmSettingsOf } from './samples.ts';

const writer = fileURLToPath(new URL('./writer.ts', import.meta.url));

/** Starts a writer, kills it with SIGKILL after `count` acknowledgements; resolves with all it acknowledged. */
function writeUntilKilled(path: string, count: number): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [writer, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.split('\n').length > count) child.kill('SIGKILL');
    });
    child.on('error', reject);
    // `close` comes after all output was read; a last line without its end was never acknowledged.
    child.on('close', () => resolve(text.split('\n').slice(0, -1)));
  });
}

describe('the SQLite store as a file', () => {
  let folder: string;
  let path: string;
  const spoil = (statement: string): void => {
    const database = new DatabaseSync(path);
    database.exec(statement);
    database.close();
  };
  const withStore = async <Value>(use: (store: Store) => Promise<Value>): Promise<Value> => {
    const store = await openSqliteStore({ path });
    try {
      return await use(store);
    } finally {
      await store.close();
    }
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'plimsoll-store-'));
    path = join(folder, 'plimsoll.sqlite');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('has every acknowledged migration and ledger entry after kill -9, five times in a row', async () => {
    const acknowledged: string[] = [];
    for (let round = 1; round <= 5; round += 1) {
      const ids = await writeUntilKilled(path, 20 * round);
      expect(ids.length).toBeGreaterThanOrEqual(20 * round);
      acknowledged.push(...ids);
      const kept = await withStore(async (store) => ({
        migrations: new Set((await store.migrations({ limit: 100_000 })).map((migration) => migration.request.migrationId)),
        ledger: new Set((await store.ledgerSince(0)).map((entry) => entry.migrationId)),
      }));
      expect(acknowledged.filter((id) => !kept.migrations.has(id) || !kept.ledger.has(id))).toEqual([]);
    }
  });

  it('syncs each commit: the journal is a WAL and synchronous is full', async () => {
    await withStore((store) => store.saveMode('observe'));
    const database = new DatabaseSync(path);
    expect(database.prepare('pragma journal_mode').get()).toEqual({ journal_mode: 'wal' });
    database.close();
    const kysely = new Kysely<object>({ dialect: openSqliteDialect(path) });
    expect((await sql`pragma synchronous`.execute(kysely)).rows).toEqual([{ synchronous: 2 }]);
    expect((await sql`pragma foreign_keys`.execute(kysely)).rows).toEqual([{ foreign_keys: 1 }]);
    await kysely.destroy();
  });

  it('goes on counting epochs after a restart', async () => {
    await withStore((store) => store.nextControllerEpoch());
    expect(await withStore((store) => store.nextControllerEpoch())).toBe(2);
  });

  it('gives each epoch and token to one of two processes that share the file', async () => {
    const [one, two] = [await openSqliteStore({ path }), await openSqliteStore({ path })];
    await one.saveToken({ tokenHash: 't', hostId: 'a', expiresAtMs: 1, usedAtMs: null });
    const epochs = await Promise.all(Array.from({ length: 20 }, (_, index) => (index % 2 ? one : two).nextVmEpoch('x')));
    expect(new Set(epochs).size).toBe(20);
    const uses = await Promise.all([one.useToken('t', 5), two.useToken('t', 6)]);
    expect(uses.filter((use) => use?.usedAtMs === null)).toHaveLength(1);
    await one.close();
    await two.close();
  });

  it('writes a batch of samples whole or not at all', async () => {
    await withStore(async (store) => {
      await expect(store.appendSamples([sampleOf('a', 1, 1), sampleOf('a', Number.NaN, 1)])).rejects.toMatchObject({ code: 'internal' });
      expect(await store.history('a', 0, 10)).toEqual([]);
    });
    spoil("create trigger refuse before insert on history when new.at_ms = 1500 begin select raise(abort, 'disk'); end");
    await withStore(async (store) => {
      const samples = Array.from({ length: 2000 }, (_, index) => sampleOf('a', index, 1));
      await expect(store.appendSamples(samples)).rejects.toMatchObject({ code: 'internal' });
      expect(await store.history('a', 0, 10)).toEqual([]);
      await store.saveMode('observe');
      expect(await store.mode()).toBe('observe');
    });
  });

  it('keeps writes apart that run at the same time: one that fails takes no other with it', async () => {
    await withStore(async (store) => {
      const results = await Promise.allSettled([
        store.appendSamples([sampleOf('a', 1, 1)]),
        store.savePlan(planOf('p')),
        store.savePlan(planOf('p')),
        store.appendSamples([sampleOf('a', 2, 1)]),
        store.saveMigration(migrationOf('m', 1)),
      ]);
      expect(results.map((result) => result.status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
      expect(await store.history('a', 0, 10)).toHaveLength(2);
      expect(await store.migration('m')).not.toBeNull();
    });
  });

  const damages: readonly (readonly [string, string, (store: Store) => Promise<unknown>, string])[] = [
    ['half a JSON text', 'update migrations set record = \'{"request":\'', (store) => store.migration('m1'), 'm1 of table migrations'],
    [
      'a wrong type deep in a record',
      "update migrations set record = json_set(record, '$.proof.protectedProbes', 'many')",
      (store) => store.migrations({ limit: 1 }),
      'm1 of table migrations is damaged: /proof/protectedProbes',
    ],
    [
      'an unknown phase',
      "update migrations set record = json_set(record, '$.phase', 'flying')",
      (store) => store.migration('m1'),
      '/phase',
    ],
    [
      'a missing part of a plan',
      "update plans set record = json_remove(record, '$.moves')",
      (store) => store.latestPlan(),
      'p1 of table plans',
    ],
    ['a wrong word in the ledger', "update ledger set outcome = 'won'", (store) => store.ledgerSince(0), 'm1 of table ledger'],
    ['a text where a time belongs', "update ledger set ended_at_ms = 'today'", (store) => store.ledgerSince(0), 'm1 of table ledger'],
    ['damaged addresses', "update hosts set addresses = '{}'", (store) => store.hosts(), 'a of table hosts'],
    [
      'a word where a VM is restartable or not',
      "update vm_settings set restartable = 'often'",
      (store) => store.vmSettings(),
      'x of table vm_settings is damaged: /restartable',
    ],
    [
      'an unknown method deep in a plan',
      "update migrations set record = json_set(record, '$.plan.options.method', 'fax')",
      (store) => store.migration('m1'),
      '/plan/options/method',
    ],
    [
      'a decision of nobody',
      "update migrations set record = json_set(record, '$.decisions[1].by', 'chance')",
      (store) => store.migrations({ limit: 1 }),
      '/decisions/1/by',
    ],
    [
      'measures without a part',
      "update migrations set record = json_remove(record, '$.measures.outside.delayMsP99')",
      (store) => store.migration('m1'),
      '/measures',
    ],
    ['an unknown mode', "update settings set value = 'reckless'", (store) => store.mode(), 'mode of table settings'],
  ];

  it.each(damages)('names table and row when it finds %s', async (_, statement, read, named) => {
    await withStore(async (store) => {
      await store.nextControllerEpoch();
      await store.saveMigration(fullMigrationOf('m1', 1));
      await store.savePlan(planOf('p1'));
      await store.appendLedger(ledgerEntryOf('m1', 1000));
      await store.saveHost({ hostId: 'a', joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
      await store.saveMode('observe');
      await store.saveVmSettings(vmSettingsOf('x'));
    });
    spoil(statement);
    await withStore(async (store) => {
      await expect(read(store)).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining(named) as string });
      expect(await store.nextVmEpoch('x')).toBe(1);
    });
  });

  it('refuses to write what it could not read back', async () => {
    await withStore(async (store) => {
      const broken = migrationOf('m1', 1, { lastMoved: { sentBytes: Number.NaN, atMs: 1 } });
      await expect(store.saveMigration(broken)).rejects.toMatchObject({ code: 'internal' });
      expect(await store.migration('m1')).toBeNull();
      for (const change of [{ address: '' }, { updatedAtMs: Number.NaN }, { definitionText: 'x'.repeat(1024 * 1024 + 1) }]) {
        await expect(store.saveVmSettings(vmSettingsOf('x', change))).rejects.toMatchObject({ code: 'internal' });
      }
      expect(await store.vmSettings()).toEqual([]);
    });
  });

  it('refuses a file of a newer version, one that is no database, and a folder that is not there', async () => {
    await withStore((store) => store.saveMode('observe'));
    spoil('insert into schema_version (version) values (99)');
    await expect(openSqliteStore({ path })).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining('99') as string,
    });
    writeFileSync(join(folder, 'text'), 'this is no database, it is a text that is long enough to be looked at '.repeat(100));
    await expect(openSqliteStore({ path: join(folder, 'text') })).rejects.toMatchObject({ code: 'config-invalid' });
    await expect(openSqliteStore({ path: join(folder, 'absent', 'x.sqlite') })).rejects.toMatchObject({ code: 'config-invalid' });
  });

  it('says that it is closed', async () => {
    const store = await openSqliteStore({ path });
    await store.close();
    await store.close();
    await expect(store.mode()).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('closed') as string });
  });
});
