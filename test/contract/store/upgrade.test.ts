/** A database that an earlier version made, opened by this one. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSqliteStore } from '#drivers/store/sqlite-store.ts';
import { grantOf } from './samples.ts';

/** What version 3 had made of an empty file (`select sql from sqlite_master`). */
const version3 = `
create table schema_version (version integer not null);
insert into schema_version values (1), (2), (3);
create table settings (name text primary key, value text not null);
create table counters (name text primary key, value integer not null);
create table vm_epochs (vm_id text primary key, epoch integer not null);
create table hosts (host_id text primary key, joined_at_ms integer not null, addresses text, last_seen_at_ms integer);
create table join_tokens (token_hash text primary key, host_id text not null, expires_at_ms integer not null, used_at_ms integer);
create table history (host_id text not null, at_ms integer not null, cpu_percent real not null, memory_percent real not null,
  constraint history_key primary key (host_id, at_ms));
create index history_by_time on history (at_ms);
create table migrations (position integer primary key autoincrement, migration_id text not null unique, asked_at_ms integer not null,
  ended_at_ms integer, record text not null);
create index migrations_by_time on migrations (asked_at_ms, position);
create index migrations_open on migrations (ended_at_ms, asked_at_ms);
create table ledger (position integer primary key autoincrement, migration_id text not null, vm_id text not null, from_host_id text not null,
  to_host_id text not null, cause text not null, started_at_ms integer not null, ended_at_ms integer not null, outcome text not null,
  failure_code text, constraint ledger_once unique (migration_id, outcome));
create index ledger_by_time on ledger (ended_at_ms);
create table plans (position integer primary key autoincrement, plan_id text not null unique, created_at_ms integer not null, record text not null);
create table receipts (migration_id text primary key, sequence integer not null unique, created_at_ms integer not null, envelope text not null);
insert into hosts values ('a', 5, null, 9);
`;

const oldAssociation = {
  peerHostId: 'b',
  ikeUniqueId: '1',
  childUniqueId: '2',
  state: 'installed',
  mode: 'tunnel',
  udpEncapsulated: true,
  encryption: 'AES_GCM_16-256',
  integrity: null,
  keyExchange: 'ECP_384',
  spiIn: 'c0ffee01',
  spiOut: 'c0ffee02',
  bytesIn: 1,
  bytesOut: 2,
  packetsIn: 3,
  packetsOut: 4,
};

const oldMigration = {
  request: {
    migrationId: 'm1',
    vmId: '00000000-0000-4000-8000-000000000001',
    vmName: 'web1',
    fromHostId: 'a',
    toHostId: 'b',
    cause: 'operator',
    askedBy: 'anna',
    planId: null,
    vmEpoch: 1,
    askedAtMs: 10,
  },
  phase: 'done',
  phaseSinceMs: 20,
  proof: {
    provenAtMs: 15,
    encryption: 'AES_GCM_16-256',
    keyExchange: 'ECP_384',
    mode: 'tunnel, UDP-encapsulated',
    spiSourceToDestination: 'c0ffee02',
    spiDestinationToSource: 'c0ffee01',
    protectedProbes: 8,
    plainProbesDropped: 4,
  },
  progress: null,
  leastRemaining: null,
  outcome: { totalMs: 5, downtimeMs: 1, memorySentBytes: 100, iterations: 2 },
  saBefore: oldAssociation,
  saAfter: null,
  failure: null,
  resolution: null,
  abortAsked: false,
  endedAtMs: 20,
};

describe('a database of schema version 3', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'plimsoll-upgrade-'));
    path = join(folder, 'plimsoll.sqlite');
    const database = new DatabaseSync(path);
    database.exec(version3);
    const insert = database.prepare('insert into migrations (migration_id, asked_at_ms, ended_at_ms, record) values (?, ?, ?, ?)');
    insert.run('m1', 10, 20, JSON.stringify(oldMigration));
    insert.run('m2', 11, null, JSON.stringify({ ...oldMigration, proof: null, saBefore: null, endedAtMs: null }));
    insert.run('m3', 12, 30, '{"request":');
    database.close();
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('keeps its migrations: as ESP in tunnel mode between certificates, with nothing made up', async () => {
    const store = await openSqliteStore({ path });
    const { saBefore: _before, saAfter: _after, ...kept } = oldMigration;
    const guard = { installed: true, droppedInPackets: 0, droppedOutPackets: 0, droppedProbePackets: 0, exemptPeers: [] };
    const shown = { sourceCertificateSha256: null, destinationCertificateSha256: null };
    const unknown = { ...shown, integrity: null, extendedSequenceNumbers: false, postQuantumKey: false };
    const sa = { ...oldAssociation, protocol: 'esp', extendedSequenceNumbers: false, outer: null, replaced: [] };
    expect(await store.migration('m1')).toEqual({
      ...kept,
      request: { ...oldMigration.request, approvedBy: null, channelKind: 'ipsec', grantId: null },
      proof: { ...oldMigration.proof, profile: 'esp-tunnel', authentication: 'certificate', ...unknown },
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
