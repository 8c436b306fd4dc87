/** One small cluster in the API's own words, with fixed times, that the suites of both sides of the wire use. */
import type { TuningRecord } from '#core/model/channel.ts';
import type { MigrateCheck, MigrationResource, PlanResource, ReceiptResource, StatusResource, TokenResource } from '#wire/api.ts';
import type { ChannelResource, ProveResource, ResetResource, TuneResource } from '#wire/channel-api.ts';
import type { AuditResource, CertificateResource, GrantResource, RevocationResource } from '#wire/security-api.ts';
import { nowMs, vmDatabase, vmWeb } from './inventory-resources.ts';

export { balance } from './balance-resources.ts';
export { hostA, hostB, nowMs, vmDatabase, vmWeb } from './inventory-resources.ts';

const gib = 1024 ** 3;

export const plan: PlanResource = {
  planId: 'p-2',
  parentPlanId: 'p-1',
  createdAtMs: nowMs - 12_000,
  expiresAtMs: nowMs + 588_000,
  verdict: 'moves',
  summary: 'host-a is over its CPU line; one move brings it below.',
  scoreBefore: 12.4,
  scoreAfter: 3.1,
  moves: [
    {
      vmId: vmWeb.vmId,
      vmName: 'web1',
      fromHostId: 'host-a',
      toHostId: 'host-b',
      reason: 'host-a is at 95 % CPU for 3 rounds (line 80 %); host-b is the least loaded that fits.',
      scoreBefore: 12.4,
      scoreAfter: 3.1,
      source: { hostId: 'host-a', cpuBeforePercent: 95, cpuAfterPercent: 32.5, memoryBeforePercent: 37.5, memoryAfterPercent: 25 },
      destination: { hostId: 'host-b', cpuBeforePercent: 5, cpuAfterPercent: 67.5, memoryBeforePercent: 10, memoryAfterPercent: 22.5 },
    },
  ],
  skipped: [
    {
      hostId: 'host-a',
      vmId: vmDatabase.vmId,
      vmName: 'db',
      code: 'cool-down',
      reason: 'moved 4 minutes ago; may move again in 26 minutes.',
    },
    { hostId: 'host-c', vmId: null, vmName: null, code: 'stale-sample', reason: 'its newest sample is 40 s old.' },
  ],
};

const securityAssociation = {
  peerHostId: 'host-b',
  ikeUniqueId: '1',
  childUniqueId: '1',
  protocol: 'esp' as const,
  state: 'installed' as const,
  mode: 'tunnel' as const,
  udpEncapsulated: true,
  encryption: 'AES_GCM_16-256',
  integrity: null,
  keyExchange: 'CURVE_25519',
  spiIn: 'c0ffee01',
  spiOut: 'c0ffee02',
  bytesIn: 1000,
  bytesOut: 2000,
  packetsIn: 10,
  packetsOut: 20,
  extendedSequenceNumbers: true,
  outer: null,
  replaced: [],
};

const guard = { installed: true, droppedInPackets: 4, droppedOutPackets: 0, droppedProbePackets: 4, exemptPeers: [] };
const errors = { integrityPackets: 0, replayPackets: 1, unknownSpiPackets: 0, plainTextPackets: 2 };

export const tuning: TuningRecord = {
  measuredAtMs: nowMs - 60_000,
  pathMtuBytes: 4000,
  limitedBy: 'path',
  overheadBytes: 110,
  mssBeforeBytes: 1406,
  mssAfterBytes: 3906,
  mtuBeforeBytes: 1500,
  mtuAfterBytes: 4000,
  bytesPerSecondBefore: 50_000_000,
  bytesPerSecondAfter: 100_000_000,
  kept: 'after',
};

export const copying: MigrationResource = {
  request: {
    migrationId: 'm-1',
    vmId: vmDatabase.vmId,
    vmName: 'db',
    fromHostId: 'host-a',
    toHostId: 'host-b',
    cause: 'operator',
    askedBy: 'alice',
    approvedBy: null,
    channelKind: 'ipsec',
    grantId: null,
    planId: null,
    vmEpoch: 3,
    wish: { method: 'auto' },
    askedAtMs: nowMs - 4200,
  },
  phase: 'copying',
  phaseSinceMs: nowMs - 3000,
  proof: {
    provenAtMs: nowMs - 3100,
    profile: 'esp-tunnel',
    authentication: 'certificate',
    postQuantumKey: true,
    sourceCertificateSha256: 'ab'.repeat(32),
    destinationCertificateSha256: 'cd'.repeat(32),
    integrity: null,
    extendedSequenceNumbers: true,
    encryption: 'AES_GCM_16-256',
    keyExchange: 'CURVE_25519',
    mode: 'tunnel',
    spiSourceToDestination: 'c0ffee02',
    spiDestinationToSource: 'c0ffee01',
    protectedProbes: 8,
    plainProbesDropped: 8,
  },
  progress: {
    elapsedMs: 3000,
    memoryTotalBytes: 0.5 * gib,
    memoryRemainingBytes: 0.125 * gib,
    memorySentBytes: 0.375 * gib,
    bandwidthBytesPerSecond: 48 * 1024 ** 2,
    dirtyPagesPerSecond: 256,
    pageSizeBytes: 4096,
    iteration: 2,
    expectedDowntimeMs: 180,
    stage: 'copying',
    throttlePercent: null,
  },
  lastMoved: { sentBytes: 0.125 * gib, atMs: nowMs - 200 },
  outcome: null,
  plan: null,
  decisions: [],
  measures: null,
  tuning,
  channelBefore: { sa: securityAssociation, guard, errors },
  channelAfter: null,
  failure: null,
  resolution: null,
  abortAsked: false,
  endedAtMs: null,
};

export const done: MigrationResource = {
  ...copying,
  phase: 'done',
  phaseSinceMs: nowMs,
  outcome: { totalMs: 7900, downtimeMs: 251, memorySentBytes: 0.52 * gib, iterations: 4 },
  channelAfter: { sa: { ...securityAssociation, bytesOut: 2000 + 576 * 1024 ** 2, packetsOut: 400_020 }, guard, errors },
  endedAtMs: nowMs,
};

export const failed: MigrationResource = {
  ...copying,
  phase: 'failed',
  phaseSinceMs: nowMs,
  failure: { code: 'aborted', message: 'alice asked for an abort; db runs on host-a.' },
  abortAsked: true,
  endedAtMs: nowMs,
};

export const check: MigrateCheck = {
  vmId: vmWeb.vmId,
  vmName: 'web1',
  fromHostId: 'host-a',
  toHostId: 'host-b',
  reason: 'host-b was asked for and has room.',
  refusal: null,
  row: null,
  plan: null,
  decisions: [],
};

export const receipt: ReceiptResource = {
  migrationId: 'm-1',
  valid: true,
  keyId: 'sha256:abcd',
  statement: { vm: 'db', endedAtMs: nowMs, downtimeMs: 251, espBytes: 2048, peers: ['host-a', 'host-b'], integrity: null, notes: [] },
  envelope: { payload: 'e30=', payloadType: 'application/vnd.plimsoll.receipt+json', signatures: [{ keyid: 'sha256:abcd', sig: 'AA==' }] },
};

export const token: TokenResource = {
  hostId: 'host-c',
  token: 'one-time-secret',
  expiresAtMs: nowMs + 3_600_000,
  caFingerprint: 'sha256:0123',
  controllerUrl: 'https://10.0.0.10:7443',
};

export const status: StatusResource = {
  version: '0.1.0',
  mode: 'observe',
  controllerEpoch: 4,
  startedAtMs: nowMs - 250_000,
  hostsUp: 1,
  hostsTotal: 2,
  vms: 2,
  migrationsOpen: 1,
  planIntervalMs: 10_000,
  alarms: [
    {
      code: 'clock-skew',
      severity: 'warning',
      subject: 'host-b',
      sentence: "the clock of host-b is 5000 ms ahead of the controller's: synchronise it",
      sinceMs: nowMs - 90_000,
    },
  ],
};

export const channel: ChannelResource = {
  hostA: 'host-a',
  hostB: 'host-b',
  state: 'up',
  profile: 'esp-tunnel',
  ends: [
    {
      hostId: 'host-a',
      refusal: null,
      backend: 'kernel',
      sa: securityAssociation,
      guard,
      errors,
      tuned: {
        peerHostId: 'host-b',
        peerUnderlay: '10.0.0.2',
        peerChannelAddress: '10.79.0.2',
        interface: 'eth0',
        mssBytes: 3906,
        routeMtuBytes: null,
        interfaceMtuBytes: 4000,
      },
    },
    {
      hostId: 'host-b',
      refusal: { code: 'host-down', message: 'host host-b is not connected' },
      backend: null,
      sa: null,
      guard: null,
      errors: null,
      tuned: null,
    },
  ],
  tuning,
  migrationId: null,
};

export const proven: ProveResource = {
  fromHostId: 'host-a',
  toHostId: 'host-b',
  proof: copying.proof,
  refusal: null,
  kept: false,
  tookMs: 900,
};

const way = { interface: 'eth0', interfaceMtuBytes: 1500, interfaceMtuBytesMax: 9000, routeMtuBytes: null, tunnelMtuBytes: null };

export const tuned: TuneResource = {
  fromHostId: 'host-a',
  toHostId: 'host-b',
  profile: 'esp-tunnel',
  ways: [
    { hostId: 'host-a', way },
    { hostId: 'host-b', way },
  ],
  record: tuning,
  packetRatioPredicted: 0.36,
  packetRatioMeasured: 0.37,
  before: { bytes: 100 * 1024 ** 2, durationMs: 2000, packetsOut: 75_000, packetBytesOut: 110_000_000, bytesPerSecond: 50 * 1024 ** 2 },
  after: { bytes: 200 * 1024 ** 2, durationMs: 2000, packetsOut: 55_500, packetBytesOut: 215_000_000, bytesPerSecond: 100 * 1024 ** 2 },
  applied: false,
  reason: 'the network between host-a and host-b carries packets of 4000 bytes.',
};

export const reset: ResetResource = {
  hostA: 'host-a',
  hostB: 'host-b',
  ends: [
    { hostId: 'host-a', refusal: null },
    { hostId: 'host-b', refusal: null },
  ],
};

export const certificate: CertificateResource = {
  hostId: 'host-a',
  serialNumber: '4f00',
  authorityId: 'ca1',
  sha256: 'ab'.repeat(32),
  notBeforeMs: nowMs - 3_600_000,
  notAfterMs: nowMs + 16 * 3_600_000,
  revokedAtMs: null,
};

export const revocation: RevocationResource = {
  hostId: 'host-a',
  revokedAtMs: nowMs,
  certificates: 2,
  told: ['host-b'],
  notTold: [{ hostId: 'host-c', refusal: { code: 'command-timeout', message: 'no answer' } }],
  tookMs: 120,
};

export const grant: GrantResource = {
  grantId: 'g-1',
  state: 'requested',
  fromHostId: 'host-a',
  toHostId: 'host-b',
  reason: 'charon crashes',
  requestedBy: 'alice',
  requestedAtMs: nowMs,
  approvedBy: null,
  approvedAtMs: null,
  expiresAtMs: nowMs + 1_800_000,
  withdrawnAtMs: null,
};

export const auditEntry: AuditResource = { atMs: nowMs, who: 'alice', verb: 'host.revoke', subject: 'host-a', detail: 'disk stolen' };
