/** Records to fill a store with. */
import { exampleRequest } from '#core/migration/step-examples.ts';
import { begin } from '#core/migration/step.ts';
import type { TuningRecord } from '#core/model/channel.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { Maintenance } from '#core/model/maintenance.ts';
import type { Migration } from '#core/model/migration.ts';
import type { Plan } from '#core/model/plan.ts';
import type { Sample } from '#core/model/sample.ts';
import { bytes, cores } from '#core/model/units.ts';
import type { Recovery } from '#core/model/recovery.ts';
import type { CertificateRecord, Grant, VmSettings } from '#core/store.ts';
import { decisions, measures, plan, wish } from './transfer-samples.ts';

const securityAssociation = {
  peerHostId: 'b',
  ikeUniqueId: '1',
  childUniqueId: '2',
  protocol: 'esp',
  state: 'installed',
  mode: 'tunnel',
  udpEncapsulated: true,
  encryption: 'AES_GCM_16-256',
  integrity: null,
  keyExchange: 'CURVE_25519',
  spiIn: 'c0ffee01',
  spiOut: 'c0ffee02',
  bytesIn: 1,
  bytesOut: 4_000_000_000_000,
  packetsIn: 3,
  packetsOut: 4,
  extendedSequenceNumbers: true,
  outer: { integrity: 'HMAC_SHA2_384_192', spiIn: 'a1', spiOut: 'a2', bytesIn: 1, bytesOut: 2, packetsIn: 3, packetsOut: 4 },
  replaced: [{ spiIn: 'b1', spiOut: 'b2', bytesIn: 5, bytesOut: 6, packetsIn: 7, packetsOut: 8 }],
} as const;

const guard = { installed: true, droppedInPackets: 1, droppedOutPackets: 2, droppedProbePackets: 3, exemptPeers: ['10.77.0.9'] } as const;
const errors = { integrityPackets: 1, replayPackets: 2, unknownSpiPackets: 3, plainTextPackets: 4 };

export const tuning: TuningRecord = {
  measuredAtMs: 1000,
  pathMtuBytes: 4000,
  limitedBy: 'path',
  overheadBytes: 58,
  mssBeforeBytes: 1402,
  mssAfterBytes: 3902,
  mtuBeforeBytes: 1500,
  mtuAfterBytes: 4000,
  bytesPerSecondBefore: 1e6,
  bytesPerSecondAfter: null,
  kept: 'after',
};

export function migrationOf(migrationId: string, askedAtMs: number, change: Partial<Migration> = {}): Migration {
  const request = exampleRequest({ migrationId, vmName: "o'brien; drop table migrations --", askedAtMs });
  return { ...begin(request).migration, ...change };
}

/** A migration with every part filled in. */
export function fullMigrationOf(migrationId: string, askedAtMs: number): Migration {
  const empty = migrationOf(migrationId, askedAtMs);
  return migrationOf(migrationId, askedAtMs, {
    request: { ...empty.request, approvedBy: 'bert', channelKind: 'none', grantId: 'g1', planId: 'p1', wish },
    phase: 'failed',
    proof: {
      provenAtMs: askedAtMs,
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
      stage: 'post-copy',
      throttlePercent: 20,
    },
    lastMoved: { sentBytes: 40, atMs: askedAtMs },
    outcome: { totalMs: 1000, downtimeMs: 12.25, memorySentBytes: 100, iterations: null },
    plan,
    decisions,
    measures,
    tuning,
    channelBefore: { sa: securityAssociation, guard, errors },
    channelAfter: { sa: { ...securityAssociation, outer: null, bytesOut: 5_000_000_000_000 }, guard, errors: null },
    failure: { code: 'migration-stalled', message: 'The link is too slow; try again at night. „ä€𝄞“' },
    resolution: {
      sinceMs: askedAtMs,
      verdict: 'stayed',
      confirmations: 2,
      workingSinceMs: askedAtMs + 1,
      haltedSinceMs: askedAtMs + 2,
      relocked: true,
      relockTries: 1,
      destinationEmptyTimes: 2,
      cause: { code: 'link-lost', message: 'gone' },
    },
    abortAsked: true,
    endedAtMs: askedAtMs + 1000,
  });
}

export function ledgerEntryOf(migrationId: string, endedAtMs: number, change: Partial<LedgerEntry> = {}): LedgerEntry {
  return {
    migrationId,
    vmId: 'vm-1',
    fromHostId: 'a',
    toHostId: 'b',
    cause: 'operator',
    startedAtMs: endedAtMs - 10,
    endedAtMs,
    outcome: 'moved',
    failureCode: null,
    sentBytes: 1_234_567,
    ...change,
  };
}

export function planOf(planId: string, change: Partial<Plan> = {}): Plan {
  const load = { hostId: 'a', cpuBeforePercent: 90, cpuAfterPercent: 55.5, memoryBeforePercent: 20, memoryAfterPercent: 10 };
  return {
    planId,
    parentPlanId: null,
    createdAtMs: 1000,
    expiresAtMs: 2000,
    verdict: 'moves',
    summary: 'one move',
    scoreBefore: 3.5,
    scoreAfter: 1.25,
    moves: [
      {
        vmId: 'vm-1',
        vmName: 'web',
        fromHostId: 'a',
        toHostId: 'b',
        reason: 'a is over its line',
        scoreBefore: 3.5,
        scoreAfter: 1.25,
        source: load,
        destination: { ...load, hostId: 'b' },
      },
    ],
    skipped: [{ hostId: 'c', vmId: null, vmName: null, code: 'stale-sample', reason: 'no sample for 20 s' }],
    ...change,
  };
}

export function sampleOf(hostId: string, takenAtMs: number, cpuUsedCores: number | null): Sample {
  return {
    hostId,
    sequence: 1,
    bootId: 'boot',
    takenAtMs,
    host: {
      cpuUsedCores: cpuUsedCores === null ? null : cores(cpuUsedCores),
      memoryUsedBytes: bytes(256),
      capacity: { cpuCores: cores(4), memoryBytes: bytes(1024) },
      pressure: null,
    },
    vms: [],
  };
}

export function certificateOf(serialNumber: string, change: Partial<CertificateRecord> = {}): CertificateRecord {
  return {
    serialNumber,
    authorityId: 'ca1',
    hostId: 'a',
    sha256: 'c'.repeat(64),
    notBeforeMs: 100,
    notAfterMs: 200,
    revokedAtMs: null,
    ...change,
  };
}

export function grantOf(grantId: string, change: Partial<Grant> = {}): Grant {
  return {
    grantId,
    fromHostId: 'a',
    toHostId: 'b',
    reason: "the link is down; it's urgent",
    requestedBy: 'anna',
    requestedAtMs: 100,
    approvedBy: null,
    approvedAtMs: null,
    expiresAtMs: 5000,
    withdrawnAtMs: null,
    ...change,
  };
}

export function vmSettingsOf(vmId: string, change: Partial<VmSettings> = {}): VmSettings {
  return {
    vmId,
    restartable: true,
    address: '10.77.0.50',
    definitionText: "<domain type='kvm'/>",
    slaClass: 'critical',
    tenant: 'acme',
    labels: { tier: 'web', 'example.org/team': 'Shop-1' },
    updatedAtMs: 100,
    ...change,
  };
}

export function recoveryOf(vmId: string, change: Partial<Recovery> = {}): Recovery {
  const definition = {
    vmId,
    name: 'web',
    type: 'kvm',
    architecture: 'x86_64',
    machine: 'pc-q35-7.2',
    emulator: null,
    vcpus: 2,
    memoryBytes: bytes(2 ** 30),
    cpuMode: null,
    cpuModel: null,
    interfaces: [{ kind: 'bridge', source: 'br0', mac: '52:54:00:00:00:01' }],
    disks: [
      { target: 'vda', device: 'disk', startupPolicy: null, kind: 'file', source: '/a', readOnly: false, shareable: false, cache: 'none' },
    ],
    leases: [{ lockspace: 'locks', key: 'web', path: '/locks/web' }],
    hostOnly: [],
    files: ['/firmware'],
    persistent: true,
  };
  return {
    vmId,
    vmName: 'web',
    phase: 'watched',
    phaseSinceMs: 100,
    hostId: 'a',
    bootId: 'boot1',
    toldHostIds: ['a', 'b'],
    coveredHostIds: ['a'],
    vmEpoch: 7,
    attempts: 1,
    notBeforeMs: 200,
    reason: 'it runs on a',
    definition,
    wanted: true,
    ...change,
  };
}

export function maintenanceOf(maintenanceId: string): Maintenance {
  return {
    maintenanceId,
    hosts: [
      { hostId: 'h1', phase: 'done', phaseSinceMs: 7, bootId: 'boot2', drainSinceMs: 6 },
      { hostId: 'h2', phase: 'waiting', phaseSinceMs: 5, bootId: null, drainSinceMs: null },
    ],
    parallel: 2,
    until: 'reboot',
    by: 'anna',
    reason: 'new kernel',
    startedAtMs: 5,
    endedAtMs: null,
    outcome: null,
  };
}
