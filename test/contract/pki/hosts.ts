import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostIdentity, IssuedCertificate, RevokedCertificate, TrustUpdate } from '#core/ports.ts';
import { certificateFacts } from '#drivers/pki/certificate-facts.ts';
import { openClusterCa, type ClusterCa } from '#drivers/pki/cluster-ca.ts';
import { createHostKey, createHostRequest } from '#drivers/pki/host-key.ts';
import { loadIdentity, saveIdentity } from '#drivers/pki/identity-folder.ts';

const hourMs = 3_600_000;

/** A cluster whose hosts have their identities on disk, as a join leaves them. */
export class PkiCluster {
  readonly ca: ClusterCa;
  readonly dir: string;

  private constructor(ca: ClusterCa, dir: string) {
    this.ca = ca;
    this.dir = dir;
  }

  static async create(): Promise<PkiCluster> {
    const dir = await mkdtemp(join(tmpdir(), 'plimsoll-pki-'));
    // An intermediate CA that could be renewed at any time, and has nine days left.
    return new PkiCluster(await openClusterCa(join(dir, 'ca'), Date.now() - 21 * 24 * hourMs), dir);
  }

  async remove(): Promise<void> {
    await rm(this.dir, { recursive: true });
  }

  folderOf(hostId: string): string {
    return join(this.dir, hostId);
  }

  /** Joins the host, or gives it another certificate with lists that are as they are now. */
  async join(hostId: string, underlay: string, protectedAddress = underlay): Promise<HostIdentity> {
    const privateKeyPem = createHostKey();
    const { certificatePem } = await this.issue(hostId, underlay, await createHostRequest(hostId, privateKeyPem), protectedAddress);
    const trust = await this.trust([]);
    await saveIdentity(this.folderOf(hostId), { hostId, certificatePem, privateKeyPem, caPem: this.ca.rootPem, ...trust });
    return await loadIdentity(this.folderOf(hostId));
  }

  async issue(hostId: string, underlay: string, requestPem: string, protectedAddress = underlay): Promise<IssuedCertificate> {
    const addresses = { underlay, protected: protectedAddress };
    return await this.ca.issueHost({ requestPem, hostId, addresses, lifetimeMs: hourMs, nowMs: Date.now() });
  }

  /** Lists that name these identities. */
  async trust(revoked: readonly HostIdentity[]): Promise<TrustUpdate> {
    const nowMs = Date.now();
    const entries: readonly RevokedCertificate[] = revoked.map(({ certificatePem }) => {
      const { serialNumber, authorityId } = certificateFacts(certificatePem);
      return { serialNumber, authorityId, revokedAtMs: nowMs };
    });
    return await this.ca.trust(entries, nowMs);
  }
}
