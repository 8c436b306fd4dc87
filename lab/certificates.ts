import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hostDirectory } from './layout.ts';
import type { Layout } from './layout.ts';
import type { LabRecord } from './record.ts';
import { must } from './process.ts';

/**
 * Certificates of a lab without Plimsoll, in the places where a join would put them: ca.crt, host.crt, host.key and, for
 * libvirt's client side (`?pkipath=`), libvirt/{cacert,clientcert,clientkey}.pem.
 */
export async function makeCertificates(lab: Layout, record: LabRecord, signal?: AbortSignal): Promise<void> {
  const folder = join(lab.runDirectory, 'ca');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const openssl = (args: readonly string[]): Promise<string> => must(['openssl', ...args], { signal, timeoutMs: 20_000 });
  const newKey = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30'];
  const ca = ['-keyout', join(folder, 'ca.key'), '-out', join(folder, 'ca.crt'), '-subj', `/O=Plimsoll lab/CN=lab ${lab.name} CA`];
  await openssl([...newKey, ...ca, '-addext', 'keyUsage=critical,keyCertSign,cRLSign']);
  for (const host of record.hosts) {
    const pki = join(hostDirectory(lab, host.name), 'etc-plimsoll/pki');
    const names = `DNS:${host.name},IP:${host.underlay},IP:${host.protected}`;
    const output = ['-keyout', join(pki, 'host.key'), '-out', join(pki, 'host.crt'), '-subj', `/O=Plimsoll lab/CN=${host.name}`];
    const issuer = ['-CA', join(folder, 'ca.crt'), '-CAkey', join(folder, 'ca.key')];
    const subject = ['-addext', `subjectAltName=${names}`, '-addext', 'basicConstraints=critical,CA:FALSE'];
    // libvirtd refuses a certificate whose key usage lacks key encipherment, also where TLS 1.3 never uses it.
    const usage = ['-addext', 'keyUsage=critical,digitalSignature,keyEncipherment', '-addext', 'extendedKeyUsage=serverAuth,clientAuth'];
    await openssl([...newKey, ...output, ...issuer, ...subject, ...usage]);
    await cp(join(folder, 'ca.crt'), join(pki, 'ca.crt'));
    await mkdir(join(pki, 'libvirt'), { recursive: true });
    const client = [
      ['ca.crt', 'cacert.pem'],
      ['host.crt', 'clientcert.pem'],
      ['host.key', 'clientkey.pem'],
    ] as const;
    for (const [from, to] of client) await cp(join(pki, from), join(pki, 'libvirt', to));
  }
  await rm(join(folder, 'ca.srl'), { force: true });
  await writeFile(join(folder, 'README'), 'The certificate authority of a lab that was started without Plimsoll.\n');
}
