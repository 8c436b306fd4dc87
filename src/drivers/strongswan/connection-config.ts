import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { saModeOf } from '#core/channel/profiles.ts';
import type { IpsecBackend } from '#core/model/channel.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { ChannelPeer, HostIdentity } from '#core/ports.ts';
import { childConfigs } from './child-config.ts';
import type { Section } from './message.ts';
import { ikeIdentity, postQuantumKeyId } from './names.ts';

/**
 * The connection to one peer in the words of swanctl.conf(5): exactly this peer's identity, proven by a certificate under
 * the cluster's root that is not revoked, or by the pair's own key. Throws PlimsollError `ipsec-failed` when the input
 * cannot be used.
 */
export function connectionConfig(peer: ChannelPeer, identity: HostIdentity, backend: IpsecBackend): Section {
  checkAddresses(peer);
  const { profile } = peer;
  return {
    version: '2',
    local_addrs: [peer.localAddresses.underlay],
    remote_addrs: [peer.peerAddresses.underlay],
    proposals: profile.ikeProposals,
    // kernel-libipsec carries ESP inside UDP only.
    encap: backend === 'libipsec' || profile.udpEncapsulation === 'always' ? 'yes' : 'no',
    mobike: 'no',
    // How soon a silent peer is asked. How long charon then waits is charon.retransmit_* in strongswan.conf, for all connections
    // alike: 165 s by default; timeout 2.0, base 1.5 and 3 tries make it 16 s.
    dpd_delay: '5s',
    keyingtries: '1',
    rekey_time: '4h',
    // A reauthentication tears the channel down; certificates are checked again with each new channel.
    reauth_time: '0s',
    ...(profile.postQuantumKey ? { ppk_id: postQuantumKeyId(identity.hostId, peer.peerHostId), ppk_required: 'yes' } : {}),
    ...(profile.authentication === 'psk' ? sharedKeyEnds(peer, identity) : certificateEnds(peer, identity)),
    children: childConfigs(peer, backend),
  };
}

function sharedKeyEnds(peer: ChannelPeer, identity: HostIdentity): Section {
  return {
    local: { auth: 'psk', id: ikeIdentity(identity.hostId) },
    remote: { auth: 'psk', id: ikeIdentity(peer.peerHostId) },
  };
}

/**
 * Only the root is an anchor; charon finds the CAs between among those it has loaded, and sends ours along. `strict`: no
 * list that says the certificate is good, no channel.
 */
function certificateEnds(peer: ChannelPeer, identity: HostIdentity): Section {
  const root = derOf(identity.caPem, "the cluster root's certificate");
  return {
    send_cert: 'always',
    local: { auth: 'pubkey', id: ikeIdentity(identity.hostId), certs: [hostCertificate(identity)] },
    remote: { auth: 'pubkey', id: ikeIdentity(peer.peerHostId), cacerts: [root], revocation: 'strict' },
  };
}

function checkAddresses(peer: ChannelPeer): void {
  const tunnel = saModeOf(peer.profile.name) === 'tunnel';
  for (const addresses of [peer.localAddresses, peer.peerAddresses]) {
    for (const address of tunnel ? [addresses.underlay, addresses.protected] : [addresses.underlay]) {
      if (isIP(address) === 0 || address.includes('%'))
        throw new PlimsollError('ipsec-failed', `${JSON.stringify(address)} is not an IP address: correct the host's addresses.`);
    }
  }
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
