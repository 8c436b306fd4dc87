import { type KeyObject, X509Certificate, createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { type Section, type Value, isList, isSection } from '#drivers/strongswan/message.ts';

/** Certificates and keys of one fake charon, with the checks that IKE_AUTH makes. */
export class FakeCredentials {
  readonly #keys = new Map<string, KeyObject>();
  readonly #shared = new Set<string>();

  get keyIds(): readonly string[] {
    return [...this.#keys.keys()];
  }

  get sharedIds(): readonly string[] {
    return [...this.#shared];
  }

  /** The identifier of the key; null when it is not one. */
  loadKey(data: Value): string | null {
    try {
      const publicKey = createPublicKey(createPrivateKey(Buffer.from(data)));
      const id = createHash('sha1')
        .update(publicKey.export({ format: 'der', type: 'spki' }))
        .digest('hex');
      this.#keys.set(id, publicKey);
      return id;
    } catch {
      return null;
    }
  }

  unloadKey(id: string): boolean {
    return this.#keys.delete(id);
  }

  loadShared(id: string): void {
    this.#shared.add(id);
  }

  unloadShared(id: string): boolean {
    return this.#shared.delete(id);
  }

  clear(): void {
    this.#keys.clear();
    this.#shared.clear();
  }

  hasKeyOf(certificate: X509Certificate): boolean {
    return [...this.#keys.values()].some((key) => key.equals(certificate.publicKey));
  }
}

export function readCertificate(value: Value): X509Certificate | null {
  try {
    return new X509Certificate(Buffer.from(value));
  } catch {
    return null;
  }
}

/** True when `mine` would be accepted by a connection that expects `theirs`: identity, subject and issuer. */
export function accepts(mine: Section, theirs: Section): boolean {
  const certificate = readCertificate(firstOf(mine['certs']));
  const ca = readCertificate(firstOf(theirs['cacerts']));
  const id = mine['id'];
  if (certificate === null || ca === null || typeof id !== 'string' || id !== theirs['id']) return false;
  return certificate.checkHost(id.replace(/^fqdn:/, '')) !== undefined && certificate.checkIssued(ca) && certificate.verify(ca.publicKey);
}

export function firstOf(list: Section[string] | undefined): Value {
  return (list !== undefined && isList(list) ? list[0] : undefined) ?? '';
}

export function sectionOf(section: Section, name: string): Section {
  const found = section[name];
  return isSection(found) ? found : {};
}
