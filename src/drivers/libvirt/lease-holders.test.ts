import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { VmLease } from '#core/model/definition.ts';

import { holdersOf, holdsLease, leaseFile } from './lease-holders.ts';

describe('the list of locks', () => {
  const text = `1: POSIX  ADVISORY  WRITE 123 fe:00:456 0 0
1: -> POSIX  ADVISORY  WRITE 124 fe:00:456 0 0
2: FLOCK  ADVISORY  WRITE 200 fe:00:999 0 EOF
`;

  it('names who holds a lock, and not who waits for it', () => {
    expect(holdersOf(text, '456')).toEqual(['123']);
  });

  it('names nobody for a file whose number only begins alike', () => {
    expect(holdersOf(text, '45')).toEqual([]);
  });
});

describe('a lease', () => {
  let folder: string;
  let lease: VmLease;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'plimsoll-leases-'));
    mkdirSync(join(folder, 'locks'));
    lease = { path: folder, lockspace: 'locks', key: 'web1' };
    writeFileSync(leaseFile(lease), '');
    writeFileSync(join(folder, 'other'), '');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** A /proc with one process, which has `opened` open and a lock on a file with the lease's number. */
  function procOf(comm: string, opened: string): string {
    const proc = join(folder, 'proc');
    mkdirSync(join(proc, '123', 'fd'), { recursive: true });
    writeFileSync(join(proc, '123', 'comm'), `${comm}\n`);
    symlinkSync(opened, join(proc, '123', 'fd', '7'));
    const { ino } = statSync(leaseFile(lease), { bigint: true });
    writeFileSync(join(proc, 'locks'), `1: POSIX  ADVISORY  WRITE 123 fe:00:${ino} 0 0\n`);
    return proc;
  }

  it('is held where virtlockd has a lock on its file', async () => {
    expect(await holdsLease(lease, procOf('virtlockd', leaseFile(lease)))).toBe(true);
  });

  it('is not held by another program that has its file locked', async () => {
    expect(await holdsLease(lease, procOf('backup', leaseFile(lease)))).toBe(false);
  });

  it('is not held by a lock on a file of another file system with the same number', async () => {
    expect(await holdsLease(lease, procOf('virtlockd', join(folder, 'other')))).toBe(false);
  });

  it('is not held where nobody has a lock', async () => {
    const proc = procOf('virtlockd', leaseFile(lease));
    writeFileSync(join(proc, 'locks'), '');
    expect(await holdsLease(lease, proc)).toBe(false);
  });

  it.each<readonly [string, Partial<VmLease>]>([
    ['its file is not there', { key: 'web2' }],
    ['sanlock keeps it, as a place in one file', { path: '/etc/hostname', lockspace: '' }],
  ])('is not known to be held or not where %s', async (_story, change) => {
    expect(await holdsLease({ ...lease, ...change }, procOf('virtlockd', leaseFile(lease)))).toBeNull();
  });

  it('is not known to be held or not where the kernel tells of no locks', async () => {
    expect(await holdsLease(lease, join(folder, 'nowhere'))).toBeNull();
  });
});
