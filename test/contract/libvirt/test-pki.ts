import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Certificates for daemons that listen at the given addresses: one folder per address under `folder`, named after it, with the
 * names that libvirt wants (cacert.pem, servercert.pem, ...) and those that QEMU wants (ca-cert.pem, server-cert.pem, ...).
 */
export interface TestPki {
  readonly folderOf: (address: string) => string;
  /** A new key and certificate of the same CA, in place of the old ones. */
  readonly renew: (address: string) => void;
  readonly remove: () => void;
}

/** A throw-away CA and, for each address, one key and certificate that serves as server and as client. */
export function createTestPki(addresses: readonly string[]): TestPki {
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-pki-'));
  const openssl = (...args: readonly string[]): void => {
    execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], timeout: 30_000 });
  };
  openssl(...newKey('ca'), '-x509', '-days', '2', '-subj', '/CN=contract CA', '-out', 'ca.pem', '-addext', 'keyUsage=critical,keyCertSign');
  const renew = (address: string): void => {
    writeFileSync(join(folder, 'ext'), `subjectAltName=IP:${address}\nextendedKeyUsage=serverAuth,clientAuth\n`);
    openssl(...newKey('leaf'), '-subj', `/CN=${address}`, '-out', 'leaf.csr');
    openssl('x509', '-req', '-in', 'leaf.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-days', '2', '-extfile', 'ext', '-out', 'leaf.pem');
    for (const dash of ['', '-']) {
      copyFileSync(join(folder, 'ca.pem'), join(folder, address, `ca${dash}cert.pem`));
      for (const role of ['client', 'server']) {
        copyFileSync(join(folder, 'leaf.pem'), join(folder, address, `${role}${dash}cert.pem`));
        copyFileSync(join(folder, 'leaf.key'), join(folder, address, `${role}${dash}key.pem`));
      }
    }
  };
  for (const address of addresses) {
    mkdirSync(join(folder, address));
    renew(address);
  }
  return {
    renew,
    folderOf: (address) => join(folder, address),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function newKey(name: string): readonly string[] {
  return ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`];
}
