/** How balancing stands in that cluster. */
import type { BalanceResource } from '#wire/balance-api.ts';
import { nowMs } from './inventory-resources.ts';

export const balance: BalanceResource = {
  mode: 'observe',
  planIntervalMs: 10_000,
  plan: { planId: 'p-2', verdict: 'moves', summary: 'host-a is over its CPU line.', createdAtMs: nowMs - 12_000, moves: 1 },
  hosts: 3,
  overLine: [{ hostId: 'host-a', roundsOverLine: 3 }],
  quarantined: [
    {
      hostId: 'host-c',
      quarantine: {
        code: 'cpu-contradicts',
        message: 'its VMs use 2 cores, the host says 0',
        sinceMs: nowMs - 61_000,
        cleanSamplesLeft: 4,
      },
    },
  ],
  samples: { accepted: 240, rejected: 3, rejectedBy: { 'too-old': 1, 'cpu-contradicts': 2 } },
  forecast: { horizonMs: 1_800_000, vmsTotal: 12, vms: 10, confidentVms: 7, seasonalVms: 2, hitPercent: 91.4, errorOfNaivePercent: 48.2 },
};
