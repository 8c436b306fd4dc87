import { describe, expect, it } from 'vitest';
import { exampleRequest } from '#core/migration/step-examples.ts';
import { begin } from '#core/migration/step.ts';
import type { MigrationResource } from '#wire/api.ts';
import { withEndsWhenClosed, withEndWhenClosed } from './ended-migrations.ts';

const migration = (migrationId: string, phase: MigrationResource['phase'], endedAtMs: number | null): MigrationResource => ({
  ...begin(exampleRequest({ migrationId })).migration,
  phase,
  phaseSinceMs: 5,
  endedAtMs,
});

/** A controller whose store lists these as open: with their newest records, as it shows them. */
function serviceWith(open: readonly MigrationResource[]) {
  const asked: object[] = [];
  return { asked, migrations: async (filter: object) => (asked.push(filter), open) };
}

describe('a migration that has ended', () => {
  const closing = migration('m1', 'done', 7);
  const copying = migration('m2', 'copying', null);

  it('has no end to show before its record is closed, and has it then', async () => {
    expect(await withEndWhenClosed(serviceWith([closing, copying]), closing)).toEqual({ ...closing, endedAtMs: null });
    expect(await withEndWhenClosed(serviceWith([copying]), closing)).toEqual(closing);
  });

  it('has it in a list of many where the others have theirs', async () => {
    const closed = migration('m3', 'failed', 6);
    const shown = await withEndsWhenClosed(serviceWith([closing, copying]), [closed, closing, copying]);
    expect(shown.map(({ request, endedAtMs }) => [request.migrationId, endedAtMs])).toEqual([
      ['m3', 6],
      ['m1', null],
      ['m2', null],
    ]);
  });

  it('is shown as closed when that happened while it was asked about', async () => {
    // The store still listed it as open, and by then the executor had let it go.
    expect(await withEndWhenClosed(serviceWith([{ ...closing, phase: 'verifying', endedAtMs: null }]), closing)).toEqual(closing);
  });

  it('costs a look into the store only when something has ended', async () => {
    const service = serviceWith([]);
    await withEndsWhenClosed(service, [copying]);
    expect(service.asked).toEqual([]);
  });
});
