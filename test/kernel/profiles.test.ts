import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ProfileName } from '#core/model/channel.ts';
import { stringify } from 'yaml';
import { CHECKOUT } from '#lab/layout.ts';
import { run } from '#lab/process.ts';
import {
  type Cluster,
  expectSound,
  migrate,
  openCluster,
  placesOf,
  receiptOf,
  restartAgents,
  seconds,
  stopAgents,
  useChannel,
  useIpVersion,
} from './cluster.ts';
import { GUEST } from './lab.ts';
import { between, countByKind, packetsOnWire, type WireKind } from './wire.ts';

/** What may be between two hosts beside the channel itself: key exchange, nonces of probes, neighbour discovery. */
const harmless: readonly WireKind[] = ['ike', 'plain-probe', 'path-probe', 'neighbour'];

const carriers: readonly (readonly [ProfileName, WireKind, 'certificate' | 'psk'])[] = [
  ['esp-tunnel', 'esp', 'certificate'],
  ['esp-transport', 'esp', 'psk'],
  ['ah+esp', 'ah+esp', 'certificate'],
];

let cluster: Cluster;
beforeAll(async () => {
  cluster = await openCluster();
});

const underlays = (): string[] => cluster.lab.hosts.map((host) => host.underlay);

describe.each(carriers)('a migration through %s', (profile, kind, authentication) => {
  beforeAll(() => useChannel(cluster, { profile, authentication }));

  it(`moves the guest whole, and the wire shows ${kind} and nothing of the guest (${authentication})`, async () => {
    const guest = cluster.lab.guest(GUEST);
    const { to } = await placesOf(cluster, GUEST);
    const capture = await cluster.lab.startCapture('profile');
    const startedMs = Date.now();
    const migration = await migrate(cluster, GUEST);
    const tookMs = Date.now() - startedMs;
    const file = await capture.stop();
    expect(migration).toMatchObject({ phase: 'done', failure: null, proof: { profile, authentication, plainProbesDropped: 4 } });
    expect((await placesOf(cluster, GUEST)).from).toBe(to);
    await expectSound(guest);
    const receipt = await receiptOf(cluster, migration.request.migrationId);
    expect(receipt).toMatchObject({ valid: true, statement: { outcome: 'moved', channel: { traffic: { coversHypervisorBytes: true } } } });

    const kinds = countByKind(between(await packetsOnWire(file), underlays()));
    expect(kinds[kind]).toBeGreaterThan(1000);
    for (const [seen, count] of Object.entries(kinds)) expect([kind, ...harmless], `${count} packets`).toContain(seen);
    expect((await cluster.lab.scan(file)).markers[guest.marker]).toBe(0);
    console.log(`${profile} (${authentication}): ${seconds(tookMs)}, packets ${JSON.stringify(kinds)}`);
  });
});

describe('AH alone', () => {
  beforeAll(() => useChannel(cluster, { profile: 'esp-tunnel' }));
  afterAll(() => cluster.client.resetChannel('host1', 'host2'));

  it('is proven on demand: protocol 51 is on the wire', async () => {
    const capture = await cluster.lab.startCapture('ah');
    const { proof, refusal } = await cluster.client.proveChannel('host1', 'host2', { profile: 'ah' });
    const kinds = countByKind(between(await packetsOnWire(await capture.stop()), underlays()));
    expect(refusal).toBeNull();
    expect(proof).toMatchObject({ profile: 'ah', protectedProbes: 8, plainProbesDropped: 4 });
    // Eight probes, and an answer to each.
    expect(kinds.ah).toBeGreaterThanOrEqual(16);
    expect(kinds.esp).toBeUndefined();
  });

  it("is refused for a VM's memory: a controller that is told to use it does not start", async () => {
    const folder = await mkdtemp(join(tmpdir(), 'plimsoll-kernel-'));
    const config = join(folder, 'controller.yaml');
    const check = () => run([join(CHECKOUT, 'bin', 'plimsoll'), 'controller', 'config', 'check', config]);
    const withProfile = (profile: ProfileName) =>
      writeFile(config, stringify({ dataDir: folder, listen: { address: '127.0.0.1', port: 0 }, channel: { profile } }));
    try {
      await withProfile('ah');
      expect(await check()).toMatchObject({ code: 1, stderr: expect.stringContaining('profile ah encrypts nothing') as string });
      await withProfile('ah+esp');
      expect(await check()).toMatchObject({ code: 0 });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('hosts whose addresses are of IP version 6', () => {
  beforeAll(() => useIpVersion(cluster, 6));
  afterAll(() => useIpVersion(cluster, 4));

  it.each([
    ['esp-tunnel', 'esp'],
    ['ah+esp', 'ah+esp'],
  ] as const)('prove %s, and the wire shows it', async (profile, kind) => {
    const capture = await cluster.lab.startCapture('ipv6');
    const { proof, refusal } = await cluster.client.proveChannel('host1', 'host2', { profile });
    const underlays6 = cluster.lab.hosts.map((host) => host.underlay6);
    const kinds = countByKind(between(await packetsOnWire(await capture.stop()), underlays6));
    expect(refusal).toBeNull();
    expect(proof).toMatchObject({ profile, protectedProbes: 8, plainProbesDropped: 4 });
    expect(kinds[kind]).toBeGreaterThanOrEqual(16);
    expect(kinds['plain-probe']).toBe(4);
    for (const seen of Object.keys(kinds)) expect([kind, ...harmless]).toContain(seen);
  });
});

describe('the control arm: libvirt alone, without agents and guards', () => {
  beforeAll(() => stopAgents(cluster));
  afterAll(() => restartAgents(cluster));

  it("leaves the guest's memory readable on the wire", async () => {
    const guest = cluster.lab.guest(GUEST);
    const { from, to } = await placesOf(cluster, GUEST);
    const capture = await cluster.lab.startCapture('plain');
    const uri = `qemu+tls://${to.underlay}/system?pkipath=/etc/plimsoll/pki/libvirt`;
    const how = ['--live', '--p2p', '--persistent', '--undefinesource', '--migrateuri', `tcp://${to.underlay}`];
    await from.must(['virsh', 'migrate', ...how, GUEST, uri], { timeoutMs: 300_000 });
    const file = await capture.stop();
    await expectSound(guest);
    expect((await cluster.lab.scan(file)).markers[guest.marker]).toBeGreaterThan(1000);
  });
});
