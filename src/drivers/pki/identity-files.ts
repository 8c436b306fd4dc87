import { lstat, readdir, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PlimsollError } from '#core/model/result.ts';
import {
  ensurePrivateDir,
  placeLink,
  readIfPresent,
  readPrivateIfPresent,
  removeDurably,
  replaceDurably,
  syncDir,
} from './durable-file.ts';
import type { IdentityParts } from './identity-check.ts';
import { pemBlocks } from './pem.ts';

const caFile = 'ca.crt';
const bundleFile = 'ca-bundle.crt';
const certificateFile = 'host.crt';
const keyFile = 'host.key';
const nextKeyFile = 'host.key.next';
const listsFile = 'crl.pem';
const pairsDir = 'pairs';
const currentLink = 'current';

/** Links for programs that look for fixed names: [folder, name, what it stands for]. */
const links = [
  // Of libvirt's clients, under the `pkipath` of a connection URI (virnettlscontext.c).
  ['libvirt', 'cacert.pem', bundleFile],
  ['libvirt', 'cacrl.pem', listsFile],
  ['libvirt', 'clientcert.pem', certificateFile],
  ['libvirt', 'clientkey.pem', keyFile],
  // Of QEMU's `tls-creds-x509`, in qemu.conf's `migrate_tls_x509_cert_dir`.
  ['qemu', 'ca-cert.pem', bundleFile],
  ['qemu', 'ca-crl.pem', listsFile],
  ['qemu', 'server-cert.pem', certificateFile],
  ['qemu', 'server-key.pem', keyFile],
  ['qemu', 'client-cert.pem', certificateFile],
  ['qemu', 'client-key.pem', keyFile],
] as const;

/** What is on disk; null for what is not there. */
export interface StoredIdentity {
  readonly caPem: string | null;
  readonly bundlePem: string | null;
  /** Leaf and its issuer. */
  readonly chainPem: string | null;
  readonly privateKeyPem: string | null;
  readonly crlPem: string | null;
}

/**
 * A host's identity as files (folders 0700, files 0600), each replaced atomically:
 *
 *     ca.crt          the root: the one trust anchor
 *     ca-bundle.crt   the root and the intermediate CAs, for libvirt and QEMU, which take no CA from the peer
 *     crl.pem         the newest revocation list of each CA
 *     pairs/ID/       a key with its certificate (leaf and issuer); ID begins the leaf's SHA-256
 *     current         link to the pair in use: switching it changes key and certificate at once
 *     host.crt, host.key            links to the files of the current pair
 *     host.key.next   a new key that waits for its certificate
 *     libvirt/, qemu/ links under the names that these programs look for
 *
 * A reader that opens key and certificate around a switch can get one of each: it reads again after the agent has
 * told it to, so the pair before the current one is kept until the next switch.
 */
export class IdentityFiles {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  at(file: string): string {
    return join(this.dir, file);
  }

  async read(): Promise<StoredIdentity> {
    return {
      caPem: await readIfPresent(this.at(caFile)),
      bundlePem: await readIfPresent(this.at(bundleFile)),
      chainPem: await readIfPresent(this.at(certificateFile)),
      privateKeyPem: await readPrivateIfPresent(this.at(keyFile)),
      crlPem: await readIfPresent(this.at(listsFile)),
    };
  }

  nextKey(): Promise<string | null> {
    return readPrivateIfPresent(this.at(nextKeyFile));
  }

  saveNextKey(privateKeyPem: string): Promise<void> {
    return replaceDurably(this.at(nextKeyFile), privateKeyPem);
  }

  removeNextKey(): Promise<void> {
    return removeDurably(this.at(nextKeyFile));
  }

  /** Writes a pair beside the current one and then switches to it. */
  async savePair(id: string, chainPem: string, privateKeyPem: string): Promise<void> {
    const pair = join(pairsDir, id);
    const previous = await this.#currentPair();
    await ensurePrivateDir(this.at(pair));
    await replaceDurably(this.at(join(pair, keyFile)), privateKeyPem);
    await replaceDurably(this.at(join(pair, certificateFile)), chainPem);
    await syncDir(this.at(pairsDir));
    await placeLink(this.at(currentLink), pair);
    await syncDir(this.dir);
    if (previous !== id) await this.#removePairsBut([id, previous]);
  }

  async #currentPair(): Promise<string> {
    return (await linkTarget(this.at(currentLink)))?.split('/').at(-1) ?? '';
  }

  async #removePairsBut(kept: readonly string[]): Promise<void> {
    const others = (await readdir(this.at(pairsDir))).filter((name) => !kept.includes(name));
    for (const name of others) await rm(join(this.at(pairsDir), name), { recursive: true, force: true });
  }

  async saveRoot(caPem: string): Promise<void> {
    await ensurePrivateDir(this.dir);
    await replaceDurably(this.at(caFile), caPem);
  }

  async saveTrust(caPem: string, intermediatePems: readonly string[], crlPems: readonly string[]): Promise<void> {
    await replaceDurably(this.at(bundleFile), [caPem, ...intermediatePems].join(''));
    // No file at all while there is no list: GnuTLS takes an empty one for a damaged one.
    if (crlPems.length === 0) await removeDurably(this.at(listsFile));
    else await replaceDurably(this.at(listsFile), crlPems.join(''));
  }

  /** Makes what is missing of the links. */
  async ensureLinks(): Promise<void> {
    const wanted = [
      ...[keyFile, certificateFile].map((file) => ({ folder: '.', name: file, target: join(currentLink, file) })),
      ...links.map(([folder, name, file]) => ({ folder, name, target: join('..', file) })),
    ];
    for (const { folder, name, target } of wanted) {
      await ensurePrivateDir(this.at(folder));
      const path = join(this.at(folder), name);
      if ((await linkTarget(path)) !== target) await placeLink(path, target);
    }
    for (const folder of new Set(wanted.map((link) => link.folder))) await syncDir(this.at(folder));
  }
}

/** The parts in a folder; what is missing is named. Throws `config-invalid`. */
export function presentParts(dir: string, stored: StoredIdentity): IdentityParts {
  const present = (file: string, text: string | null): string => {
    if (text !== null) return text;
    throw new PlimsollError('config-invalid', `${join(dir, file)} is missing; join this host to the cluster with a new token.`);
  };
  const caPem = present(caFile, stored.caPem);
  const privateKeyPem = present(keyFile, stored.privateKeyPem);
  const [certificatePem = '', ...issuerPems] = pemBlocks(present(certificateFile, stored.chainPem), 'CERTIFICATE');
  const bundle = pemBlocks(present(bundleFile, stored.bundlePem), 'CERTIFICATE').filter((pem) => pem.trim() !== caPem.trim());
  return { caPem, certificatePem, privateKeyPem, intermediatesPem: [...issuerPems, ...bundle].join('') };
}

/** Null for what is not there or no link. */
async function linkTarget(path: string): Promise<string | null> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : null;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}
