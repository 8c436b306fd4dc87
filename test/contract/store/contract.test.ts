import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { openSqliteStore } from '#drivers/store/sqlite-store.ts';
import { storeContract } from './store-contract.ts';

let folder = '';
let files = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-store-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

storeContract('SQLite in memory', () => openSqliteStore({ path: ':memory:' }));
storeContract('SQLite in a file', () => openSqliteStore({ path: join(folder, `${(files += 1)}.sqlite`) }));
