/** Which migrations a store finds: the part of its contract that every query has to agree with. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Migration } from '#core/model/migration.ts';
import type { MigrationQuery, Store } from '#core/store.ts';
import { migrationOf } from './samples.ts';

type State = 'open' | 'moved' | 'stayed' | 'unclear';

/** One migration in the words of a query. */
interface Kept {
  readonly id: string;
  readonly askedAtMs: number;
  readonly vmId: string;
  readonly fromHostId: string;
  readonly toHostId: string;
  readonly state: State;
}

function migrationFrom({ id, askedAtMs, vmId, fromHostId, toHostId, state }: Kept): Migration {
  const open = migrationOf(id, askedAtMs);
  const request = { ...open.request, vmId, fromHostId, toHostId };
  if (state === 'open') return { ...open, request };
  const code = state === 'unclear' ? 'memory-lost' : 'aborted';
  const ended: Partial<Migration> = state === 'moved' ? { phase: 'done' } : { phase: 'failed', failure: { code, message: 'it ended' } };
  return { ...open, ...ended, request, endedAtMs: askedAtMs + 1 };
}

const keptArbitrary = fc.record({
  askedAtMs: fc.integer({ min: 0, max: 12 }),
  vmId: fc.constantFrom('x', 'y', 'z'),
  hosts: fc.constantFrom(['a', 'b'], ['b', 'a'], ['b', 'c'], ['c', 'd']),
  state: fc.constantFrom<State>('open', 'moved', 'stayed', 'unclear'),
});

const queryArbitrary: fc.Arbitrary<MigrationQuery> = fc.record(
  {
    open: fc.boolean(),
    vmId: fc.constantFrom('x', 'y', 'z', 'nobody'),
    hostId: fc.constantFrom('a', 'b', 'c', 'd', 'nobody'),
    outcome: fc.constantFrom('moved', 'stayed', 'unclear'),
    sinceMs: fc.integer({ min: 0, max: 13 }),
    untilMs: fc.integer({ min: 0, max: 13 }),
    limit: fc.integer({ min: 1, max: 40 }),
  },
  { requiredKeys: ['limit'] },
);

/** What a plain look at each of them gives. */
function expectedOf(kept: readonly Kept[], query: MigrationQuery): readonly string[] {
  const wanted: Kept[] = [];
  for (const one of kept) {
    const isOpen = one.state === 'open';
    if (query.open !== undefined && query.open !== isOpen) continue;
    if (query.vmId !== undefined && query.vmId !== one.vmId) continue;
    if (query.hostId !== undefined && ![one.fromHostId, one.toHostId].includes(query.hostId)) continue;
    if (query.outcome !== undefined && query.outcome !== one.state) continue;
    if (query.sinceMs !== undefined && one.askedAtMs < query.sinceMs) continue;
    if (query.untilMs !== undefined && one.askedAtMs >= query.untilMs) continue;
    wanted.push(one);
  }
  const order = (one: Kept) => one.askedAtMs * 1000 + kept.indexOf(one);
  return wanted
    .toSorted((a, b) => order(b) - order(a))
    .slice(0, query.limit)
    .map(({ id }) => id);
}

export function migrationQueries(store: () => Store): void {
  const idsOf = async (query: MigrationQuery) => (await store().migrations(query)).map((migration) => migration.request.migrationId);

  describe('queries for migrations', () => {
    it('find those of a VM, of a host on either side, of an outcome, and of a time up to its end', async () => {
      const base = { askedAtMs: 10, vmId: 'x', fromHostId: 'a', toHostId: 'b' } as const;
      const kept: readonly Kept[] = [
        { ...base, id: 'one', state: 'moved' },
        { ...base, id: 'two', state: 'stayed', askedAtMs: 20, fromHostId: 'b', toHostId: 'c' },
        { ...base, id: 'three', state: 'unclear', askedAtMs: 30, vmId: 'y', fromHostId: 'c', toHostId: 'd' },
        { ...base, id: 'four', state: 'open', askedAtMs: 40, vmId: 'y' },
      ];
      for (const one of kept) await store().saveMigration(migrationFrom(one));
      expect(await idsOf({ vmId: 'x', limit: 9 })).toEqual(['two', 'one']);
      expect(await idsOf({ hostId: 'b', limit: 9 })).toEqual(['four', 'two', 'one']);
      expect(await idsOf({ hostId: 'b', limit: 2 })).toEqual(['four', 'two']);
      expect(await idsOf({ outcome: 'unclear', limit: 9 })).toEqual(['three']);
      expect(await idsOf({ outcome: 'stayed', limit: 9 })).toEqual(['two']);
      expect(await idsOf({ sinceMs: 20, untilMs: 40, limit: 9 })).toEqual(['three', 'two']);
      expect(await idsOf({ hostId: 'c', vmId: 'x', outcome: 'stayed', open: false, limit: 9 })).toEqual(['two']);
      expect(await idsOf({ outcome: 'moved', open: true, limit: 9 })).toEqual([]);
    });

    it('follow a migration from open to its end, and to another end', async () => {
      const base = { id: 'm', askedAtMs: 10, vmId: 'x', fromHostId: 'a', toHostId: 'b' } as const;
      const found = async () => {
        const outcomes = (['moved', 'stayed', 'unclear'] as const).map(async (outcome) =>
          (await idsOf({ outcome, limit: 9 })).length === 1 ? [outcome] : [],
        );
        const open = (await idsOf({ open: true, limit: 9 })).length === 1 ? ['open'] : [];
        return [...open, ...(await Promise.all(outcomes)).flat()];
      };
      for (const state of ['open', 'unclear', 'moved', 'open', 'stayed'] as const) {
        await store().saveMigration(migrationFrom({ ...base, state }));
        expect(await found()).toEqual([state]);
      }
    });

    it('agree with a plain look at every migration', async () => {
      const drawn = fc.sample(keptArbitrary, { numRuns: 30, seed: 4 });
      const kept = drawn.map(({ askedAtMs, vmId, hosts: [fromHostId = '', toHostId = ''], state }, index): Kept => {
        return { id: `m${index}`, askedAtMs, vmId, fromHostId, toHostId, state };
      });
      for (const one of kept) {
        // Some are seen as they begin: their end must not leave them where they were.
        if (one.askedAtMs % 3 === 0) await store().saveMigration(migrationFrom({ ...one, state: 'open' }));
        await store().saveMigration(migrationFrom(one));
      }
      await fc.assert(
        fc.asyncProperty(queryArbitrary, async (query) => {
          expect(await idsOf(query)).toEqual(expectedOf(kept, query));
        }),
        { numRuns: 500 },
      );
    });
  });
}
