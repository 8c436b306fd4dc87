import { generateKeyPairSync, randomBytes, X509Certificate, type webcrypto } from 'node:crypto';
import { join } from 'node:path';
import type { HostAddresses, HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import { createDurably, ensurePrivateDir, readPrivateIfPresent } from './durable-file.ts';
import { createHostKey } from './host-key.ts';
import { checkAddress, checkHostId, controllerName, isDnsName } from './names.ts';
import { fingerprintOf, pemBlocks } from './pem.ts';
import { importKeyPair, signingAlgorithmOf, x509 } from './x509.ts';

const caLifetimeMs = 10 * 365 * 24 * 3_600_000;
/** Certificates are valid from a little before now, so that a host whose clock is behind accepts them at once. */
const backdateMs = 5 * 60_000;
/** A P-384 request is about 700 bytes. */
const requestCharactersMax = 8 * 1024;
const caFile = 'ca.pem';

export interface HostCertificateRequest {
  readonly csrPem: string;
  readonly hostId: HostId;
  readonly addresses: Pick<HostAddresses, 'underlay' | 'protected'>;
  readonly lifetimeMs: number;
  readonly nowMs: number;
}

export interface ControllerCertificateRequest {
  /** DNS names under which agents dial the controller, beside `plimsoll-controller`. */
  readonly names: readonly string[];
  /** IP addresses under which agents dial the controller. */
  readonly addresses: readonly string[];
  readonly lifetimeMs: number;
  readonly nowMs: number;
}

/** The cluster's certificate authority: ECDSA P-384, no intermediate. */
export interface ClusterCa {
  readonly certificatePem: string;
  /** `sha256:` and the lower-case hex SHA-256 of the certificate's DER: what a joining host pins. */
  readonly fingerprint: string;
  /**
   * One certificate for agent, libvirt and IKEv2. Checks the request's proof of possession and takes only the
   * public key from it: name and addresses are the controller's knowledge. Throws `input-invalid`.
   */
  issueHost(request: HostCertificateRequest): Promise<string>;
  /** A new P-256 key with its certificate for the controller's listener. Throws `input-invalid`. */
  issueController(request: ControllerCertificateRequest): Promise<{ readonly certificatePem: string; readonly privateKeyPem: string }>;
}

/**
 * Loads the CA of `dir`, or creates it (folder 0700, `ca.pem` 0600, on disk when this resolves). Key and
 * certificate are one file, so a crash leaves both or none. Throws `config-invalid` when the file is damaged.
 */
export async function openClusterCa(dir: string, nowMs: number = Date.now()): Promise<ClusterCa> {
  await ensurePrivateDir(dir);
  const path = join(dir, caFile);
  const existing = await readPrivateIfPresent(path);
  if (existing !== null) return await loadCa(path, existing, nowMs);
  const created = await createCa(nowMs);
  if (await createDurably(path, created)) return await loadCa(path, created, nowMs);
  const winner = await readPrivateIfPresent(path);
  return await loadCa(path, winner ?? '', nowMs);
}

async function createCa(nowMs: number): Promise<string> {
  const privateKeyPem = generateKeyPairSync('ec', { namedCurve: 'secp384r1' })
    .privateKey.export({ format: 'pem', type: 'pkcs8' })
    .toString();
  const { keys } = await importKeyPair(privateKeyPem);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    // The suffix tells the CAs of two clusters apart where only names are shown (libvirt's and charon's logs).
    name: [{ CN: [`Plimsoll cluster CA ${randomBytes(4).toString('hex')}`] }],
    serialNumber: newSerialNumber(),
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + caLifetimeMs),
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-384' },
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return `${certificate.toString('pem')}\n${privateKeyPem}`;
}

async function loadCa(path: string, text: string, nowMs: number): Promise<ClusterCa> {
  const certificatePem = pemBlocks(text, 'CERTIFICATE')[0];
  const privateKeyPem = pemBlocks(text, 'PRIVATE KEY')[0];
  if (certificatePem === undefined || privateKeyPem === undefined) {
    throw new PlimsollError('config-invalid', `${path} does not hold the cluster CA's certificate and key; restore it from a backup.`);
  }
  const { keys } = await importKeyPair(privateKeyPem);
  const certificate = parseCa(path, certificatePem, new Date(nowMs));
  const own = await x509.PublicKey.create(keys.publicKey);
  if (!Buffer.from(own.rawData).equals(certificate.publicKey.export({ format: 'der', type: 'spki' }))) {
    throw new PlimsollError('config-invalid', `The key in ${path} does not belong to its certificate; restore the file from a backup.`);
  }
  return new EcdsaClusterCa(certificatePem, keys.privateKey);
}

function parseCa(path: string, certificatePem: string, now: Date): X509Certificate {
  try {
    const certificate = new X509Certificate(certificatePem);
    if (certificate.ca && certificate.validToDate > now) return certificate;
  } catch (error) {
    throw new PlimsollError('config-invalid', `The certificate in ${path} is damaged; restore the file from a backup.`, { cause: error });
  }
  throw new PlimsollError(
    'config-invalid',
    `The certificate in ${path} is expired or not a CA's; create a new cluster CA and join the hosts again.`,
  );
}

interface Leaf {
  readonly commonName: string;
  readonly alternativeNames: readonly { readonly type: 'dns' | 'ip'; readonly value: string }[];
  readonly purposes: readonly string[];
  readonly publicKey: x509.PublicKey;
  readonly lifetimeMs: number;
  readonly nowMs: number;
}

class EcdsaClusterCa implements ClusterCa {
  readonly certificatePem: string;
  readonly fingerprint: string;
  readonly #certificate: x509.X509Certificate;
  readonly #privateKey: webcrypto.CryptoKey;

  constructor(certificatePem: string, privateKey: webcrypto.CryptoKey) {
    this.certificatePem = certificatePem;
    this.#certificate = new x509.X509Certificate(certificatePem);
    this.fingerprint = fingerprintOf(new Uint8Array(this.#certificate.rawData));
    this.#privateKey = privateKey;
  }

  async issueHost(request: HostCertificateRequest): Promise<string> {
    checkHostId(request.hostId);
    const addresses = [...new Set([request.addresses.underlay, request.addresses.protected])];
    addresses.forEach(checkAddress);
    return await this.#issue({
      commonName: request.hostId,
      alternativeNames: [{ type: 'dns', value: request.hostId }, ...addresses.map((value) => ({ type: 'ip' as const, value }))],
      purposes: [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth],
      publicKey: await publicKeyOfRequest(request.csrPem),
      lifetimeMs: request.lifetimeMs,
      nowMs: request.nowMs,
    });
  }

  async issueController(
    request: ControllerCertificateRequest,
  ): Promise<{ readonly certificatePem: string; readonly privateKeyPem: string }> {
    const wrong = request.names.find((name) => !isDnsName(name));
    if (wrong !== undefined)
      throw new PlimsollError('input-invalid', `${JSON.stringify(wrong.slice(0, 64))} is not a DNS name in lower case.`);
    request.addresses.forEach(checkAddress);
    const privateKeyPem = createHostKey();
    const { keys } = await importKeyPair(privateKeyPem);
    const certificatePem = await this.#issue({
      commonName: controllerName,
      alternativeNames: [
        ...[...new Set([controllerName, ...request.names])].map((value) => ({ type: 'dns' as const, value })),
        ...[...new Set(request.addresses)].map((value) => ({ type: 'ip' as const, value })),
      ],
      // Never a client: the controller's certificate opens no agent's line.
      purposes: [x509.ExtendedKeyUsage.serverAuth],
      publicKey: await x509.PublicKey.create(keys.publicKey),
      lifetimeMs: request.lifetimeMs,
      nowMs: request.nowMs,
    });
    return { certificatePem, privateKeyPem };
  }

  async #issue(leaf: Leaf): Promise<string> {
    if (!Number.isFinite(leaf.lifetimeMs) || leaf.lifetimeMs <= 0) {
      throw new PlimsollError('input-invalid', `A certificate cannot live for ${leaf.lifetimeMs} ms; give a positive lifetime.`);
    }
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: newSerialNumber(),
      subject: [{ CN: [leaf.commonName] }],
      issuer: this.#certificate.subjectName,
      notBefore: new Date(leaf.nowMs - backdateMs),
      notAfter: new Date(Math.min(leaf.nowMs + leaf.lifetimeMs, this.#certificate.notAfter.getTime())),
      publicKey: leaf.publicKey,
      signingKey: this.#privateKey,
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-384' },
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        // Not critical: libvirt 9.0 refuses a critical key usage without keyEncipherment ("usage does not permit
        // key encipherment"), which RFC 8813 section 3 forbids for ECDSA keys; when not critical it only warns.
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, false),
        new x509.ExtendedKeyUsageExtension([...leaf.purposes], false),
        new x509.SubjectAlternativeNameExtension([...leaf.alternativeNames]),
        await x509.SubjectKeyIdentifierExtension.create(leaf.publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey),
      ],
    });
    return `${certificate.toString('pem')}\n`;
  }
}

async function publicKeyOfRequest(csrPem: string): Promise<x509.PublicKey> {
  const advice = 'create a new request with the plimsoll agent.';
  if (csrPem.length > requestCharactersMax) throw new PlimsollError('input-invalid', `The certificate request is too large; ${advice}`);
  let request: x509.Pkcs10CertificateRequest;
  let proven: boolean;
  try {
    request = new x509.Pkcs10CertificateRequest(csrPem);
    proven = await request.verify();
  } catch (error) {
    throw new PlimsollError('input-invalid', `The certificate request cannot be read; ${advice}`, { cause: error });
  }
  if (!proven) throw new PlimsollError('input-invalid', `The certificate request is not signed by its own key; ${advice}`);
  const algorithm = request.publicKey.algorithm;
  const curve = 'namedCurve' in algorithm && typeof algorithm.namedCurve === 'string' ? algorithm.namedCurve : '';
  if (algorithm.name !== 'ECDSA' || signingAlgorithmOf(curve) === null) {
    throw new PlimsollError(
      'input-invalid',
      `The certificate request has a ${algorithm.name} ${curve} key, not ECDSA P-256 or P-384; ${advice}`,
    );
  }
  return request.publicKey;
}

/** Positive and unguessable (RFC 5280 section 4.1.2.2): 127 random bits, the first byte never 0. */
function newSerialNumber(): string {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial.toString('hex');
}
