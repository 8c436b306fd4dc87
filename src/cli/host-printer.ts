import type { HostResource, TokenResource } from '#wire/api.ts';
import {
  formatAge,
  formatBytes,
  formatCores,
  formatDuration,
  formatPercent,
  formatRate,
  formatTime,
  printable,
  unknown,
} from './format.ts';
import { type Column, fields, table } from './table.ts';

/** All hosts, one line each. */
export function printHosts(hosts: readonly HostResource[], nowMs: number, width?: number): string {
  const columns: readonly Column<HostResource>[] = [
    { title: 'HOST', value: (host) => host.hostId },
    { title: 'STATUS', value: statusOf },
    { title: 'CPU', align: 'right', value: (host) => formatPercent(host.cpuPercent) },
    { title: 'CORES', align: 'right', value: coresOf, rank: 4 },
    { title: 'MEMORY', align: 'right', value: (host) => formatPercent(host.memoryPercent) },
    { title: 'USED', align: 'right', value: memoryOf, rank: 3 },
    { title: 'PRESSURE', align: 'right', value: (host) => formatPercent(host.pressure?.cpuSomePercent ?? null), rank: 1 },
    { title: 'VMS', align: 'right', value: (host) => String(host.vms) },
    { title: 'LINE', value: lineOf },
    { title: 'CERTIFICATE', value: (host) => certificateOf(host, nowMs), rank: 5 },
    { title: 'SAMPLE', value: (host) => formatAge(host.lastSampleAtMs, nowMs), rank: 2 },
  ];
  return table(columns, hosts, "No host has joined yet: 'plimsoll host token HOST' makes a token for one.", width);
}

/** One host with everything the controller knows of it. */
export function printHost(host: HostResource, nowMs: number): string {
  return fields([
    ['host', host.hostId],
    ['status', statusOf(host)],
    ...(host.cordon === null ? [] : [['cordoned', cordonOf(host.cordon, nowMs)] as const]),
    ['joined', formatTime(host.joinedAtMs)],
    ['last sample', `${formatAge(host.lastSampleAtMs, nowMs)} (${host.samplesAccepted} accepted, ${rejectedOf(host)})`],
    ...quarantineOf(host, nowMs),
    ['load line', lineOf(host)],
    ['CPU', `${formatPercent(host.cpuPercent)} (${coresOf(host)} cores)`],
    ['memory', `${formatPercent(host.memoryPercent)} (${memoryOf(host)})`],
    ['pressure', pressureOf(host)],
    ...ratesOf(host),
    ['VMs', String(host.vms)],
    ['underlay address', host.addresses?.underlay ?? unknown],
    ['protected address', host.addresses?.protected ?? unknown],
    ['interface', host.addresses?.interface ?? unknown],
    ['hypervisor', host.hypervisor ?? unknown],
    ['IPsec', host.ipsec ?? unknown],
    ['certificate', certificateOf(host, nowMs)],
    ['fingerprint', host.certificate === null ? unknown : `sha256:${host.certificate.sha256}`],
    ['clock', skewOf(host)],
    ['guard', guardOf(host)],
    ...(host.revokedAtMs === null ? [] : [['revoked', formatTime(host.revokedAtMs)] as const]),
  ]);
}

/** A fresh join token and the command that uses it. */
export function printToken(token: TokenResource): string {
  return [
    fields([
      ['host', token.hostId],
      ['token', token.token],
      ['expires', formatTime(token.expiresAtMs)],
      ['controller', token.controllerUrl],
      ['CA fingerprint', token.caFingerprint],
    ]),
    '',
    `On ${printable(token.hostId)} run once, before the token expires:`,
    `  plimsoll host join --token-file - --ca-fingerprint ${printable(token.caFingerprint)}`,
    'and give it the token when it waits for it (a token on a command line can be seen by everybody on that host).',
  ].join('\n');
}

/** With what operators want of it, `up, draining`; a host that is up and not believed is of no use to the planner. */
function statusOf({ status, quarantine, cordon, drain }: HostResource): string {
  const shown = status === 'up' && quarantine !== null ? 'quarantined' : status;
  if (drain === 'restoring') return `${shown}, restoring`;
  if (cordon === null) return shown;
  return drain === 'draining' || drain === 'drained' ? `${shown}, ${drain}` : `${shown}, cordoned`;
}

function cordonOf({ reason, by, atMs }: NonNullable<HostResource['cordon']>, nowMs: number): string {
  return `${formatAge(atMs, nowMs)} by ${by}${reason === '' ? '' : `: ${reason}`}`;
}

/** How long the certificate in use goes on; it is renewed with a third of its life left. */
function certificateOf({ certificate, revokedAtMs }: HostResource, nowMs: number): string {
  if (revokedAtMs !== null) return 'revoked';
  if (certificate === null) return unknown;
  const leftMs = certificate.notAfterMs - nowMs;
  return leftMs <= 0 ? 'ended' : `${formatDuration(leftMs)} left`;
}

function skewOf({ clockSkewMs }: HostResource): string {
  if (clockSkewMs === null) return unknown;
  if (clockSkewMs === 0) return "as the controller's";
  return `${formatDuration(Math.abs(clockSkewMs))} ${clockSkewMs > 0 ? 'ahead of' : 'behind'} the controller's`;
}

function guardOf({ guardInstalled }: HostResource): string {
  if (guardInstalled === null) return unknown;
  return guardInstalled ? 'installed' : 'NOT INSTALLED: plain-text migration traffic is not dropped';
}

function lineOf(host: HostResource): string {
  if (!host.overLine) return 'below';
  return `over for ${host.roundsOverLine} ${host.roundsOverLine === 1 ? 'round' : 'rounds'}`;
}

function coresOf(host: HostResource): string {
  return host.capacity === null ? unknown : `${formatCores(host.cpuUsedCores)} of ${formatCores(host.capacity.cpuCores)}`;
}

function memoryOf(host: HostResource): string {
  return host.capacity === null ? unknown : `${formatBytes(host.memoryUsedBytes)} of ${formatBytes(host.capacity.memoryBytes)}`;
}

/** What the agent does not measure is left out. */
function ratesOf({ rates }: HostResource): readonly (readonly [string, string])[] {
  if (rates === null) return [];
  const { cpuStealCores, netReceivedBytesPerSecond, netSentBytesPerSecond, diskReadBytesPerSecond, diskWrittenBytesPerSecond } = rates;
  return [
    ['stolen CPU', cpuStealCores === null ? unknown : `${formatCores(cpuStealCores)} cores`],
    ['network', `${formatRate(netReceivedBytesPerSecond)} in, ${formatRate(netSentBytesPerSecond)} out`],
    ['disks', `${formatRate(diskReadBytesPerSecond)} read, ${formatRate(diskWrittenBytesPerSecond)} written`],
  ];
}

function rejectedOf({ samplesRejected, samplesRejectedBy }: HostResource): string {
  const reasons = Object.entries(samplesRejectedBy).map(([reason, amount]) => `${amount} ${reason}`);
  return `${samplesRejected} rejected${reasons.length === 0 ? '' : `: ${reasons.join(', ')}`}`;
}

function quarantineOf({ quarantine }: HostResource, nowMs: number): readonly (readonly [string, string])[] {
  if (quarantine === null) return [];
  const { message, sinceMs, cleanSamplesLeft } = quarantine;
  return [['not believed', `since ${formatAge(sinceMs, nowMs)}: ${message}; again after ${cleanSamplesLeft} clean samples in a row`]];
}

function pressureOf(host: HostResource): string {
  if (host.pressure === null) return unknown;
  const { cpuSomePercent, memorySomePercent, ioSomePercent } = host.pressure;
  return `CPU ${formatPercent(cpuSomePercent)}, memory ${formatPercent(memorySomePercent)}, I/O ${formatPercent(ioSomePercent)}`;
}
