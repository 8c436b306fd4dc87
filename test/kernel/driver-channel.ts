/** Channels that the strongSwan driver makes between two hosts of the lab, without agents and controller. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { channelAddresses } from '#core/channel/profiles.ts';
import type { ChannelProfile, SecurityAssociation } from '#core/model/channel.ts';
import type { HostAddresses } from '#core/model/host.ts';
import type { ChannelPeer, HostIdentity, Ipsec } from '#core/ports.ts';
import { loadIdentity } from '#drivers/pki/identity-folder.ts';
import { createStrongswanIpsec } from '#drivers/strongswan/ipsec.ts';
import { HOST_PKI } from '#lab/layout.ts';
import { must } from '#lab/process.ts';
import type { VmHost } from '#lab/vm/api.ts';

const signal = new AbortController().signal;
/** Emulated processors. */
const slowMs = 60_000;

export interface DriverEnd {
  readonly host: VmHost;
  readonly addresses: HostAddresses;
  readonly ipsec: Ipsec;
  readonly identity: HostIdentity;
}

export async function openEnd(host: VmHost): Promise<DriverEnd> {
  return {
    host,
    addresses: { underlay: host.underlay, protected: host.protected, interface: 'eth0' },
    ipsec: createStrongswanIpsec({
      socketPath: host.viciSocket,
      establishTimeoutMs: slowMs,
      // Policies belong into the host's own kernel.
      runIp: (args) => host.must(['ip', ...args]),
    }),
    identity: await identityOf(host),
  };
}

/** The identity that the host got when it joined; its key leaves the host in this lab only. */
async function identityOf(host: VmHost): Promise<HostIdentity> {
  const folder = await mkdtemp(join(tmpdir(), 'plimsoll-kernel-'));
  try {
    await writeFile(join(folder, 'pki.tar'), await host.output(['tar', '-C', HOST_PKI, '-c', '.']), { mode: 0o600 });
    await must(['tar', '-C', folder, '-x', '-f', join(folder, 'pki.tar')]);
    return await loadIdentity(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const noSecrets = { preSharedKey: null, postQuantumKey: null };

function peerOf(end: DriverEnd, other: DriverEnd, profile: ChannelProfile): ChannelPeer {
  return {
    localAddresses: channelAddresses(profile, end.addresses),
    peerHostId: other.host.name,
    peerAddresses: channelAddresses(profile, other.addresses),
    profile,
    secrets: noSecrets,
  };
}

/** Prepares both ends and brings the SA up; as `from` sees it. */
export async function raise(from: DriverEnd, to: DriverEnd, profile: ChannelProfile): Promise<SecurityAssociation> {
  await Promise.all([
    from.ipsec.prepare(peerOf(from, to, profile), from.identity, signal),
    to.ipsec.prepare(peerOf(to, from, profile), to.identity, signal),
  ]);
  return from.ipsec.establish(peerOf(from, to, profile), signal);
}

export async function lower(from: DriverEnd, to: DriverEnd): Promise<void> {
  await from.ipsec.remove(to.host.name, signal);
  await to.ipsec.remove(from.host.name, signal);
}
