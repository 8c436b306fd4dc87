import type { StatusResource } from '#wire/api.ts';
import { formatAge, formatDuration } from './format.ts';
import { fields } from './table.ts';

const meanings = {
  observe: 'plans, moves nothing',
  approve: 'plans, a person applies',
  automatic: 'plans and moves',
} as const;

/** The controller in a few lines. */
export function printStatus(status: StatusResource, nowMs: number): string {
  return fields([
    ['version', status.version],
    ['mode', `${status.mode} (${meanings[status.mode]})`],
    ['started', `${formatAge(status.startedAtMs, nowMs)}, epoch ${status.controllerEpoch}`],
    ['hosts', `${status.hostsUp} up of ${status.hostsTotal}`],
    ['VMs', String(status.vms)],
    ['migrations', `${status.migrationsOpen} under way`],
    ['plans every', formatDuration(status.planIntervalMs)],
  ]);
}

export function printMode(status: StatusResource): string {
  return `${status.mode}: ${meanings[status.mode]}`;
}
