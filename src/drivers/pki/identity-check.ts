import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { PlimsollError } from '#core/model/result.ts';
import { commonNameOf, parseCertificate } from './certificate-facts.ts';
import { hostPurposes, isIssued, whyNotIssued, whyNotValid, type Chain } from './chain.ts';
import { controllerName, isDnsName } from './names.ts';
import { pemBlocks } from './pem.ts';
import type { RevocationList } from './revocation-list.ts';

/** The parts of an identity, PEM; `intermediatesPem` may hold more CAs than the certificate's own. */
export interface IdentityParts {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly caPem: string;
  readonly intermediatesPem: string;
}

export interface CheckedIdentity {
  readonly hostId: string;
  readonly leaf: X509Certificate;
  /** The leaf alone. */
  readonly certificatePem: string;
  /** The CA that signed the leaf. */
  readonly issuerPem: string;
  readonly chain: Chain;
}

const rejoin = 'join this host to the cluster with a new token.';

/** Everything but dates and lists. Throws `input-invalid`, its message beginning with `what`. */
export function checkIdentity(what: string, parts: IdentityParts): CheckedIdentity {
  const leaf = parseCertificate(`${what}: the host certificate`, parts.certificatePem);
  const root = parseCertificate(`${what}: the root certificate`, parts.caPem);
  const key = parseKey(what, parts.privateKeyPem);
  if (!leaf.checkPrivateKey(key)) {
    throw new PlimsollError('input-invalid', `${what} has a key that does not belong to its certificate; ${rejoin}`);
  }
  const intermediates = pemBlocks(parts.intermediatesPem, 'CERTIFICATE').map((pem) => parseCertificate(`${what}: a CA`, pem));
  const intermediate = intermediates.find((one) => isIssued(leaf, one));
  if (intermediate === undefined) {
    throw new PlimsollError('input-invalid', `${what} has a certificate that none of its intermediate CAs signed; ${rejoin}`);
  }
  const chain = { leaf, intermediate, root };
  const why = whyNotIssued(chain, hostPurposes);
  if (why !== null) throw new PlimsollError('input-invalid', `${what} does not belong to this cluster: ${why}; ${rejoin}`);
  const hostId = commonNameOf(leaf);
  if (!isDnsName(hostId) || hostId === controllerName) {
    throw new PlimsollError('input-invalid', `${what} has no host name in its certificate; ${rejoin}`);
  }
  return { hostId, leaf, certificatePem: leaf.toString(), issuerPem: intermediate.toString(), chain };
}

/** Throws `certificate-expired` or, when it is not valid yet, `config-invalid`. */
export function checkDates(what: string, { chain }: CheckedIdentity, nowMs: number): void {
  const why = whyNotValid(chain, nowMs);
  if (why === null) return;
  const ended = [chain.leaf, chain.intermediate, chain.root].some((one) => one.validToDate.getTime() < nowMs);
  if (ended) throw new PlimsollError('certificate-expired', `${what} cannot be used any more: ${why}; ${rejoin}`);
  throw new PlimsollError('config-invalid', `${what} cannot be used yet: ${why}; set this host's clock.`);
}

/**
 * The intermediate CAs of `intermediatesPem` that have not ended, without doubles, the identity's own first. Ended ones have to
 * go: libvirt 9.0 refuses a CA file with a single expired certificate in it ("The CA certificate … has expired", seen).
 * Throws `input-invalid` for a CA that the root did not sign.
 */
export function usableIntermediates(identity: CheckedIdentity, intermediatesPem: string, nowMs: number): readonly string[] {
  const { root } = identity.chain;
  const given = pemBlocks(intermediatesPem, 'CERTIFICATE').map((pem) => parseCertificate('An intermediate CA', pem));
  const stranger = given.find((one) => !isIssued(one, root));
  if (stranger !== undefined) {
    throw new PlimsollError('input-invalid', 'An intermediate CA is not signed by the root of this cluster; nothing was changed.');
  }
  const usable = given.filter((one) => one.validToDate.getTime() > nowMs).map((one) => one.toString());
  return [...new Set([identity.issuerPem, ...usable])];
}

/** Throws `input-invalid` unless each list is signed by one of these CAs. */
export async function checkLists(lists: readonly RevocationList[], caPems: readonly string[]): Promise<void> {
  for (const list of lists) {
    const signatures = await Promise.all(caPems.map((pem) => list.isSignedBy(pem)));
    if (!signatures.includes(true)) {
      throw new PlimsollError('input-invalid', 'A revocation list is not signed by a CA of this cluster; nothing was changed.');
    }
  }
}

function parseKey(what: string, privateKeyPem: string): KeyObject {
  try {
    return createPrivateKey(privateKeyPem);
  } catch (error) {
    throw new PlimsollError('input-invalid', `${what}: the private key is damaged; ${rejoin}`, { cause: error });
  }
}
