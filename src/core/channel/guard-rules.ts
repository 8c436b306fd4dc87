/**
 * The guard: nftables rules that keep migration traffic inside IPsec, whether or not any daemon lives.
 *
 * Order of both chains: local traffic, what IPsec carries, IKE, ESP and AH themselves, connections that began inside IPsec, peers
 * with a break-glass grant, the plain probe, anything of the protected address, the probes of transport mode, the migration ports.
 * Whatever matches none of these is not the guard's business.
 *
 * No connection tracking: the guard must neither fail open when the table is full nor bring conntrack to a
 * host that had none. Without it a packet to port 49160 may be migration data or the answer to a client whose
 * ephemeral port is 49160 (Windows hands out 49152 and up). So on the data ports the guard drops what opens a
 * TCP connection, and segments and datagrams between two high ports, which no answer of a service matches.
 *
 * In transport mode (kernel backend) a migration has the underlay addresses, so no address tells it from other traffic, and its
 * client's port may be a low one where `ip_local_port_range` was widened. Should its SA and policy go away in the middle, its next
 * segments would match nothing of the above. So the guard remembers each connection to a data port that opens inside IPsec (set
 * `flows`), and drops what comes of it outside. If it cannot be remembered, it cannot open.
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

/** Sets whose elements come and go while the rules stay: what shows that the rules are intact must leave the elements out. */
export const guardSets = {
  exempt4: 'exempt4',
  exempt6: 'exempt6',
  flows4: 'flows4',
  flows6: 'flows6',
} as const;

const interfaceName = /^[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}$/;
const ipv4Address = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;
const ipv6Address = /^(?=.*:.*:)[0-9a-fA-F:]{2,39}$/;

type Family = 'ip' | 'ip6';

/** nft's word for the family of an address. Rejects host names, zones and prefixes. */
function familyOf(address: string, what: string): Family {
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

/** On IPv6 AH is an extension header, which Linux may skip to say what `l4proto` is (`ipv6_find_hdr`): the fixed header tells for sure. */
function isAh(family: Family): string {
  return family === 'ip' ? 'ip protocol ah' : 'ip6 nexthdr ah';
}

const opensConnection = 'tcp flags & (fin | syn | rst | ack) == syn';
const dataRange = `${dataPorts.first}-${dataPorts.last}`;

/** Packets that open or carry a migration outside IPsec: see the head of this file. */
function migrationMatches(): readonly string[] {
  const control = `{ ${controlPorts.join(', ')} }`;
  return [
    `meta l4proto { tcp, udp } th dport ${control}`,
    `meta l4proto { tcp, udp } th sport ${control}`,
    `tcp dport ${dataRange} ${opensConnection}`,
    `meta l4proto { tcp, udp } th sport ${firstEphemeralPort}-65535 th dport ${dataRange}`,
  ];
}

/** The probes of the proof, which in transport mode have the underlay addresses. */
const protectedProbe = `udp sport { ${probePorts.sender}, ${probePorts.protected} } udp dport { ${probePorts.sender}, ${probePorts.protected} }`;

/** Local address, local port, remote address, remote port: the same for both directions of a connection. */
function flowKey(family: Family, direction: 'in' | 'out'): string {
  const local = direction === 'in' ? `${family} daddr . tcp dport` : `${family} saddr . tcp sport`;
  const remote = direction === 'in' ? `${family} saddr . tcp sport` : `${family} daddr . tcp dport`;
  return `${local} . ${remote}`;
}

/** What IPsec carries passes; a new connection to a data port between underlay addresses only if it could be noted. */
function ipsecRules(spec: GuardSpec, direction: 'in' | 'out', dropped: string): readonly string[] {
  const carried = carriedByIpsec(spec, direction);
  if (spec.backend === 'libipsec') return [`${carried} accept`];
  const { underlay } = spec.addresses;
  const family = familyOf(underlay, 'underlay');
  const flows = family === 'ip' ? guardSets.flows4 : guardSets.flows6;
  const opens = `${carried} ${family} ${direction === 'in' ? 'daddr' : 'saddr'} ${underlay} tcp dport ${dataRange} ${opensConnection}`;
  return [
    `${opens} add @${flows} { ${flowKey(family, direction)} } accept`,
    `${opens} counter name "${dropped}" drop`,
    `${carried} accept`,
  ];
}

function flowMatches(spec: GuardSpec, direction: 'in' | 'out'): readonly string[] {
  if (spec.backend === 'libipsec') return [];
  const family = familyOf(spec.addresses.underlay, 'underlay');
  return [`${flowKey(family, direction)} @${family === 'ip' ? guardSets.flows4 : guardSets.flows6}`];
}

function inputRules(spec: GuardSpec): readonly string[] {
  const { underlay, interface: device } = spec.addresses;
  const family = familyOf(underlay, 'underlay');
  const outer = `iifname ${quotedInterface(device)} ${family} daddr ${underlay}`;
  const inner = familyOf(spec.addresses.protected, 'protected');
  const { probeIn, protectedIn, migrationIn } = guardCounters;
  return [
    'iifname "lo" accept',
    ...ipsecRules(spec, 'in', migrationIn),
    `${outer} udp dport { 500, 4500 } accept`,
    `${outer} meta l4proto esp accept`,
    `${outer} ${isAh(family)} accept`,
    ...flowMatches(spec, 'in').map((match) => `${match} counter name "${migrationIn}" drop`),
    `${outer} ${family} saddr @${exemptSetOf(underlay)} accept`,
    `udp dport ${probePorts.plain} counter name "${probeIn}" drop`,
    `${inner} daddr ${spec.addresses.protected} counter name "${protectedIn}" drop`,
    `${inner} saddr ${spec.addresses.protected} counter name "${protectedIn}" drop`,
    // IPv6 is put together after this hook: a first fragment may end before the TCP flags. Nobody else fragments TCP.
    ...(family === 'ip6' ? [`${outer} exthdr frag exists meta l4proto tcp counter name "${migrationIn}" drop`] : []),
    ...[protectedProbe, ...migrationMatches()].map((match) => `${match} counter name "${migrationIn}" drop`),
  ];
}

function outputRules(spec: GuardSpec): readonly string[] {
  const { underlay, interface: device } = spec.addresses;
  const family = familyOf(underlay, 'underlay');
  const outer = `oifname ${quotedInterface(device)} ${family} saddr ${underlay}`;
  const inner = familyOf(spec.addresses.protected, 'protected');
  const { probeOut, protectedOut, migrationOut } = guardCounters;
  // Rejected, so that a caller gets an error (at once on IPv4, after one retry on IPv6) instead of a time-out.
  const reject = `counter name "${migrationOut}" reject with icmpx admin-prohibited`;
  return [
    'oifname "lo" accept',
    ...ipsecRules(spec, 'out', migrationOut),
    // The source port: behind a NAT the peer's port may be any.
    `${outer} udp sport { 500, 4500 } accept`,
    `${outer} meta l4proto esp accept`,
    `${outer} ${isAh(family)} accept`,
    // Dropped: the connection may live on when its SA is back.
    ...flowMatches(spec, 'out').map((match) => `${match} counter name "${migrationOut}" drop`),
    `${outer} udp dport ${probePorts.plain} counter name "${probeOut}" accept`,
    `${outer} ${family} daddr @${exemptSetOf(underlay)} accept`,
    `${inner} saddr ${spec.addresses.protected} counter name "${protectedOut}" drop`,
    `${inner} daddr ${spec.addresses.protected} counter name "${protectedOut}" drop`,
    ...[protectedProbe, ...migrationMatches()].map((match) => `${match} ${reject}`),
  ];
}

function chain(name: 'input' | 'output', rules: readonly string[]): string {
  // Before other tables' filters, so that the counters see what those would drop too.
  const head = `    type filter hook ${name} priority filter - 10; policy accept;`;
  return [`  chain ${name} {`, head, ...rules.map((rule) => `    ${rule}`), '  }'].join('\n');
}

/** A connection is remembered for a week: longer than any migration. One that is remembered too long keeps out nothing else. */
function sets(): readonly string[] {
  const flow = (type: string): string =>
    `{ type ${type} . inet_service . ${type} . inet_service; size 65536; flags dynamic,timeout; timeout 7d; }`;
  return [
    `  set ${guardSets.exempt4} { type ipv4_addr; flags timeout; }`,
    `  set ${guardSets.exempt6} { type ipv6_addr; flags timeout; }`,
    `  set ${guardSets.flows4} ${flow('ipv4_addr')}`,
    `  set ${guardSets.flows6} ${flow('ipv6_addr')}`,
  ];
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
    ...sets(),
    chain('input', inputRules(spec)),
    chain('output', outputRules(spec)),
    '}',
    '',
  ].join('\n');
}

/** The set that a peer with this underlay address is exempted by. Throws PlimsollError `config-invalid`. */
export function exemptSetOf(peerUnderlay: string): string {
  return familyOf(peerUnderlay, 'underlay') === 'ip' ? guardSets.exempt4 : guardSets.exempt6;
}

/**
 * The script for `nft -f -` that lets this peer pass in plain text for `lifetimeMs` (0: no longer), whether or not it is let pass
 * already. The kernel ends it. Throws PlimsollError `config-invalid` for a malformed address or time.
 */
export function exemptionScript(peerUnderlay: string, lifetimeMs: number): string {
  if (!Number.isInteger(lifetimeMs) || lifetimeMs < 0)
    throw new PlimsollError('config-invalid', `${lifetimeMs} is not a number of milliseconds for an exemption; correct it.`);
  const element = `element inet ${guardTable} ${exemptSetOf(peerUnderlay)}`;
  return [
    // Adding what is there already changes no time-out, and deleting what is not there is an error: so all three, as one transaction.
    `add ${element} { ${peerUnderlay} }`,
    `delete ${element} { ${peerUnderlay} }`,
    ...(lifetimeMs > 0 ? [`add ${element} { ${peerUnderlay} timeout ${lifetimeMs}ms }`] : []),
    '',
  ].join('\n');
}
