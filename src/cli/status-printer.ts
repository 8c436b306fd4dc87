import type { StatusResource } from '#wire/api.ts';
import { formatAge, formatDuration, printable } from './format.ts';
import { fields } from './table.ts';

type Alarm = StatusResource['alarms'][number];

export const modeMeanings = {
  observe: 'plans, moves nothing',
  approve: 'plans, a person applies',
  automatic: 'plans and moves',
} as const;

/** The controller in a few lines, then what a person should look at. */
export function printStatus(status: StatusResource, nowMs: number): string {
  return [statusFields(status, nowMs), ...alarmLines(status.alarms, nowMs)].join('\n');
}

function alarmLines(alarms: readonly Alarm[], nowMs: number): readonly string[] {
  if (alarms.length === 0) return [];
  return [
    '',
    'Alarms:',
    ...alarms.map((alarm) => `  ${alarm.severity}: ${printable(alarm.sentence)} (${alarm.code}, since ${formatAge(alarm.sinceMs, nowMs)})`),
  ];
}

function statusFields(status: StatusResource, nowMs: number): string {
  return fields([
    ['version', status.version],
    ['mode', `${status.mode} (${modeMeanings[status.mode]})`],
    ['started', `${formatAge(status.startedAtMs, nowMs)}, epoch ${status.controllerEpoch}`],
    ['hosts', `${status.hostsUp} up of ${status.hostsTotal}`],
    ['VMs', String(status.vms)],
    ['migrations', `${status.migrationsOpen} under way`],
    ['plans every', formatDuration(status.planIntervalMs)],
    ['alarms', status.alarms.length === 0 ? 'none' : String(status.alarms.length)],
  ]);
}

export function printMode(status: StatusResource): string {
  return `${status.mode}: ${modeMeanings[status.mode]}`;
}
