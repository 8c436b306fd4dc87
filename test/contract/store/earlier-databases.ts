/** What earlier versions left: the schema of their files, and records as they wrote them. */

/** What version 3 had made of an empty file (`select sql from sqlite_master`). */
export const version3 = `
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

export const associationOfVersion3 = {
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

export const migrationOfVersion3 = {
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
  saBefore: associationOfVersion3,
  saAfter: null,
  failure: null,
  resolution: null,
  abortAsked: false,
  endedAtMs: 20,
};

/** What version 4 had made of an empty file (`select sql from sqlite_master`). */
export const version4 = `
create table schema_version (version integer not null);
insert into schema_version values (1), (2), (3), (4);
create table settings (name text primary key, value text not null);
create table counters (name text primary key, value integer not null);
create table vm_epochs (vm_id text primary key, epoch integer not null);
create table hosts (host_id text primary key, joined_at_ms integer not null, addresses text, last_seen_at_ms integer, revoked_at_ms integer);
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
create table certificates (authority_id text not null, serial_number text not null, host_id text not null, sha256 text not null,
  not_before_ms integer not null, not_after_ms integer not null, revoked_at_ms integer,
  constraint certificates_key primary key (authority_id, serial_number));
create index certificates_by_host on certificates (host_id, not_after_ms);
create index certificates_revoked on certificates (revoked_at_ms);
create table grants (position integer primary key autoincrement, grant_id text not null unique, requested_at_ms integer not null, record text not null);
create table audit (position integer primary key autoincrement, at_ms integer not null, who text not null, verb text not null,
  subject text not null, detail text not null);
create table tunings (host_a text not null, host_b text not null, record text not null, constraint tunings_key primary key (host_a, host_b));
`;

/** A migration of version 4 with every part filled in. */
export const migrationOfVersion4 = {
  request: {
    migrationId: 'm1',
    vmId: '00000000-0000-4000-8000-000000000001',
    vmName: "o'brien; drop table migrations --",
    fromHostId: 'a',
    toHostId: 'b',
    cause: 'balance',
    askedBy: 'planner',
    approvedBy: 'bert',
    channelKind: 'none',
    grantId: 'g1',
    planId: 'p1',
    vmEpoch: 1,
    askedAtMs: 1000,
  },
  phase: 'failed',
  phaseSinceMs: 1000,
  proof: {
    provenAtMs: 1000,
    profile: 'ah+esp',
    authentication: 'certificate',
    postQuantumKey: true,
    sourceCertificateSha256: 'a'.repeat(64),
    destinationCertificateSha256: null,
    integrity: 'HMAC_SHA2_256_128',
    extendedSequenceNumbers: true,
    encryption: 'AES_GCM_16-256',
    keyExchange: 'CURVE_25519',
    mode: 'tunnel',
    spiSourceToDestination: 'c0ffee01',
    spiDestinationToSource: 'c0ffee02',
    protectedProbes: 10,
    plainProbesDropped: 5,
  },
  progress: {
    elapsedMs: 10,
    memoryTotalBytes: 100,
    memoryRemainingBytes: 50,
    memorySentBytes: 50,
    bandwidthBytesPerSecond: 12.5,
    dirtyPagesPerSecond: null,
    pageSizeBytes: 4096,
    iteration: 2,
    expectedDowntimeMs: null,
  },
  leastRemaining: { bytes: 40, atMs: 1000 },
  outcome: { totalMs: 1000, downtimeMs: 12.25, memorySentBytes: 100, iterations: null },
  tuning: {
    measuredAtMs: 1000,
    pathMtuBytes: 4000,
    limitedBy: 'path',
    overheadBytes: 58,
    mssBeforeBytes: 1402,
    mssAfterBytes: 3902,
    mtuBeforeBytes: 1500,
    mtuAfterBytes: 4000,
    bytesPerSecondBefore: 1_000_000,
    bytesPerSecondAfter: null,
    kept: 'after',
  },
  channelBefore: {
    sa: {
      ...associationOfVersion3,
      protocol: 'esp',
      extendedSequenceNumbers: true,
      outer: { integrity: 'HMAC_SHA2_384_192', spiIn: 'a1', spiOut: 'a2', bytesIn: 1, bytesOut: 2, packetsIn: 3, packetsOut: 4 },
      replaced: [{ spiIn: 'b1', spiOut: 'b2', bytesIn: 5, bytesOut: 6, packetsIn: 7, packetsOut: 8 }],
    },
    guard: { installed: true, droppedInPackets: 1, droppedOutPackets: 2, droppedProbePackets: 3, exemptPeers: ['10.77.0.9'] },
    errors: { integrityPackets: 1, replayPackets: 2, unknownSpiPackets: 3, plainTextPackets: 4 },
  },
  channelAfter: null,
  failure: { code: 'migration-stalled', message: 'The link is too slow; try again at night. „ä€𝄞“' },
  resolution: { sinceMs: 1000, verdict: 'stayed', confirmations: 2, cause: { code: 'link-lost', message: 'gone' } },
  abortAsked: true,
  endedAtMs: 2000,
};
