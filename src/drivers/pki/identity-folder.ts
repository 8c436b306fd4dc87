import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { lstat, readlink, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { PlimsollError } from '#core/model/result.ts';
import type { HostIdentity } from '#core/ports.ts';
import { ensurePrivateDir, readIfPresent, readPrivateIfPresent, replaceDurably } from './durable-file.ts';
import { isDnsName } from './names.ts';

const caFile = 'ca.crt';
const certificateFile = 'host.crt';
const keyFile = 'host.key';
const libvirtDir = 'libvirt';

/** The names libvirt looks for under the `pkipath` of a connection URI. */
const libvirtLinks = [
  ['cacert.pem', caFile],
  ['clientcert.pem', certificateFile],
  ['clientkey.pem', keyFile],
] as const;

/**
 * Writes the identity (folder 0700, files 0600): `ca.crt`, `host.key`, `host.crt`, and `libvirt/` with the links
 * that libvirt's `?pkipath=` wants. Each file is replaced atomically, the certificate last; a crash between key
 * and certificate leaves a pair that `loadIdentity` refuses.
 */
export async function saveIdentity(dir: string, identity: HostIdentity, nowMs: number = Date.now()): Promise<void> {
  checkIdentity('The new identity', identity.caPem, identity.certificatePem, identity.privateKeyPem, nowMs);
  await ensurePrivateDir(dir);
  await replaceDurably(join(dir, caFile), identity.caPem);
  await replaceDurably(join(dir, keyFile), identity.privateKeyPem);
  await replaceDurably(join(dir, certificateFile), identity.certificatePem);
  await ensurePrivateDir(join(dir, libvirtDir));
  for (const [name, file] of libvirtLinks) await ensureLink(join(dir, libvirtDir, name), join('..', file));
}

/**
 * Reads and checks the identity of `dir`. Throws `config-invalid` when a file is missing or damaged, when the
 * certificate is expired, not yet valid or of another CA, or when key and certificate do not belong together.
 */
export async function loadIdentity(dir: string, nowMs: number = Date.now()): Promise<HostIdentity> {
  const caPem = present(dir, caFile, await readIfPresent(join(dir, caFile)));
  const certificatePem = present(dir, certificateFile, await readIfPresent(join(dir, certificateFile)));
  const privateKeyPem = present(dir, keyFile, await readPrivateIfPresent(join(dir, keyFile)));
  const hostId = checkIdentity(`The identity in ${dir}`, caPem, certificatePem, privateKeyPem, nowMs);
  return { hostId, certificatePem, privateKeyPem, caPem };
}

function present(dir: string, file: string, text: string | null): string {
  if (text === null)
    throw new PlimsollError('config-invalid', `${join(dir, file)} is missing; join this host to the cluster with a new token.`);
  return text;
}

/** Returns the host's name, the certificate's common name. */
function checkIdentity(what: string, caPem: string, certificatePem: string, privateKeyPem: string, nowMs: number): string {
  const rejoin = 'join this host to the cluster with a new token.';
  const ca = parse(`${what}: the CA certificate`, () => new X509Certificate(caPem));
  const certificate = parse(`${what}: the host certificate`, () => new X509Certificate(certificatePem));
  const key: KeyObject = parse(`${what}: the private key`, () => createPrivateKey(privateKeyPem));
  if (!certificate.checkPrivateKey(key)) {
    throw new PlimsollError('config-invalid', `${what} has a key that does not belong to its certificate; ${rejoin}`);
  }
  if (!ca.ca || !certificate.checkIssued(ca) || !certificate.verify(ca.publicKey)) {
    throw new PlimsollError('config-invalid', `${what} has a certificate that the cluster CA did not sign; ${rejoin}`);
  }
  for (const [name, one] of [
    ['CA', ca],
    ['host', certificate],
  ] as const) {
    if (one.validToDate.getTime() <= nowMs) {
      throw new PlimsollError('config-invalid', `${what}: the ${name} certificate expired on ${one.validToDate.toISOString()}; ${rejoin}`);
    }
    if (one.validFromDate.getTime() > nowMs) {
      throw new PlimsollError(
        'config-invalid',
        `${what}: the ${name} certificate is valid from ${one.validFromDate.toISOString()} only; set this host's clock.`,
      );
    }
  }
  const hostId = /^CN=(.+)$/m.exec(certificate.subject)?.[1] ?? '';
  if (!isDnsName(hostId)) throw new PlimsollError('config-invalid', `${what} has no host name in its certificate; ${rejoin}`);
  return hostId;
}

function parse<Value>(what: string, read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    throw new PlimsollError('config-invalid', `${what} is damaged; join this host to the cluster with a new token.`, { cause: error });
  }
}

async function ensureLink(path: string, target: string): Promise<void> {
  try {
    const stat = await lstat(path);
    if (stat.isSymbolicLink() && (await readlink(path)) === target) return;
    await unlink(path);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  await symlink(target, path);
}
