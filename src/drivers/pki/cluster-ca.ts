import type { Authority, AuthorityState, CertificateOrder, IssuedCertificate, RevokedCertificate, TrustUpdate } from '#core/ports.ts';
import { PlimsollError } from '#core/model/result.ts';
import { CaFolder, newKeyPem } from './ca-folder.ts';
import { certificateFacts, renewalDueMs } from './certificate-facts.ts';
import { publicKeyOfRequest } from './certificate-request.ts';
import {
  backdateMs,
  createIntermediate,
  createLeaf,
  intermediateLifetimeMs,
  pemOf,
  receiptSigningPurpose,
  type CertifiedKey,
  type Leaf,
} from './certificates.ts';
import { hostPurposes } from './chain.ts';
import { createHostKey } from './host-key.ts';
import { checkAddress, checkHostId, controllerName, isDnsName } from './names.ts';
import { sha256Hex } from './pem.ts';
import { createRevocationList, readRevocationLists } from './revocation-list.ts';
import { importKeyPair, x509 } from './x509.ts';

/** How long hosts may go on with the newest list of an intermediate CA; a new one is made far more often. */
const listLifetimeMs = 7 * 24 * 3_600_000;

export interface ControllerCertificateRequest {
  /** DNS names under which agents dial the controller, beside `plimsoll-controller`. */
  readonly names: readonly string[];
  /** IP addresses under which agents dial the controller. */
  readonly addresses: readonly string[];
  readonly lifetimeMs: number;
  readonly nowMs: number;
}

/** What the controller's listener shows. PEM. */
export interface ControllerTls {
  readonly certificatePem: string;
  /** The CA that signed it. */
  readonly intermediatesPem: string;
  readonly privateKeyPem: string;
  /** The root. */
  readonly caPem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** The cluster's certificate authority: an ECDSA P-384 root and its intermediates. Files: see `CaFolder`. */
export interface ClusterCa extends Authority {
  /** The root's certificate. */
  readonly rootPem: string;
  /** `sha256:` and the lower-case hex SHA-256 of the root's DER: what a joining host pins. */
  readonly fingerprint: string;
  /** A new P-256 key with its certificate for the controller's listener. Throws `input-invalid`. */
  issueController(request: ControllerCertificateRequest): Promise<ControllerTls>;
  /** For the key (SPKI PEM) that signs receipts; serves no TLS connection and no IKE. Valid as far back as its CA is. */
  issueSigner(publicKeyPem: string, nowMs: number): Promise<IssuedCertificate>;
}

/**
 * Opens the authority of `dir`, or creates it. Needs the root's key only when there is no intermediate that is
 * valid. Throws `config-invalid` when a file is damaged, missing, or of plimsoll 0.1.
 */
export async function openClusterCa(dir: string, nowMs: number = Date.now()): Promise<ClusterCa> {
  const folder = new CaFolder(dir);
  const rootPem = await folder.openRoot(nowMs);
  const ca = new FolderClusterCa(folder, rootPem, await folder.loadIntermediates(rootPem));
  await ca.begin(nowMs);
  return ca;
}

class FolderClusterCa implements ClusterCa {
  readonly rootPem: string;
  readonly fingerprint: string;
  readonly #folder: CaFolder;
  readonly #root: x509.X509Certificate;
  /** Newest first. */
  #intermediates: readonly CertifiedKey[];
  #tail: Promise<unknown> = Promise.resolve();

  constructor(folder: CaFolder, rootPem: string, intermediates: readonly CertifiedKey[]) {
    this.rootPem = rootPem;
    this.#folder = folder;
    this.#root = new x509.X509Certificate(rootPem);
    this.fingerprint = `sha256:${sha256Hex(new Uint8Array(this.#root.rawData))}`;
    this.#intermediates = intermediates;
  }

  /** Makes sure of an intermediate, and of the root's list, which a crash may have kept from being written. */
  async begin(nowMs: number): Promise<void> {
    await this.#dropEnded(nowMs);
    if (!this.#intermediates.some((one) => isValid(one, nowMs))) await this.#newIntermediate(nowMs);
    if ((await this.#folder.rootList()) === null) await this.#renewRootList(await this.#folder.loadRootKey(this.rootPem), nowMs);
  }

  async issueHost(order: CertificateOrder): Promise<IssuedCertificate> {
    checkHostId(order.hostId);
    const addresses = [...new Set([order.addresses.underlay, order.addresses.protected])];
    addresses.forEach(checkAddress);
    const issued = await this.#issue({
      commonName: order.hostId,
      alternativeNames: [{ type: 'dns', value: order.hostId }, ...addresses.map((value) => ({ type: 'ip' as const, value }))],
      purposes: hostPurposes,
      publicKey: await publicKeyOfRequest(order.requestPem),
      ...datesOf(order),
    });
    // The other CAs too: the host gets a list of each, and takes no list of a CA that it does not know.
    const others = this.#intermediates.map((one) => one.certificatePem).filter((pem) => pem !== issued.intermediatesPem);
    return { ...issued, intermediatesPem: [issued.intermediatesPem, ...others].join('') };
  }

  async issueController(request: ControllerCertificateRequest): Promise<ControllerTls> {
    const wrong = request.names.find((name) => !isDnsName(name));
    if (wrong !== undefined)
      throw new PlimsollError('input-invalid', `${JSON.stringify(wrong.slice(0, 64))} is not a DNS name in lower case.`);
    request.addresses.forEach(checkAddress);
    const privateKeyPem = createHostKey();
    const { keys } = await importKeyPair(privateKeyPem);
    const { certificatePem, intermediatesPem, notBeforeMs, notAfterMs } = await this.#issue({
      commonName: controllerName,
      alternativeNames: [
        ...[...new Set([controllerName, ...request.names])].map((value) => ({ type: 'dns' as const, value })),
        ...[...new Set(request.addresses)].map((value) => ({ type: 'ip' as const, value })),
      ],
      // Never a client: the controller's certificate opens no agent's line.
      purposes: [x509.ExtendedKeyUsage.serverAuth],
      publicKey: await x509.PublicKey.create(keys.publicKey),
      ...datesOf(request),
    });
    return { certificatePem, intermediatesPem, privateKeyPem, caPem: this.rootPem, notBeforeMs, notAfterMs };
  }

  async issueSigner(publicKeyPem: string, nowMs: number): Promise<IssuedCertificate> {
    const issuer = this.#issuer(nowMs);
    return await this.#issue({
      commonName: 'plimsoll-receipts',
      alternativeNames: [],
      purposes: [receiptSigningPurpose],
      publicKey: new x509.PublicKey(publicKeyPem),
      // The receipt of a migration that ended while the controller was away is signed later than it ended.
      ...datesIn(issuer),
      nowMs,
    });
  }

  trust(revoked: readonly RevokedCertificate[], nowMs: number): Promise<TrustUpdate> {
    return this.#inTurn(async () => {
      await this.#dropEnded(nowMs);
      this.#issuer(nowMs);
      const rootList = (await this.#folder.rootList()) ?? '';
      const lists: string[] = [];
      for (const one of this.#intermediates) lists.push(await this.#newList(one, revoked, nowMs));
      return { intermediatesPem: this.#intermediates.map((one) => one.certificatePem).join(''), crlPems: [rootList, ...lists] };
    });
  }

  renewIntermediate(nowMs: number): Promise<boolean> {
    return this.#inTurn(async () => {
      await this.#dropEnded(nowMs);
      const [newest] = this.#intermediates;
      if (!this.#folder.rootKeyPresent || (newest !== undefined && nowMs < renewalDueMs(datesIn(newest)))) return false;
      await this.#newIntermediate(nowMs);
      return true;
    });
  }

  state(): AuthorityState {
    return {
      rootSha256: sha256Hex(new Uint8Array(this.#root.rawData)),
      rootNotAfterMs: this.#root.notAfter.getTime(),
      intermediateNotAfterMs: this.#intermediates[0]?.certificate.notAfter.getTime() ?? 0,
      rootKeyPresent: this.#folder.rootKeyPresent,
    };
  }

  async #issue(leaf: Leaf & { readonly nowMs: number }): Promise<IssuedCertificate> {
    const issuer = this.#issuer(leaf.nowMs);
    const certificatePem = pemOf(await createLeaf(issuer, leaf));
    const { serialNumber, sha256, authorityId, notBeforeMs, notAfterMs } = certificateFacts(certificatePem);
    return { certificatePem, intermediatesPem: issuer.certificatePem, serialNumber, sha256, authorityId, notBeforeMs, notAfterMs };
  }

  #issuer(nowMs: number): CertifiedKey {
    const issuer = this.#intermediates.find((one) => isValid(one, nowMs));
    if (issuer !== undefined) return issuer;
    throw new PlimsollError(
      'config-invalid',
      `No intermediate CA is valid at this time, so nothing can be issued: put the root key back as ${this.#folder.rootKeyPath}, with mode 600, and start the controller again.`,
    );
  }

  async #newIntermediate(nowMs: number): Promise<void> {
    if (!this.#folder.rootKeyPresent) {
      throw new PlimsollError(
        'config-invalid',
        `There is no valid intermediate CA, and the root key is away: put it back as ${this.#folder.rootKeyPath}, with mode 600, and start the controller again.`,
      );
    }
    const root = await this.#folder.loadRootKey(this.rootPem);
    const privateKeyPem = newKeyPem();
    const { keys } = await importKeyPair(privateKeyPem);
    const certificatePem = await createIntermediate(root, keys.publicKey, nowMs);
    // The list first: with an intermediate and no list of the root, strict hosts would refuse everybody.
    await this.#renewRootList(root, nowMs);
    this.#intermediates = [await this.#folder.saveIntermediate(certificatePem, privateKeyPem), ...this.#intermediates];
  }

  /** Covers the intermediates, so it ends no sooner than any of them. */
  async #renewRootList(root: CertifiedKey, nowMs: number): Promise<void> {
    const ends = this.#intermediates.map((one) => one.certificate.notAfter.getTime());
    const nextUpdateMs = Math.max(nowMs + intermediateLifetimeMs, ...ends);
    const number = nextNumber(await this.#folder.rootList(), nowMs);
    await this.#folder.saveRootList(
      await createRevocationList(root, { entries: [], number, thisUpdateMs: nowMs - backdateMs, nextUpdateMs }),
    );
  }

  async #newList(issuer: CertifiedKey, revoked: readonly RevokedCertificate[], nowMs: number): Promise<string> {
    const entries = revoked.filter((one) => one.authorityId === issuer.id);
    const number = nextNumber(await this.#folder.list(issuer.id), nowMs);
    const dates = { thisUpdateMs: nowMs - backdateMs, nextUpdateMs: nowMs + listLifetimeMs };
    const crlPem = await createRevocationList(issuer, { entries, number, ...dates });
    await this.#folder.saveList(issuer.id, crlPem);
    return crlPem;
  }

  async #dropEnded(nowMs: number): Promise<void> {
    const ended = this.#intermediates.filter((one) => one.certificate.notAfter.getTime() <= nowMs);
    if (ended.length === 0) return;
    this.#intermediates = this.#intermediates.filter((one) => !ended.includes(one));
    for (const one of ended) await this.#folder.removeIntermediate(one.id);
  }

  #inTurn<Result>(step: () => Promise<Result>): Promise<Result> {
    const done = this.#tail.then(step);
    this.#tail = done.catch(() => null);
    return done;
  }
}

const datesIn = ({ certificate }: CertifiedKey) => ({
  notBeforeMs: certificate.notBefore.getTime(),
  notAfterMs: certificate.notAfter.getTime(),
});

const isValid = ({ certificate }: CertifiedKey, nowMs: number): boolean =>
  certificate.notBefore.getTime() <= nowMs && certificate.notAfter.getTime() > nowMs;

function datesOf({ nowMs, lifetimeMs }: { readonly nowMs: number; readonly lifetimeMs: number }) {
  if (!Number.isFinite(lifetimeMs) || lifetimeMs <= 0) {
    throw new PlimsollError('input-invalid', `A certificate cannot live for ${lifetimeMs} ms; give a positive lifetime.`);
  }
  return { notBeforeMs: nowMs - backdateMs, notAfterMs: nowMs + lifetimeMs, nowMs };
}

/** By the clock, so that it grows also when the file was lost; above the last one, so that it grows also when the clock was set back. */
function nextNumber(previousPem: string | null, nowMs: number): number {
  const previous = previousPem === null ? 0 : Number(readRevocationLists(previousPem)[0]?.number ?? 0n);
  return Math.max(previous + 1, Math.trunc(nowMs));
}
