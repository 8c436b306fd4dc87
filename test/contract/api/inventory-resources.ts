/** The hosts and the VMs of that cluster. */
import { bytes, cores } from '#core/model/units.ts';
import type { HostResource, VmResource } from '#wire/api.ts';

export const nowMs = Date.UTC(2026, 0, 31, 14, 5, 9);
const gib = 1024 ** 3;

export const hostA: HostResource = {
  hostId: 'host-a',
  status: 'up',
  addresses: { underlay: '10.0.0.1', protected: '10.79.0.1', interface: 'eth0' },
  hypervisor: 'QEMU 7.2.22',
  ipsec: 'strongSwan 5.9.8',
  capacity: { cpuCores: cores(2), memoryBytes: bytes(4 * gib) },
  cpuUsedCores: cores(1.9),
  cpuPercent: 95,
  memoryUsedBytes: bytes(1.5 * gib),
  memoryPercent: 37.5,
  pressure: { cpuSomePercent: 31.4, memorySomePercent: 0, ioSomePercent: 2.26 },
  rates: {
    cpuStealCores: cores(0.04),
    netReceivedBytesPerSecond: 3 * 1024,
    netSentBytesPerSecond: 12 * 1024 ** 2,
    diskReadBytesPerSecond: 0,
    diskWrittenBytesPerSecond: null,
  },
  overLine: true,
  roundsOverLine: 3,
  vms: 2,
  samplesAccepted: 120,
  samplesRejected: 1,
  samplesRejectedBy: { 'too-old': 1 },
  quarantine: null,
  lastSampleAtMs: nowMs - 2400,
  joinedAtMs: nowMs - 3_600_000,
  certificate: { sha256: 'ab'.repeat(32), notAfterMs: nowMs + 16 * 3_600_000 },
  clockSkewMs: -12,
  guardInstalled: true,
  revokedAtMs: null,
  cordon: null,
  drain: null,
};

export const hostB: HostResource = {
  ...hostA,
  hostId: 'host-b',
  status: 'joined',
  addresses: null,
  hypervisor: null,
  ipsec: null,
  capacity: null,
  cpuUsedCores: null,
  cpuPercent: null,
  memoryUsedBytes: null,
  memoryPercent: null,
  pressure: null,
  rates: null,
  overLine: false,
  roundsOverLine: 0,
  vms: 0,
  samplesAccepted: 0,
  samplesRejected: 0,
  samplesRejectedBy: {},
  quarantine: null,
  lastSampleAtMs: null,
  certificate: null,
  clockSkewMs: null,
  guardInstalled: null,
};

export const vmWeb: VmResource = {
  vmId: '11111111-2222-4333-8444-555555555555',
  name: 'web1',
  hostId: 'host-a',
  state: 'running',
  vcpus: 2,
  memoryBytes: bytes(0.5 * gib),
  cpuUsedCores: cores(1.25),
  forecast: {
    meanCores: cores(1.1),
    highCores: cores(1.8),
    horizonMs: 1_800_000,
    usual: { meanCores: cores(0.9), spreadCores: cores(0.4) },
    confidencePercent: 84,
  },
  migrationId: null,
  labels: { tier: 'web' },
};

export const vmDatabase: VmResource = {
  ...vmWeb,
  vmId: '99999999-2222-4333-8444-555555555555',
  name: 'db',
  cpuUsedCores: cores(0.65),
  forecast: null,
  migrationId: 'm-1',
};
