/** Writes migrations and ledger entries until it is killed; prints each id once the store has acknowledged it. */
import { openSqliteStore } from '#drivers/store/sqlite-store.ts';
import { ledgerEntryOf, migrationOf } from './samples.ts';

const [path = ''] = process.argv.slice(2);
const store = await openSqliteStore({ path });
const run = await store.nextControllerEpoch();
for (let index = 0; ; index += 1) {
  const id = `run-${run}-${index}`;
  await store.saveMigration(migrationOf(id, 1000 + index));
  await store.appendLedger(ledgerEntryOf(id, 1000 + index));
  process.stdout.write(`${id}\n`);
}
