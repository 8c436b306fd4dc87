import type { HostResource, TokenResource } from '#wire/api.ts';
import { formatAge, formatBytes, formatCores, formatPercent, formatTime, printable, unknown } from './format.ts';
import { type Column, fields, table } from './table.ts';

/** All hosts, one line each. */
export function printHosts(hosts: readonly HostResource[], nowMs: number): string {
  const columns: readonly Column<HostResource>[] = [
    { title: 'HOST', value: (host) => host.hostId },
    { title: 'STATUS', value: (host) => host.status },
    { title: 'CPU', align: 'right', value: (host) => formatPercent(host.cpuPercent) },
    { title: 'CORES', align: 'right', value: coresOf },
    { title: 'MEMORY', align: 'right', value: (host) => formatPercent(host.memoryPercent) },
    { title: 'USED', align: 'right', value: memoryOf },
    { title: 'PRESSURE', align: 'right', value: (host) => formatPercent(host.pressure?.cpuSomePercent ?? null) },
    { title: 'VMS', align: 'right', value: (host) => String(host.vms) },
    { title: 'LINE', value: lineOf },
    { title: 'SAMPLE', value: (host) => formatAge(host.lastSampleAtMs, nowMs) },
  ];
  return table(columns, hosts, "No host has joined yet: 'plimsoll host token HOST' makes a token for one.");
}

/** One host with everything the controller knows of it. */
export function printHost(host: HostResource, nowMs: number): string {
  return fields([
    ['host', host.hostId],
    ['status', host.status],
    ['joined', formatTime(host.joinedAtMs)],
    ['last sample', `${formatAge(host.lastSampleAtMs, nowMs)} (${host.samplesAccepted} accepted, ${host.samplesRejected} rejected)`],
    ['load line', lineOf(host)],
    ['CPU', `${formatPercent(host.cpuPercent)} (${coresOf(host)} cores)`],
    ['memory', `${formatPercent(host.memoryPercent)} (${memoryOf(host)})`],
    ['pressure', pressureOf(host)],
    ['VMs', String(host.vms)],
    ['underlay address', host.addresses?.underlay ?? unknown],
    ['protected address', host.addresses?.protected ?? unknown],
    ['interface', host.addresses?.interface ?? unknown],
    ['hypervisor', host.hypervisor ?? unknown],
    ['IPsec', host.ipsec ?? unknown],
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
    `  plimsoll agent join --config /etc/plimsoll/agent.yaml --token ${printable(token.token)} --ca-fingerprint ${printable(token.caFingerprint)}`,
  ].join('\n');
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

function pressureOf(host: HostResource): string {
  if (host.pressure === null) return unknown;
  const { cpuSomePercent, memorySomePercent, ioSomePercent } = host.pressure;
  return `CPU ${formatPercent(cpuSomePercent)}, memory ${formatPercent(memorySomePercent)}, I/O ${formatPercent(ioSomePercent)}`;
}
