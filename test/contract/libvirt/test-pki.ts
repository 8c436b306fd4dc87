import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Certificates for daemons that listen at the given addresses: one folder per address under `folder`, named after it. */
export interface TestPki {
  readonly folderOf: (address: string) => string;
  readonly remove: () => void;
}

/** A throw-away CA and, for each address, one key and certificate that serves as server and as client. */
export function createTestPki(addresses: readonly string[]): TestPki {
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-pki-'));
  const openssl = (...args: readonly string[]): void => {
    execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], timeout: 30_000 });
  };
  openssl(...newKey('ca'), '-x509', '-days', '2', '-subj', '/CN=contract CA', '-out', 'ca.pem', '-addext', 'keyUsage=critical,keyCertSign');
  for (const address of addresses) {
    mkdirSync(join(folder, address));
    writeFileSync(join(folder, 'ext'), `subjectAltName=IP:${address}\nextendedKeyUsage=serverAuth,clientAuth\n`);
    openssl(...newKey('leaf'), '-subj', `/CN=${address}`, '-out', 'leaf.csr');
    openssl('x509', '-req', '-in', 'leaf.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-days', '2', '-extfile', 'ext', '-out', 'leaf.pem');
    openssl('x509', '-in', 'ca.pem', '-out', `${address}/cacert.pem`);
    for (const role of ['client', 'server']) {
      openssl('x509', '-in', 'leaf.pem', '-out', `${address}/${role}cert.pem`);
      openssl('pkey', '-in', 'leaf.key', '-out', `${address}/${role}key.pem`);
    }
  }
  return { folderOf: (address) => join(folder, address), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

function newKey(name: string): readonly string[] {
  return ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`];
}
