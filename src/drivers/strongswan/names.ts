import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';

/** Marks what is ours among an operator's own connections. */
const connectionPrefix = 'plimsoll-';

/**
 * Names go into charon's configuration: no character that its identity or connection syntax reads in another way
 * ("*" and "%any" would accept any peer).
 */
const hostIdPattern = /^[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?$/;

export function connectionName(peerHostId: HostId): string {
  if (!hostIdPattern.test(peerHostId)) {
    throw new PlimsollError(
      'ipsec-failed',
      `The host name ${JSON.stringify(peerHostId)} cannot be an IKE identity: use lower-case letters, digits, dashes and dots only.`,
    );
  }
  return `${connectionPrefix}${peerHostId}`;
}

/** The peer of one of our connections; null for a connection that is not ours. */
export function peerOfConnection(name: string): HostId | null {
  return name.startsWith(connectionPrefix) ? name.slice(connectionPrefix.length) : null;
}

/** The IKE identity of a host: a DNS subject alternative name of its certificate. */
export function ikeIdentity(hostId: HostId): string {
  // Without the type, charon would read a name such as "10.0.0.7" as an address.
  return `fqdn:${hostId}`;
}

/** Identifiers of a peer's shared keys in charon; made from its name, so that a later process can unload them. */
export function sharedKeyIds(peerHostId: HostId): { readonly preShared: string; readonly postQuantum: string } {
  const name = connectionName(peerHostId);
  return { preShared: `${name}.psk`, postQuantum: `${name}.ppk` };
}

/** The peer of one of our shared keys; null for a key that is not ours. */
export function peerOfSharedKey(id: string): HostId | null {
  const name = /^(.+)\.(?:psk|ppk)$/.exec(id)?.[1];
  return name === undefined ? null : peerOfConnection(name);
}

/**
 * PPK_ID of a pair (RFC 8784 section 5.1): alike on both sides, and of no other pair. It travels without a type, and the
 * receiver reads it as a configured text, so it must look like nothing but a name; "+" is in no host's name.
 */
export function postQuantumKeyId(one: HostId, other: HostId): string {
  return `plimsoll-ppk.${[one, other].toSorted().join('+')}`;
}
