/**
 * The guard: nftables rules that keep migration traffic inside IPsec, whether or not any daemon lives.
 *
 * Order of both chains: local traffic, what IPsec carries, IKE and ESP themselves, the plain probe, anything
 * of the protected address, the migration ports. Whatever matches none of these is not the guard's business.
 *
 * No connection tracking: the guard must neither fail open when the table is full nor bring conntrack to a
 * host that had none. Without it a packet to port 49160 may be migration data or the answer to a client whose
 * ephemeral port is 49160 (Windows hands out 49152 and up). So on the data ports the guard drops what opens a
 * TCP connection, and segments and datagrams between two high ports, which no answer of a service matches.
 */
import type { GuardSpec } from '#core/ports.ts';
import { probePorts } from '#core/ports.ts';
import { PlimsollError } from '#core/model/result.ts';

export const guardTable = 'plimsoll';

/** The TUN device that strongSwan's kernel-libipsec plugin makes. */
export const libipsecDevice = 'ipsec0';

/** libvirt's remote ports (TLS, plain), never anybody's ephemeral ports. */
export const controlPorts = [16_509, 16_514] as const;

/** QEMU's migration data ports (libvirt's default `migration_port_min` and `_max`). */
export const dataPorts = { first: 49_152, last: 49_215 } as const;

/** First ephemeral port of Linux (`ip_local_port_range`); services listen below it. */
const firstEphemeralPort = 32_768;

/** Named counters of the table, and what they count. */
export const guardCounters = {
  probeIn: 'dropped_in_probe',
  protectedIn: 'dropped_in_protected',
  migrationIn: 'dropped_in_migration',
  protectedOut: 'dropped_out_protected',
  migrationOut: 'dropped_out_migration',
  probeOut: 'passed_out_probe',
} as const;

const interfaceName = /^[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}$/;
const ipv4Address = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;
const ipv6Address = /^(?=.*:.*:)[0-9a-fA-F:]{2,39}$/;

/** nft's word for the family of an address. Rejects host names, zones and prefixes. */
function familyOf(address: string, what: string): 'ip' | 'ip6' {
  if (ipv4Address.test(address)) return 'ip';
  if (ipv6Address.test(address)) return 'ip6';
  throw new PlimsollError('config-invalid', `The ${what} address ${JSON.stringify(address)} is not an IPv4 or IPv6 address; correct it.`);
}

function quotedInterface(name: string): string {
  if (interfaceName.test(name)) return `"${name}"`;
  throw new PlimsollError('config-invalid', `${JSON.stringify(name)} is not the name of a network interface; correct it.`);
}

/** Matches what IPsec carries. The kernel marks an input packet with its secpath, and an output packet's route. */
function carriedByIpsec(spec: GuardSpec, direction: 'in' | 'out'): string {
  if (spec.backend === 'libipsec') return `${direction === 'in' ? 'iifname' : 'oifname'} "${libipsecDevice}"`;
  return direction === 'in' ? 'meta ipsec exists' : 'rt ipsec exists';
}

/** Packets that open or carry a migration outside IPsec: three matches, see the head of this file. */
function migrationMatches(): readonly string[] {
  const control = `{ ${controlPorts.join(', ')} }`;
  const data = `${dataPorts.first}-${dataPorts.last}`;
  return [
    `meta l4proto { tcp, udp } th dport ${control}`,
    `meta l4proto { tcp, udp } th sport ${control}`,
    `tcp dport ${data} tcp flags & (fin | syn | rst | ack) == syn`,
    `meta l4proto { tcp, udp } th sport ${firstEphemeralPort}-65535 th dport ${data}`,
  ];
}

function inputRules(spec: GuardSpec): readonly string[] {
  const { underlay, interface: device } = spec.addresses;
  const outer = `iifname ${quotedInterface(device)} ${familyOf(underlay, 'underlay')} daddr ${underlay}`;
  const inner = familyOf(spec.addresses.protected, 'protected');
  const { probeIn, protectedIn, migrationIn } = guardCounters;
  return [
    'iifname "lo" accept',
    `${carriedByIpsec(spec, 'in')} accept`,
    `${outer} udp dport { 500, 4500 } accept`,
    `${outer} meta l4proto esp accept`,
    `udp dport ${probePorts.plain} counter name "${probeIn}" drop`,
    `${inner} daddr ${spec.addresses.protected} counter name "${protectedIn}" drop`,
    `${inner} saddr ${spec.addresses.protected} counter name "${protectedIn}" drop`,
    ...migrationMatches().map((match) => `${match} counter name "${migrationIn}" drop`),
  ];
}

function outputRules(spec: GuardSpec): readonly string[] {
  const { underlay, interface: device } = spec.addresses;
  const outer = `oifname ${quotedInterface(device)} ${familyOf(underlay, 'underlay')} saddr ${underlay}`;
  const inner = familyOf(spec.addresses.protected, 'protected');
  const { probeOut, protectedOut, migrationOut } = guardCounters;
  return [
    'oifname "lo" accept',
    `${carriedByIpsec(spec, 'out')} accept`,
    // The source port: behind a NAT the peer's port may be any.
    `${outer} udp sport { 500, 4500 } accept`,
    `${outer} meta l4proto esp accept`,
    `${outer} udp dport ${probePorts.plain} counter name "${probeOut}" accept`,
    `${inner} saddr ${spec.addresses.protected} counter name "${protectedOut}" drop`,
    `${inner} daddr ${spec.addresses.protected} counter name "${protectedOut}" drop`,
    // Rejected, so that a caller gets an error (at once on IPv4, after one retry on IPv6) instead of a time-out.
    ...migrationMatches().map((match) => `${match} counter name "${migrationOut}" reject with icmpx admin-prohibited`),
  ];
}

function chain(name: 'input' | 'output', rules: readonly string[]): string {
  // Before other tables' filters, so that the counters see what those would drop too.
  const head = `    type filter hook ${name} priority filter - 10; policy accept;`;
  return [`  chain ${name} {`, head, ...rules.map((rule) => `    ${rule}`), '  }'].join('\n');
}

/**
 * The guard of one host as a script for `nft -f -`: one transaction that replaces the whole table and
 * touches no other. Pure: equal specs give equal text. Throws PlimsollError `config-invalid` when an
 * address or the interface's name is malformed, or when underlay and protected address are the same.
 */
export function guardRuleset(spec: GuardSpec): string {
  if (spec.addresses.underlay === spec.addresses.protected) {
    const sentence = `Underlay and protected address are both ${spec.addresses.underlay}; give the host a protected address of its own.`;
    throw new PlimsollError('config-invalid', sentence);
  }
  return [
    // Makes the deletion succeed when there is no table yet.
    `add table inet ${guardTable}`,
    `delete table inet ${guardTable}`,
    `table inet ${guardTable} {`,
    ...Object.values(guardCounters).map((name) => `  counter ${name} { }`),
    chain('input', inputRules(spec)),
    chain('output', outputRules(spec)),
    '}',
    '',
  ].join('\n');
}
