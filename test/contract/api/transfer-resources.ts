/** How VMs are moved and what that costs, in the API's own words, with fixed times. */
import type { MigrateCheck, MigrationResource, PredictionErrorsResource, VmCheckResource } from '#wire/api.ts';
import { exampleOptions } from '#core/migration/forecast-examples.ts';
import { pilotPolicyOf } from '#core/model/policy.ts';
import type { ShownVmSettings } from '#controller/vm-settings.ts';
import { check, copying, done, nowMs, vmWeb } from './resources.ts';

const mib = 1024 ** 2;
type TransferPlan = NonNullable<MigrationResource['plan']>;
type CheckRow = VmCheckResource['rows'][number];

export const prediction: NonNullable<TransferPlan['prediction']> = {
  method: 'pre-copy',
  totalMs: { low: 6800, expected: 8000, high: 9900 },
  downtimeMs: { low: 120, expected: 200, high: 330 },
  bytes: { low: 520 * mib, expected: 560.4 * mib, high: 640 * mib },
  rounds: 4,
  converges: true,
  memoryBytes: 512 * mib,
  activity: {
    measuredAtMs: nowMs - 5000,
    measuredForMs: 3000,
    usedBytes: 480 * mib,
    dirtyBytesPerSecond: 1.5 * mib,
    workingSetBytes: 12 * mib,
  },
  bandwidth: { bytesPerSecond: 70 * mib, measuredAtMs: nowMs - 60_000, by: 'stream' },
  correctedBy: 3,
};

export const transferPlan: TransferPlan = {
  options: exampleOptions(),
  pilot: pilotPolicyOf('balanced'),
  reason: 'db writes 1.5 MiB/s and the channel carries 70 MiB/s: pre-copy ends by itself.',
  prediction,
};

const chosen: MigrationResource['decisions'][number] = {
  by: 'choice',
  atMs: nowMs - 3100,
  elapsedMs: 0,
  action: 'start pre-copy',
  reason: 'it is predicted to end within the downtime limit',
};

export const raised: MigrationResource['decisions'][number] = {
  by: 'autopilot',
  atMs: nowMs - 1000,
  elapsedMs: 2000,
  action: 'raise downtime to 1000 ms',
  reason: 'the rest has not fallen for 15 s',
};

/** Under way, with its plan, slowed down. */
export const steered: MigrationResource = {
  ...copying,
  plan: transferPlan,
  decisions: [chosen, raised],
  progress: copying.progress === null ? null : { ...copying.progress, throttlePercent: 20 },
};

/** Done, with all that is known of it. */
export const measured: MigrationResource = {
  ...done,
  plan: transferPlan,
  decisions: [chosen, raised],
  measures: {
    method: 'pre-copy',
    attempts: 1,
    totalMs: 7900,
    hypervisorDowntimeMs: 251,
    outside: {
      witnessHostId: 'host-c',
      address: '10.0.0.5',
      intervalMs: 5,
      sent: 1600,
      answered: 1545,
      downtimeMs: 262,
      brownoutMs: 75,
      delayMsP50: 0.41,
      delayMsP99: 14.6,
    },
    memorySentBytes: 540 * mib,
    rounds: 4,
    espBytes: 576 * mib,
    espPackets: 400_000,
    source: { hypervisorCpuSeconds: 2.5, ipsecCpuSeconds: 6.25, agentCpuSeconds: 0.18 },
    destination: { hypervisorCpuSeconds: 1.75, ipsecCpuSeconds: null, agentCpuSeconds: 0.11 },
    arrival: {
      definitionRight: true,
      sourceClean: true,
      announced: true,
      answers: null,
      lockedOnce: false,
      troubles: ['the lease of vda is not held by host-b'],
    },
  },
};

export const predictionErrors: PredictionErrorsResource = { migrations: 17, totalPercent: 8.24, downtimePercent: 21.6 };

const pass = (name: CheckRow['findings'][number]['check'], sentence: string): CheckRow['findings'][number] => ({
  check: name,
  verdict: 'pass',
  code: null,
  sentence,
});

export const possibleRow: CheckRow = {
  hostId: 'host-b',
  possible: true,
  findings: [
    pass('host', 'host-b is up.'),
    { check: 'clock', verdict: 'warn', code: null, sentence: 'the clock of host-b is 1.9 s ahead: synchronise it.' },
    pass('memory', 'host-b has 3.1 GiB free, web1 needs 0.5 GiB.'),
    { check: 'disks', verdict: 'unknown', code: null, sentence: 'vda cannot be looked at from outside of the VM.' },
    { check: 'locks', verdict: 'warn', code: null, sentence: 'nothing stops this VM from being started twice: give it a lease.' },
  ],
};

export const refusedRow: CheckRow = {
  hostId: 'host-c',
  possible: false,
  findings: [
    pass('host', 'host-c is up.'),
    pass('clock', 'the clock of host-c is right.'),
    {
      check: 'memory',
      verdict: 'refuse',
      code: 'no-memory',
      sentence: 'host-c has 0.2 GiB free, web1 needs 0.5 GiB: free memory there, or choose another host.',
    },
    { check: 'disks', verdict: 'unknown', code: null, sentence: 'vda cannot be looked at from outside of the VM.' },
    { check: 'locks', verdict: 'warn', code: null, sentence: 'nothing stops this VM from being started twice: give it a lease.' },
  ],
};

const downRow: CheckRow = {
  hostId: 'host-d',
  possible: false,
  findings: [{ check: 'host', verdict: 'refuse', code: 'host-down', sentence: 'host-d is not connected: start its agent.' }],
};

export const vmCheck: VmCheckResource = {
  vmId: vmWeb.vmId,
  vmName: 'web1',
  hostId: 'host-a',
  rows: [possibleRow, refusedRow, downRow],
};

export const plannedCheck: MigrateCheck = { ...check, row: possibleRow, plan: transferPlan, decisions: [chosen] };

/** As the service has them, with what the API does not tell. */
export const vmSettings: ShownVmSettings = {
  vmId: vmWeb.vmId,
  restartable: false,
  address: '10.0.0.5',
  definitionText: "<domain><graphics passwd='hidden'/></domain>",
  slaClass: null,
  effectiveClass: 'standard',
  tenant: null,
  labels: {},
  updatedAtMs: nowMs - 60_000,
};
