import type { HostIdentity } from '#core/ports.ts';
import { type Leaf, TestPki } from './test-pki.ts';

/** Host identities of one cluster, and of hosts that lie. */
export interface Identities {
  readonly pki: TestPki;
  of(hostId: string): Promise<HostIdentity>;
  /** Has the right name, key and expectations, but a certificate of another cluster's CA. */
  rogue(hostId: string): Promise<HostIdentity>;
  expired(hostId: string): Promise<HostIdentity>;
  /** The same identity with lists that name these certificates. */
  revoking(identity: HostIdentity, ...revoked: readonly HostIdentity[]): Promise<HostIdentity>;
}

export async function createIdentities(): Promise<Identities> {
  const [pki, other] = await Promise.all([TestPki.create('cluster'), TestPki.create('rogue')]);
  const crlPems = await pki.lists();
  const serials = new Map<string, string>();
  const identityOf = (hostId: string, leaf: Leaf, intermediatesPem = pki.intermediatePem): HostIdentity => {
    const { certificatePem, privateKeyPem, notAfterMs } = leaf;
    serials.set(certificatePem, leaf.serialNumber);
    return { hostId, certificatePem, privateKeyPem, caPem: pki.rootPem, intermediatesPem, crlPems, notAfterMs };
  };
  return {
    pki,
    of: async (hostId) => identityOf(hostId, await pki.issue({ name: hostId })),
    rogue: async (hostId) => identityOf(hostId, await other.issue({ name: hostId }), pki.intermediatePem + other.intermediatePem),
    expired: async (hostId) => identityOf(hostId, await pki.issue({ name: hostId, notAfterMs: Date.now() - 60_000 })),
    revoking: async (identity, ...revoked) => ({
      ...identity,
      crlPems: await pki.lists(revoked.map(({ certificatePem }) => serials.get(certificatePem) ?? '')),
    }),
  };
}
