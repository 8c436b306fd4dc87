/** How a migration was to be made, and what it cost, with every part filled in. */
import type { TransferPlan } from '#core/model/forecast.ts';
import type { Measures } from '#core/model/measures.ts';
import type { Decision, MethodWish } from '#core/model/method.ts';

export const wish: MethodWish = {
  method: 'hybrid',
  preset: 'must-move',
  autoConverge: true,
  streams: 4,
  compression: 'zstd',
  bandwidthBytesPerSecond: 0,
  downtimeMsMax: 300,
};

export const plan: TransferPlan = {
  options: {
    method: 'hybrid',
    autoConverge: { initialPercent: 20, incrementPercent: 10 },
    streams: 4,
    compression: 'zlib',
    bandwidthBytesPerSecond: 12_500_000,
    downtimeMsMax: 300,
  },
  pilot: {
    preset: 'must-move',
    ladder: [
      { kind: 'streams', streams: 4 },
      { kind: 'compress', compression: 'mt' },
      { kind: 'auto-converge', initialPercent: 20, incrementPercent: 10 },
      { kind: 'raise-downtime' },
      { kind: 'post-copy' },
      { kind: 'stop-and-copy' },
    ],
    downtimeMsBudget: 2000,
    allowPostCopy: true,
    stopMsMax: 0,
    patienceMs: 5000,
    switchOverMsMax: 10_000,
  },
  reason: 'pre-copy would not end: it writes 30 MB/s, the channel carries 12.5 MB/s',
  prediction: {
    method: 'hybrid',
    totalMs: { low: 1000.5, expected: 1500, high: 2200 },
    downtimeMs: { low: 20, expected: 35.25, high: 60 },
    bytes: { low: 1e8, expected: 1.2e8, high: 1.5e8 },
    rounds: 3,
    converges: false,
    memoryBytes: 134_217_728,
    activity: {
      measuredAtMs: 900,
      measuredForMs: 1000,
      usedBytes: null,
      dirtyBytesPerSecond: 3e7,
      workingSetBytes: 6.5e7,
    },
    bandwidth: { bytesPerSecond: 12_500_000.5, measuredAtMs: 800, by: 'stream' },
    correctedBy: 7,
  },
};

export const decisions: readonly Decision[] = [
  { by: 'choice', atMs: 1000, elapsedMs: 0, action: 'start hybrid', reason: 'pre-copy would not end' },
  { by: 'autopilot', atMs: 2500, elapsedMs: 1500, action: 'post-copy', reason: 'nothing better for 5 s' },
];

export const measures: Measures = {
  method: 'hybrid',
  attempts: 2,
  totalMs: 1510,
  hypervisorDowntimeMs: null,
  outside: {
    witnessHostId: 'c',
    address: '10.77.0.50',
    intervalMs: 5,
    sent: 400,
    answered: 392,
    downtimeMs: 40,
    brownoutMs: 0,
    delayMsP50: 0.4,
    delayMsP99: 3.75,
  },
  memorySentBytes: 120_000_000,
  rounds: 3,
  espBytes: 126_000_000,
  espPackets: 90_000,
  source: { hypervisorCpuSeconds: 1.25, ipsecCpuSeconds: 0.5, agentCpuSeconds: null },
  destination: null,
  arrival: {
    definitionRight: true,
    sourceClean: false,
    announced: null,
    answers: true,
    lockedOnce: true,
    troubles: ['host a still has a definition of the VM'],
  },
};
