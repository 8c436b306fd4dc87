import { type KeyObject, X509Certificate, createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { type Section, type Value, isList, isSection } from '#drivers/strongswan/message.ts';
import { statusIn } from './test-pki.ts';

interface SharedSecret {
  readonly type: string;
  readonly data: Value;
  readonly owners: readonly string[];
}

/** Certificates, lists and keys of one fake charon. */
export class FakeCredentials {
  readonly #keys = new Map<string, KeyObject>();
  readonly #shared = new Map<string, SharedSecret>();
  readonly #certificates: X509Certificate[] = [];
  readonly #lists: Uint8Array[] = [];

  get keyIds(): readonly string[] {
    return [...this.#keys.keys()];
  }

  get sharedIds(): readonly string[] {
    return [...this.#shared.keys()];
  }

  /** False when it is not what its type says. */
  loadCert(type: string, data: Value): boolean {
    if (type === 'X509_CRL') {
      this.#lists.push(Buffer.from(data));
      return true;
    }
    const certificate = readCertificate(data);
    if (certificate !== null) this.#certificates.push(certificate);
    return certificate !== null;
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

  loadShared(message: Section): void {
    const owners = message['owners'];
    const texts = owners !== undefined && isList(owners) ? owners.map((owner) => plainId(String(owner))) : [];
    this.#shared.set(textOf(message, 'id'), { type: textOf(message, 'type'), data: valueOf(message, 'data'), owners: texts });
  }

  /** charon does not tell whether there was one. */
  unloadShared(id: string): void {
    this.#shared.delete(id);
  }

  clear(): void {
    this.#keys.clear();
    this.#shared.clear();
    this.#certificates.length = 0;
    this.#lists.length = 0;
  }

  hasKeyOf(certificate: X509Certificate): boolean {
    return [...this.#keys.values()].some((key) => key.equals(certificate.publicKey));
  }

  /** The secret of exactly these owners, hex; null when there is none. */
  secret(type: string, owners: readonly string[]): string | null {
    const wanted = owners.map(plainId).toSorted().join();
    const found = [...this.#shared.values()].find((key) => key.type === type && key.owners.toSorted().join() === wanted);
    return found === undefined ? null : Buffer.from(found.data).toString('hex');
  }

  /** Whether a chain of what is loaded here, and of what the sender sends along, leads to this root with nobody on it revoked. */
  trusts(certificate: X509Certificate, root: X509Certificate, sender: FakeCredentials, strict: boolean): boolean {
    if (certificate.validToDate < new Date()) return false;
    const good = (one: X509Certificate, ca: X509Certificate): boolean => !strict || statusIn(this.#lists, ca, one) === 'good';
    return [...this.#certificates, ...sender.#certificates].some(
      (ca) => isIssuedBy(certificate, ca) && isIssuedBy(ca, root) && good(certificate, ca) && good(ca, root),
    );
  }
}

function isIssuedBy(certificate: X509Certificate, ca: X509Certificate): boolean {
  return ca.ca && certificate.checkIssued(ca) && certificate.verify(ca.publicKey);
}

export function readCertificate(value: Value): X509Certificate | null {
  try {
    return new X509Certificate(Buffer.from(value));
  } catch {
    return null;
  }
}

/** Without the prefix that says how to read it. */
export function plainId(id: string): string {
  return id.replace(/^fqdn:/, '');
}

export function firstOf(list: Section[string] | undefined): Value {
  return textsOf(list)[0] ?? '';
}

export function textsOf(list: Section[string] | undefined): readonly Value[] {
  return list !== undefined && isList(list) ? list : [];
}

export function sectionOf(section: Section, name: string): Section {
  const found = section[name];
  return isSection(found) ? found : {};
}

export function textOf(section: Section, name: string): string {
  const found = section[name];
  return typeof found === 'string' ? found : '';
}

export function valueOf(section: Section, name: string): Value {
  const found = section[name];
  return typeof found === 'string' || found instanceof Uint8Array ? found : '';
}
