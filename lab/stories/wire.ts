/** What was on the wire between the hosts. */
import { probePorts } from '#core/ports.ts';
import type { ScanResult } from '#lab/api.ts';
import { MIGRATION_PORT_MAX, MIGRATION_PORT_MIN } from '#lab/layout.ts';

const libvirtPorts = [16_509, 16_514];
const names: Readonly<Record<string, string>> = {
  'esp-in-udp': 'ESP',
  ike: 'IKE',
  'tcp/3260': 'iSCSI',
  'tcp/7443': 'TLS with the controller',
  arp: 'ARP',
  [`udp/${probePorts.plain}`]: 'plain-text probes, which have to be dropped',
  [`udp/${probePorts.path}`]: 'probes of the path',
};

/** Packets of a migration outside of IPsec: libvirt's own connection, and QEMU's. */
export function plainMigrationPackets({ kinds }: ScanResult): number {
  return Object.entries(kinds).reduce((sum, [kind, packets]) => (isOfMigration(kind) ? sum + packets : sum), 0);
}

function isOfMigration(kind: string): boolean {
  const port = /^tcp\/(\d+)$/.exec(kind)?.[1];
  if (port === undefined) return false;
  return libvirtPorts.includes(Number(port)) || (Number(port) >= MIGRATION_PORT_MIN && Number(port) <= MIGRATION_PORT_MAX);
}

export function markersRead({ markers }: ScanResult): number {
  return Object.values(markers).reduce((sum, found) => sum + found, 0);
}

export function wireText(scan: ScanResult): string {
  const kinds = Object.entries(scan.kinds).map(([kind, packets]) => `${packets} ${names[kind] ?? kind}`);
  return [
    `${scan.packets} packets on the network of the hosts: ${kinds.join(', ')}`,
    `of a migration in plain text: ${plainMigrationPackets(scan)}; pages of guests that could be read: ${markersRead(scan)}`,
  ].join('\n');
}
