import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import type { Store } from '#core/store.ts';
import { MemoryStore } from '#controller/fake-store.ts';
import { noWatcher } from '#sim/examples.ts';
import { SimStore } from '#sim/store.ts';
import { VirtualTime } from '#sim/virtual-time.ts';
import { openSqliteStore } from '#drivers/store/sqlite-store.ts';
import { fenceContract } from './fence-contract.ts';
import { placementContract } from './placement-contract.ts';
import { planContract } from './plan-contract.ts';
import { storeContract } from './store-contract.ts';

/** Nobody lets time pass here: an acknowledgement comes at once. */
class NoTime extends VirtualTime {
  override sleep(): Promise<void> {
    return Promise.resolve();
  }
}

let folder = '';
let files = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-store-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const stores: readonly (readonly [name: string, open: () => Promise<Store>])[] = [
  ['SQLite in memory', () => openSqliteStore({ path: ':memory:' })],
  ['SQLite in a file', () => openSqliteStore({ path: join(folder, `${(files += 1)}.sqlite`) })],
  // What stands in for it elsewhere has to follow the same rules, or a test there says little about it.
  ["the controller's fake", () => Promise.resolve(new MemoryStore())],
  ["the simulator's disk", () => Promise.resolve(new SimStore(new NoTime(), noWatcher).open())],
];
for (const [name, open] of stores) {
  storeContract(name, open);
  placementContract(name, open);
  planContract(name, open);
}

fenceContract('SQLite in a file', () => {
  const path = join(folder, `${(files += 1)}.sqlite`);
  return () => openSqliteStore({ path });
});
fenceContract("the simulator's disk", () => {
  const disk = new SimStore(new NoTime(), noWatcher);
  return () => Promise.resolve(disk.open());
});
