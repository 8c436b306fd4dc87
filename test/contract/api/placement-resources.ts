/** Answers about rules, cordons and drains. */
import type { PlacementService } from '#controller/placement.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { MaintenancePreviewResource, MaintenanceResource } from '#wire/maintenance-api.ts';
import type { CordonResource, DrainPreviewResource, DrainResource, StoredRuleResource } from '#wire/placement-api.ts';
import { nowMs, vmDatabase, vmWeb } from './resources.ts';

export const rule: StoredRuleResource = {
  rule: { kind: 'anti-affinity', name: 'web-apart', vms: ['web*'] },
  by: 'anna',
  atMs: nowMs - 60_000,
  warnings: ['web-apart means one VM only, web1: a group needs two'],
};

export const nightly: StoredRuleResource = {
  rule: {
    kind: 'blackout',
    name: 'nightly',
    vms: ['*'],
    when: { fromMinute: 1320, untilMinute: 360, weekdays: ['mon', 'tue', 'wed', 'thu', 'fri'], utcOffsetMinutes: 60 },
  },
  by: 'bob',
  atMs: nowMs,
  warnings: [],
};

export const cordon: CordonResource = { hostId: 'host-a', reason: 'new disk', by: 'anna', atMs: nowMs - 1000 };

const stay = {
  vmId: vmDatabase.vmId,
  vmName: 'db',
  hostId: 'host-a',
  code: 'no-target-memory' as const,
  reason: 'no host has 8 GiB for db',
  passing: false,
};

export const draining: DrainResource = {
  hostId: 'host-a',
  phase: 'draining',
  phaseSinceMs: nowMs - 30_000,
  startedAtMs: nowMs - 30_000,
  by: 'anna',
  reason: 'new disk',
  waiting: 1,
  moving: [{ migrationId: 'm1', vmId: vmWeb.vmId, vmName: 'web1', fromHostId: 'host-a', toHostId: 'host-b' }],
  away: [],
  stays: [stay],
  unseen: null,
  settled: false,
};

export const preview: DrainPreviewResource = {
  hostId: 'host-a',
  steps: [
    { vmId: vmWeb.vmId, vmName: 'web1', fromHostId: 'host-a', toHostId: 'host-b', reason: 'host-b is the least loaded host with room' },
  ],
  stays: [stay],
  unseen: null,
};

const away = [{ vmId: vmWeb.vmId, vmName: 'web1', hostId: 'host-b' }];
const quiet = { held: null, moving: 0, waiting: 0, away: [], stays: [] };

export const maintenance: MaintenanceResource = {
  maintenanceId: 'mt-1',
  hosts: [
    { ...quiet, hostId: 'host-a', phase: 'empty', phaseSinceMs: nowMs - 60_000, away },
    {
      ...quiet,
      hostId: 'host-b',
      phase: 'draining',
      phaseSinceMs: nowMs - 1000,
      held: 'db cannot be moved (rule-pin): it is at home',
      stays: [stay],
    },
    { ...quiet, hostId: 'host-c', phase: 'waiting', phaseSinceMs: nowMs - 90_000 },
  ],
  parallel: 2,
  until: 'ready',
  by: 'anna',
  reason: 'new kernel',
  startedAtMs: nowMs - 90_000,
  endedAtMs: null,
  outcome: null,
};

export const maintenancePreview: MaintenancePreviewResource = {
  refusal: null,
  hosts: [{ drain: preview, fault: 'db cannot leave it (no-target-memory): no host has 8 GiB for db' }],
};

type Answer = <Value>(value: Value, ...call: readonly unknown[]) => Promise<Value>;

export function fakePlacement(answer: Answer): PlacementService {
  const known = <Value>(hostId: string, value: Value): Value => {
    if (hostId !== 'host-a') throw new PlimsollError('host-unknown', `there is no host ${hostId}: 'plimsoll host list' shows all`);
    return value;
  };
  return {
    rules: () => answer([nightly, rule], 'rules'),
    addRule: (added, askedBy) => answer({ rule: added, by: askedBy, atMs: nowMs, warnings: rule.warnings }, 'addRule', added, askedBy),
    removeRule: (name, askedBy) => answer(rule, 'removeRule', name, askedBy),
    cordon: async (hostId, reason, askedBy) => answer(known(hostId, { ...cordon, reason }), 'cordon', hostId, reason, askedBy),
    uncordon: async (hostId, askedBy) => answer(known(hostId, undefined), 'uncordon', hostId, askedBy),
    drains: () => answer([draining], 'drains'),
    drain: async (hostId) => answer(known(hostId, draining), 'drain', hostId),
    previewDrain: async (hostId) => answer(known(hostId, preview), 'previewDrain', hostId),
    startDrain: async (hostId, reason, askedBy) => answer(known(hostId, draining), 'startDrain', hostId, reason, askedBy),
    cancelDrain: async (hostId, askedBy) =>
      answer(known(hostId, { ...draining, phase: 'cancelled', settled: true }), 'cancelDrain', hostId, askedBy),
    maintenance: () => answer(maintenance, 'maintenance'),
    previewMaintenance: (wish) => answer(maintenancePreview, 'previewMaintenance', wish),
    startMaintenance: (wish, askedBy) => answer(maintenance, 'startMaintenance', wish, askedBy),
    readyHost: async (hostId, askedBy) => answer(known(hostId, maintenance), 'readyHost', hostId, askedBy),
    cancelMaintenance: (askedBy) => answer({ ...maintenance, endedAtMs: nowMs, outcome: 'cancelled' }, 'cancelMaintenance', askedBy),
    restore: async (hostId, askedBy) => answer(known(hostId, { ...draining, phase: 'restoring' }), 'restore', hostId, askedBy),
  };
}
