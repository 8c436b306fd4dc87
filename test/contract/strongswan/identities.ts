import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostIdentity } from '#core/ports.ts';
import { type ClusterCa, openClusterCa } from '#drivers/pki/cluster-ca.ts';
import { createHostKey, createHostRequest } from '#drivers/pki/host-key.ts';

/** Host identities of one cluster, and of a CA that the cluster does not trust. */
export interface Identities {
  of(hostId: string): Promise<HostIdentity>;
  /** Has the right name, key and expectations, but a certificate of the wrong CA. */
  rogue(hostId: string): Promise<HostIdentity>;
  remove(): Promise<void>;
}

export async function createIdentities(): Promise<Identities> {
  const directory = await mkdtemp(join(tmpdir(), 'plimsoll-identities-'));
  const cluster = await openClusterCa(join(directory, 'cluster'));
  const rogue = await openClusterCa(join(directory, 'rogue'));
  return {
    of: (hostId) => issue(cluster, cluster, hostId),
    rogue: (hostId) => issue(rogue, cluster, hostId),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

async function issue(issuer: ClusterCa, trusted: ClusterCa, hostId: string): Promise<HostIdentity> {
  const privateKeyPem = createHostKey();
  const certificatePem = await issuer.issueHost({
    csrPem: await createHostRequest(hostId, privateKeyPem),
    hostId,
    addresses: { underlay: '10.91.0.9', protected: '10.92.0.9' },
    lifetimeMs: 3_600_000,
    nowMs: Date.now(),
  });
  return { hostId, certificatePem, privateKeyPem, caPem: trusted.certificatePem };
}
