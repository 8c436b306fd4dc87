import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openClusterCa } from '#drivers/pki/cluster-ca.ts';
import { createHostKey, createHostRequest } from '#drivers/pki/host-key.ts';
import { saveIdentity } from '#drivers/pki/identity-folder.ts';
import { hostDirectory } from './layout.ts';
import type { Layout } from './layout.ts';
import type { LabRecord } from './record.ts';

const lifetimeMs = 7 * 24 * 3_600_000;

/**
 * Certificates of a lab without controller and agents, in the places and the form in which a join would leave them. Nobody
 * renews them or the revocation lists: such a lab is good for a week.
 */
export async function makeCertificates(lab: Layout, record: LabRecord, signal?: AbortSignal): Promise<void> {
  const nowMs = Date.now();
  const ca = await openClusterCa(join(lab.runDirectory, 'ca'), nowMs);
  const trust = await ca.trust([], nowMs);
  for (const host of record.hosts) {
    signal?.throwIfAborted();
    const privateKeyPem = createHostKey();
    const requestPem = await createHostRequest(host.name, privateKeyPem);
    const addresses = { underlay: host.underlay, protected: host.protected };
    const { certificatePem } = await ca.issueHost({ requestPem, hostId: host.name, addresses, lifetimeMs, nowMs });
    const folder = join(hostDirectory(lab, host.name), 'etc-plimsoll/pki');
    await mkdir(folder, { recursive: true });
    await saveIdentity(folder, { hostId: host.name, certificatePem, privateKeyPem, caPem: ca.rootPem, ...trust }, nowMs);
  }
}
