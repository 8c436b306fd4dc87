/** The channels to compare IPsec with, through the whole product: by grant alone, and what of the guest is on the wire. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ScanResult, waitFor } from '#lab/api.ts';
import type { MigrationResource, ReceiptResource } from '#wire/api.ts';
import { allHostsUp, type Cluster, expectSound, hostOf, knownOn, otherHost, receiptOf, startCluster, untilOver } from './cluster.ts';
import { answerTo, asPerson, granted } from './persons.ts';
import { untilRestarted } from './killing.ts';
import { missingForOtherChannels, offerSsh } from './other-channels/hosts.ts';

const missing = missingForOtherChannels();
const ssh = { user: 'root', keyFile: '/etc/plimsoll/ssh/id', knownHostsFile: '/etc/plimsoll/ssh/known_hosts' };

interface Moved {
  readonly migration: MigrationResource;
  readonly receipt: ReceiptResource;
  readonly scan: ScanResult;
}

describe.runIf(missing === null)(`weaker channels${missing === null ? '' : `: not run, needs ${missing}`}`, () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await startCluster({ name: 'e2e-weaker', hosts: 2, guests: 1, agentConfig: { ssh } });
    await offerSsh(cluster.lab);
    await guest().steer({ cpuPercent: 5, dirtyMbPerSecond: 2, diskWritesPerSecond: 5 });
  });
  afterAll(() => cluster?.lab.down());

  const guest = () => cluster.lab.guest('vm1');

  async function ends(): Promise<{ readonly from: string; readonly to: string }> {
    await allHostsUp(cluster);
    const from = await hostOf(cluster, 'vm1');
    await knownOn(cluster, 'vm1', from);
    return { from, to: otherHost(cluster, from) };
  }

  async function begin(kind: string): Promise<{ readonly from: string; readonly to: string; readonly migrationId: string }> {
    const { from, to } = await ends();
    const grantId = await granted(cluster, from, to);
    const begun = (await answerTo(cluster, 'anna', ['migrate', 'vm1', to, '--channel', kind, '--grant', grantId])) as MigrationResource;
    return { from, to, migrationId: begun.request.migrationId };
  }

  async function move(kind: string): Promise<Moved> {
    const capture = await cluster.lab.startCapture('weaker');
    let migration: MigrationResource;
    try {
      const { migrationId, to } = await begin(kind);
      migration = await untilOver(cluster, migrationId);
      expect(migration).toMatchObject({ phase: 'done', failure: null });
      expect(await hostOf(cluster, 'vm1')).toBe(to);
    } finally {
      await capture.stop();
    }
    await expectSound(guest());
    const receipt = await receiptOf(cluster, migration.request.migrationId);
    return { migration, receipt, scan: await cluster.lab.scan(capture.file) };
  }

  const receiptFor = (kind: string, cipher: string | null) => ({
    valid: true,
    statement: { outcome: 'moved', approvedBy: 'bert', channel: { kind, weaker: true, proof: null, grantId: expect.any(String), cipher } },
  });

  it('none: the guest arrives whole, and its marker is on the wire (the control arm)', async () => {
    const { scan, receipt, migration } = await move('none');
    expect(scan.markers[guest().marker]).toBeGreaterThan(100);
    expect(receipt).toMatchObject(receiptFor('none', null));
    expect(migration.outcome?.cipher).toBeNull();
  });

  it.each([
    ['qemu-tls', 'TLS, chosen by QEMU'],
    ['ssh', 'aes256-gcm@openssh.com'],
    ['sealed-image', 'ChaCha20-Poly1305, X25519 (age v1)'],
  ])('%s: the guest arrives whole, its marker is nowhere on the wire, and the receipt says what it was', async (kind, cipher) => {
    const { scan, receipt, migration } = await move(kind);
    expect(scan.markers[guest().marker]).toBe(0);
    expect(scan.kinds['esp-in-udp'] ?? 0, 'packets of IPsec').toBe(0);
    expect(scan.bytes).toBeGreaterThan(migration.outcome?.memorySentBytes ?? Number.POSITIVE_INFINITY);
    expect(migration.outcome?.memorySentBytes).toBeGreaterThan(10_000_000);
    expect(migration.outcome?.cipher).toBe(cipher);
    expect(receipt).toMatchObject(receiptFor(kind, cipher));
  });

  it.each(['none', 'qemu-tls', 'ssh', 'sealed-image'])(
    '%s: refused without a grant, and with one for the other direction',
    async (kind) => {
      const { from, to } = await ends();
      const without = await asPerson(cluster, 'anna', ['migrate', 'vm1', to, '--channel', kind]);
      expect([without.code, without.stderr]).toEqual([1, expect.stringContaining('grant-missing')]);
      const back = await granted(cluster, to, from);
      const wrong = await asPerson(cluster, 'anna', ['migrate', 'vm1', to, '--channel', kind, '--grant', back]);
      expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('grant-invalid')]);
      expect(await hostOf(cluster, 'vm1')).toBe(from);
    },
  );

  it('sealed-image: kill -9 of the source, its image given away, leaves one running VM, and nothing of the image', async () => {
    const { from, migrationId } = await begin('sealed-image');
    const host = cluster.lab.host(from);
    const note = join(host.directory, 'var-lib-plimsoll/saved-images', `${guest().uuid}.json`);
    const isGiven = async () => (await readFile(note, 'utf8').catch(() => '')).includes('"given":true');
    await waitFor(isGiven, { what: 'the image to be given away', timeoutMs: 120_000, intervalMs: 5 });
    const killed = await host.killService('agent');
    await untilRestarted(host.machine, 'agent', killed);
    const { phase, request } = await untilOver(cluster, migrationId);
    expect(await hostOf(cluster, 'vm1')).toBe(phase === 'done' ? request.toHostId : from);
    await expectSound(guest());
    for (const { name, machine } of cluster.lab.hosts) {
      const left = await machine.exec(['find', '/var/lib/plimsoll', '/var/lib/libvirt/qemu/save', '-name', `*${guest().uuid}*`]);
      expect(left.stdout, `images on ${name}`).toBe('');
    }
    // Whatever it came to, the next one works.
    await move('sealed-image');
  });
});
