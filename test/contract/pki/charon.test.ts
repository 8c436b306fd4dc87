/** Certificates and revocation lists of a cluster before two real charon: loaded by swanctl, not by a driver of ours. */
import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { HostIdentity, TrustUpdate } from '#core/ports.ts';
import { pemBlocks } from '#drivers/pki/pem.ts';
import type { CharonHost, CharonPair } from '#test/contract/strongswan/charon-pair.ts';
import { startRealPair, whyNoRealCharon } from '#test/contract/strongswan/real-charon.ts';
import { PkiCluster } from './hosts.ts';

const run = promisify(execFile);

describe.runIf(whyNoRealCharon() === undefined)('charon with the identity of a host and revocation = strict', () => {
  let cluster: PkiCluster;
  let pair: CharonPair;
  let hostA: HostIdentity;
  let hostB: HostIdentity;
  let clean: TrustUpdate;
  beforeAll(async () => {
    cluster = await PkiCluster.create();
    pair = await startRealPair();
  });
  afterAll(async () => {
    await pair.stop();
    await cluster.remove();
  });
  beforeEach(async () => {
    hostA = await cluster.join(pair.a.name, pair.a.underlay, pair.a.protected);
    hostB = await cluster.join(pair.b.name, pair.b.underlay, pair.b.protected);
    clean = await cluster.trust([]);
  });

  async function swanctl(host: CharonHost, ...args: readonly string[]): Promise<string> {
    const env = { ...process.env, SWANCTL_DIR: folderOf(host) };
    const { stdout } = await run('swanctl', [...args, '--uri', `unix://${host.socketPath}`], { env, timeout: 30_000 });
    return stdout;
  }

  const folderOf = (host: CharonHost): string => join(cluster.dir, `swanctl-${host.name}`);

  /** Loads exactly this: own leaf and key, root and these CAs, these lists; the only connection is to the peer. */
  async function load(
    host: CharonHost,
    peer: CharonHost,
    identity: HostIdentity,
    { intermediatesPem, crlPems }: TrustUpdate,
  ): Promise<void> {
    const folder = folderOf(host);
    await rm(folder, { recursive: true, force: true });
    const files: Record<string, string> = {
      'x509/host.crt': identity.certificatePem,
      'private/host.key': identity.privateKeyPem,
      'x509ca/root.crt': identity.caPem,
      'swanctl.conf': connection(host, peer),
    };
    pemBlocks(intermediatesPem, 'CERTIFICATE').forEach((pem, index) => (files[`x509ca/intermediate-${index}.crt`] = pem));
    crlPems.forEach((pem, index) => (files[`x509crl/${index}.crl`] = pem));
    for (const name of ['x509', 'x509ca', 'x509crl', 'private']) await mkdir(join(folder, name), { recursive: true });
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 });
    await swanctl(host, '--load-all', '--clear', '--noprompt');
  }

  /** What a running charon is given beside what it has. */
  async function addLists(host: CharonHost, { crlPems }: TrustUpdate): Promise<void> {
    for (const [index, pem] of crlPems.entries()) await writeFile(join(folderOf(host), 'x509crl', `${index}.crl`), pem);
    await swanctl(host, '--load-creds', '--noprompt');
  }

  function connection(host: CharonHost, peer: CharonHost): string {
    return `connections {
  pair {
    version = 2
    local_addrs = ${host.underlay}
    remote_addrs = ${peer.underlay}
    proposals = aes256gcm16-prfsha384-ecp384
    encap = yes
    send_cert = always
    local { auth = pubkey
      certs = host.crt
      id = fqdn:${host.name} }
    remote { auth = pubkey
      id = fqdn:${peer.name}
      cacerts = root.crt
      revocation = strict }
    children { channel { esp_proposals = aes256gcm16-ecp384
      local_ts = ${host.protected}/32
      remote_ts = ${peer.protected}/32 } }
  }
}
`;
  }

  async function initiate(): Promise<boolean> {
    await swanctl(pair.a, '--terminate', '--ike', 'pair').catch(() => '');
    return await swanctl(pair.a, '--initiate', '--child', 'channel', '--timeout', '10').then(
      () => true,
      () => false,
    );
  }

  async function loadBoth(atA: TrustUpdate = clean, atB: TrustUpdate = clean): Promise<void> {
    await load(pair.a, pair.b, hostA, atA);
    await load(pair.b, pair.a, hostB, atB);
  }

  it('is up when both ends have the lists of the root and of the intermediate', async () => {
    await loadBoth();
    expect(await initiate()).toBe(true);
    expect(await swanctl(pair.a, '--list-certs', '--type', 'x509_crl')).toMatch(
      /Plimsoll root CA[^]*Plimsoll intermediate CA|Plimsoll inter[^]*Plimsoll root/,
    );
  });

  it.each(['root', 'intermediate'])('is not up without the list of the %s', async (which) => {
    const lists = which === 'root' ? clean.crlPems.slice(1) : clean.crlPems.slice(0, 1);
    await loadBoth({ ...clean, crlPems: lists });
    expect(await initiate()).toBe(false);
    await loadBoth();
    expect(await initiate()).toBe(true);
  });

  it('refuses a revoked peer, at the end that initiates and at the end that answers', async () => {
    await loadBoth(await cluster.trust([hostB]), clean);
    expect(await initiate()).toBe(false);
    await loadBoth(clean, await cluster.trust([hostA]));
    expect(await initiate()).toBe(false);
    await loadBoth(await cluster.trust([]), await cluster.trust([]));
    expect(await initiate()).toBe(true);
  });

  it('goes by a newer list when it is loaded and the lists that were found good before are flushed; loading alone is not enough', async () => {
    await loadBoth();
    expect(await initiate()).toBe(true);
    await addLists(pair.b, await cluster.trust([hostA]));
    expect(await initiate()).toBe(true);
    await swanctl(pair.b, '--flush-certs');
    expect(await initiate()).toBe(false);
    await addLists(pair.b, await cluster.trust([]));
    await swanctl(pair.b, '--flush-certs');
    expect(await initiate()).toBe(true);
  });

  it('accepts a peer under an intermediate that it learns from the peer, when it has the list of that one', async () => {
    const before = clean;
    expect(await cluster.ca.renewIntermediate(Date.now())).toBe(true);
    hostB = await cluster.join(pair.b.name, pair.b.underlay, pair.b.protected);
    const after = await cluster.trust([]);
    await loadBoth(before, after);
    expect(await initiate()).toBe(false);
    await loadBoth({ ...before, crlPems: after.crlPems }, after);
    expect(await initiate()).toBe(true);
    await loadBoth(after, after);
    expect(await initiate()).toBe(true);
  });
});
