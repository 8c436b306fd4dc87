import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bootTime, FileLeaseBook } from './lease-book.ts';

const grant = { endsAtMs: 60_090, vmIds: ['a', 'b'], fencedVmIds: ['b'] };
let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plimsoll-lease-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const bookOf = (bootId = 'boot1') => new FileLeaseBook(join(folder, 'run', 'lease.json'), () => ({ bootId, atMs: 5 }));

describe('the book of the lease', () => {
  it('outlives the process that wrote it', async () => {
    expect(await bookOf().load()).toBeNull();
    await bookOf().save(grant);
    expect(await bookOf().load()).toEqual(grant);
  });

  it('is of this boot only: the VMs of an earlier one ended with it', async () => {
    await bookOf().save(grant);
    expect(await bookOf('boot2').load()).toBeNull();
  });

  it.each([
    ['cut short', '{"version":1,"bootId":"bo'],
    ['without its end', '{"version":1,"bootId":"boot1","vmIds":[],"fencedVmIds":[]}'],
    ['of a later version', '{"version":2,"bootId":"boot1","endsAtMs":1,"vmIds":[],"fencedVmIds":[]}'],
  ])('that is %s is never taken for none', async (_story, text) => {
    await bookOf().save(grant);
    await writeFile(join(folder, 'run', 'lease.json'), text);
    await expect(bookOf().load()).rejects.toMatchObject({ code: 'config-invalid' });
  });

  it("counts by the machine's boot, which goes on", async () => {
    const first = bootTime();
    expect(first.bootId).toMatch(/^[0-9a-f-]{36}$/u);
    expect(bootTime().atMs).toBeGreaterThanOrEqual(first.atMs);
  });
});
