import { X509Certificate } from 'node:crypto';
import { SocketAddress, isIP } from 'node:net';
import type { IpsecBackend } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { ChannelPeer, HostIdentity } from '#core/ports.ts';
import type { Section } from './message.ts';

/** Marks what is ours among an operator's own connections. */
const connectionPrefix = 'plimsoll-';

/** The one CHILD_SA of each connection. */
export const childName = 'channel';

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

/** An address as charon prints it, so that two notations of one IPv6 address are equal (RFC 5952). */
export function canonicalAddress(address: string): string {
  return isIP(address) === 6 ? new SocketAddress({ address, family: 'ipv6' }).address : address;
}

/** The traffic selector of one protected address, in charon's notation. */
export function selectorOf(address: string): string {
  return `${canonicalAddress(address)}/${isIP(address) === 6 ? 128 : 32}`;
}

/** The IKE identity of a host: a DNS subject alternative name of its certificate. */
export function ikeIdentity(hostId: HostId): string {
  // Without the type, charon would read a name such as "10.0.0.7" as an address.
  return `fqdn:${hostId}`;
}

/**
 * The connection to one peer in the words of swanctl.conf(5): this peer's identity, signed by the cluster's CA and no
 * other, between the two protected addresses. Throws PlimsollError `ipsec-failed` when the input cannot be used.
 */
export function connectionConfig(peer: ChannelPeer, identity: HostIdentity, backend: IpsecBackend): Section {
  for (const address of addressesOf(peer)) {
    if (isIP(address) === 0 || address.includes('%'))
      throw new PlimsollError('ipsec-failed', `${JSON.stringify(address)} is not an IP address: correct the host's addresses.`);
  }
  return {
    version: '2',
    local_addrs: [peer.localAddresses.underlay],
    remote_addrs: [peer.peerAddresses.underlay],
    proposals: ['aes256gcm16-prfsha384-ecp384'],
    // kernel-libipsec carries ESP inside UDP only.
    encap: backend === 'libipsec' ? 'yes' : 'no',
    mobike: 'no',
    dpd_delay: '10s',
    keyingtries: '1',
    rekey_time: '4h',
    // A reauthentication tears the channel down; certificates are checked again with each new channel.
    reauth_time: '0s',
    send_cert: 'always',
    local: { auth: 'pubkey', id: ikeIdentity(identity.hostId), certs: [hostCertificate(identity)] },
    remote: { auth: 'pubkey', id: ikeIdentity(peer.peerHostId), cacerts: [derOf(identity.caPem, "the cluster CA's certificate")] },
    children: { [childName]: childConfig(peer, backend) },
  };
}

function childConfig(peer: ChannelPeer, backend: IpsecBackend): Section {
  return {
    mode: 'tunnel',
    local_ts: [selectorOf(peer.localAddresses.protected)],
    remote_ts: [selectorOf(peer.peerAddresses.protected)],
    // libipsec has no extended sequence numbers; the kernel takes them and falls back for a peer without.
    esp_proposals: backend === 'libipsec' ? ['aes256gcm16-ecp384'] : ['aes256gcm16-ecp384-esn', 'aes256gcm16-ecp384'],
    rekey_time: '1h',
    start_action: 'none',
    dpd_action: 'none',
    close_action: 'none',
  };
}

function addressesOf(peer: ChannelPeer): readonly string[] {
  const { localAddresses, peerAddresses } = peer;
  return [localAddresses.underlay, localAddresses.protected, peerAddresses.underlay, peerAddresses.protected];
}

/** A peer checks our IKE identity against the certificate, so a certificate without it fails here with a reason. */
function hostCertificate(identity: HostIdentity): Uint8Array {
  const der = derOf(identity.certificatePem, `the certificate of ${identity.hostId}`);
  const named = new X509Certificate(der).checkHost(identity.hostId, { subject: 'never', wildcards: false });
  if (named !== undefined) return der;
  throw new PlimsollError(
    'ipsec-failed',
    `The certificate of ${identity.hostId} has no DNS subject alternative name ${identity.hostId}: let the host join the cluster again.`,
  );
}

function derOf(pem: string, what: string): Uint8Array {
  try {
    return new X509Certificate(pem).raw;
  } catch (cause) {
    throw new PlimsollError('ipsec-failed', `${what} cannot be read: let the host join the cluster again.`, { cause });
  }
}
