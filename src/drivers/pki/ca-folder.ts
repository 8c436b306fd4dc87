import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PlimsollError } from '#core/model/result.ts';
import { createRoot, subjectKeyId, type CertifiedKey } from './certificates.ts';
import { createDurably, ensurePrivateDir, readIfPresent, readPrivateIfPresent, removeDurably, replaceDurably } from './durable-file.ts';
import { pemBlocks } from './pem.ts';
import { importKeyPair, x509 } from './x509.ts';

const rootFile = 'root.crt';
const rootKeyFile = 'root.key';
const rootListFile = 'root.crl';
const intermediatesDir = 'intermediates';
/** What plimsoll 0.1 kept: one CA for everything, key and certificate in one file. */
const oldFile = 'ca.pem';

const restore = 'restore it from a backup.';

/**
 * The files of a cluster's authority (folders 0700, files 0600, each replaced atomically):
 *
 *     root.crt               the root's certificate: the trust anchor of every host
 *     root.key               its key. Take it away and keep it offline; put it back when the intermediate must be renewed
 *     root.crl               the root's newest revocation list
 *     intermediates/ID.pem   an intermediate CA, certificate and key in one file, so that a crash leaves both or none
 *     intermediates/ID.crl   its newest revocation list
 *
 * ID is the subject key identifier in hex. `openSigner` keeps `signer.key` and `signer.crt` beside them.
 */
export class CaFolder {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  get rootKeyPath(): string {
    return join(this.dir, rootKeyFile);
  }

  get rootKeyPresent(): boolean {
    return existsSync(this.rootKeyPath);
  }

  /** The root's certificate (PEM); made with its key when the folder is new. Throws `config-invalid`. */
  async openRoot(nowMs: number): Promise<string> {
    await ensurePrivateDir(join(this.dir, intermediatesDir));
    const path = join(this.dir, rootFile);
    const text = (await readIfPresent(path)) ?? (await this.#createRoot(path, nowMs));
    const certificatePem = checkRoot(path, text, nowMs);
    if (this.rootKeyPresent) await this.loadRootKey(certificatePem);
    return certificatePem;
  }

  async #createRoot(path: string, nowMs: number): Promise<string> {
    await this.#refuseRemains(path);
    // Key first: a crash before the certificate leaves a key that the next start certifies.
    await createDurably(this.rootKeyPath, newKeyPem());
    const { keys } = await importKeyPair((await readPrivateIfPresent(this.rootKeyPath)) ?? '');
    await createDurably(path, await createRoot(keys, nowMs));
    return (await readIfPresent(path)) ?? '';
  }

  /** A folder that holds something of a cluster must not quietly become another one. */
  async #refuseRemains(path: string): Promise<void> {
    if (existsSync(join(this.dir, oldFile))) {
      throw new PlimsollError(
        'config-invalid',
        `${join(this.dir, oldFile)} is the CA of plimsoll 0.1, which had no intermediate CA and cannot be used any more. Move it away, start the controller again for a new CA, and join every host with a new token; the hosts' VMs keep running.`,
      );
    }
    if ((await readdir(join(this.dir, intermediatesDir))).some((name) => name.endsWith('.pem'))) {
      throw new PlimsollError('config-invalid', `${path} is missing, but intermediate CAs that it signed are there; ${restore}`);
    }
  }

  /** The root with its key. Throws `config-invalid` when the key was taken away, is damaged or is another one's. */
  async loadRootKey(certificatePem: string): Promise<CertifiedKey> {
    const text = await readPrivateIfPresent(this.rootKeyPath);
    if (text === null) {
      throw new PlimsollError('config-invalid', `${this.rootKeyPath} is missing: put the root key back for as long as this takes.`);
    }
    return await certifiedKey(this.rootKeyPath, certificatePem, text);
  }

  /** All that are there, whatever their dates; newest first. Throws `config-invalid`. */
  async loadIntermediates(rootPem: string): Promise<readonly CertifiedKey[]> {
    const root = new X509Certificate(rootPem);
    const names = (await readdir(join(this.dir, intermediatesDir))).filter((name) => name.endsWith('.pem'));
    const loaded = await Promise.all(names.map((name) => this.#loadIntermediate(join(this.dir, intermediatesDir, name), root)));
    return loaded.toSorted((a, b) => b.certificate.notBefore.getTime() - a.certificate.notBefore.getTime());
  }

  async #loadIntermediate(path: string, root: X509Certificate): Promise<CertifiedKey> {
    const text = (await readPrivateIfPresent(path)) ?? '';
    const certificatePem = pemBlocks(text, 'CERTIFICATE')[0] ?? '';
    const key = await certifiedKey(path, certificatePem, text);
    if (!new X509Certificate(certificatePem).verify(root.publicKey)) {
      throw new PlimsollError('config-invalid', `The CA in ${path} was not signed by the root in ${this.dir}; ${restore}`);
    }
    return key;
  }

  async saveIntermediate(certificatePem: string, privateKeyPem: string): Promise<CertifiedKey> {
    const id = subjectKeyId(new x509.X509Certificate(certificatePem));
    const path = join(this.dir, intermediatesDir, `${id}.pem`);
    await replaceDurably(path, `${certificatePem}${privateKeyPem}`);
    return await certifiedKey(path, certificatePem, privateKeyPem);
  }

  /** The key of a CA that has ended is of no use to anybody but a thief. */
  async removeIntermediate(id: string): Promise<void> {
    await removeDurably(join(this.dir, intermediatesDir, `${id}.crl`));
    await removeDurably(join(this.dir, intermediatesDir, `${id}.pem`));
  }

  rootList(): Promise<string | null> {
    return readIfPresent(join(this.dir, rootListFile));
  }

  saveRootList(crlPem: string): Promise<void> {
    return replaceDurably(join(this.dir, rootListFile), crlPem);
  }

  list(id: string): Promise<string | null> {
    return readIfPresent(join(this.dir, intermediatesDir, `${id}.crl`));
  }

  saveList(id: string, crlPem: string): Promise<void> {
    return replaceDurably(join(this.dir, intermediatesDir, `${id}.crl`), crlPem);
  }
}

export function newKeyPem(): string {
  return generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}

async function certifiedKey(path: string, certificatePem: string, keyText: string): Promise<CertifiedKey> {
  const privateKeyPem = pemBlocks(keyText, 'PRIVATE KEY')[0];
  const certificate = certificatePem === '' || privateKeyPem === undefined ? null : parse(path, certificatePem);
  if (certificate === null || privateKeyPem === undefined) {
    throw new PlimsollError('config-invalid', `${path} does not hold what it should; ${restore}`);
  }
  const { keys } = await importKeyPair(privateKeyPem);
  const own = await x509.PublicKey.create(keys.publicKey);
  if (!Buffer.from(own.rawData).equals(Buffer.from(certificate.publicKey.rawData))) {
    throw new PlimsollError('config-invalid', `The key in ${path} does not belong to its certificate; ${restore}`);
  }
  const keyObject = createPrivateKey(privateKeyPem);
  return { certificate, certificatePem, privateKey: keys.privateKey, keyObject, id: subjectKeyId(certificate) };
}

function parse(path: string, certificatePem: string): x509.X509Certificate {
  try {
    return new x509.X509Certificate(certificatePem);
  } catch (error) {
    throw new PlimsollError('config-invalid', `The certificate in ${path} is damaged; ${restore}`, { cause: error });
  }
}

function checkRoot(path: string, text: string, nowMs: number): string {
  const certificatePem = pemBlocks(text, 'CERTIFICATE')[0] ?? '';
  try {
    const certificate = new X509Certificate(certificatePem);
    if (certificate.ca && certificate.verify(certificate.publicKey) && certificate.validToDate.getTime() > nowMs) return certificatePem;
  } catch (error) {
    throw new PlimsollError('config-invalid', `The certificate in ${path} is damaged; ${restore}`, { cause: error });
  }
  throw new PlimsollError(
    'config-invalid',
    `The certificate in ${path} has ended or is not a CA's; create a new cluster CA and join the hosts again.`,
  );
}
