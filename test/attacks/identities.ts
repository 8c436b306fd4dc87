/** What somebody who is root on host3 can show of himself, and what he cannot get. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostAddresses } from '#core/model/host.ts';
import type { HostIdentity } from '#core/ports.ts';
import type { LabHost } from '#lab/api.ts';
import { type ClusterCa, openClusterCa } from '#drivers/pki/cluster-ca.ts';
import { createHostKey, createHostRequest } from '#drivers/pki/host-key.ts';
import { loadIdentity } from '#drivers/pki/identity-folder.ts';

const minuteMs = 60_000;

/** What the host has on its disk now. */
export function identityOf(host: LabHost): Promise<HostIdentity> {
  return loadIdentity(join(host.directory, 'etc-plimsoll/pki'));
}

export function addressesOf({ underlay, protected: inside }: LabHost): HostAddresses {
  return { underlay, protected: inside, interface: 'eth0' };
}

/** The same names and addresses, by the CA of another cluster. */
export async function ofAnotherCluster(host: LabHost): Promise<HostIdentity> {
  const dir = await mkdtemp(join(tmpdir(), 'plimsoll-other-cluster-'));
  try {
    return await issued(host, await openClusterCa(dir), { nowMs: Date.now(), lifetimeMs: 60 * minuteMs });
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** The cluster's own CA issued it, and it ended a few minutes ago. */
export async function expired(host: LabHost, pkiDir: string): Promise<HostIdentity> {
  // The CA is as old as the lab, and it began five minutes before.
  return issued(host, await openClusterCa(pkiDir), { nowMs: Date.now() - 4 * minuteMs, lifetimeMs: minuteMs });
}

async function issued(host: LabHost, ca: ClusterCa, times: { readonly nowMs: number; readonly lifetimeMs: number }): Promise<HostIdentity> {
  const own = await identityOf(host);
  const privateKeyPem = createHostKey();
  const requestPem = await createHostRequest(host.name, privateKeyPem);
  const made = await ca.issueHost({ requestPem, hostId: host.name, addresses: addressesOf(host), ...times });
  const { certificatePem, notAfterMs } = made;
  const known = own.intermediatesPem.includes(made.intermediatesPem);
  return {
    ...own,
    certificatePem,
    privateKeyPem,
    notAfterMs,
    intermediatesPem: known ? own.intermediatesPem : own.intermediatesPem + made.intermediatesPem,
  };
}
