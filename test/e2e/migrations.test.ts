import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Capture } from '#lab/api.ts';
import { type Cluster, expectSound, hostOf, knownOn, otherHost, receiptOf, repetitions, startCluster, untilOver } from './cluster.ts';

const { migrations: count } = repetitions;

describe(`${count} migrations in a row through IPsec`, () => {
  let cluster: Cluster;
  let capture: Capture;

  beforeAll(async () => {
    cluster = await startCluster({ name: 'e2e-row', hosts: 2, guests: 1 });
    await cluster.lab.guest('vm1').steer({ cpuPercent: 5, dirtyMbPerSecond: 2, diskWritesPerSecond: 5 });
    capture = await cluster.lab.startCapture('row');
  });
  afterAll(() => cluster?.lab.down());

  it.each(Array.from({ length: count }, (_, index) => index + 1))(
    'number %i: the VM arrives whole, with a valid receipt that covers its bytes',
    async () => {
      const guest = cluster.lab.guest('vm1');
      const from = await hostOf(cluster, guest.name);
      const to = otherHost(cluster, from);
      await knownOn(cluster, guest.name, from);
      const { request } = await cluster.client.migrate({ vm: guest.name, toHostId: to });
      const migration = await untilOver(cluster, request.migrationId);
      expect(migration).toMatchObject({ phase: 'done', failure: null });
      expect(await hostOf(cluster, guest.name)).toBe(to);
      const receipt = await receiptOf(cluster, request.migrationId);
      expect(receipt).toMatchObject({
        valid: true,
        statement: { outcome: 'moved', channel: { kind: 'ipsec', weaker: false, traffic: { coversHypervisorBytes: true } } },
      });
      await expectSound(guest);
    },
  );

  it('and nothing of the guest was readable on the wire', async () => {
    const guest = cluster.lab.guest('vm1');
    const scan = await cluster.lab.scan(await capture.stop());
    expect(scan.kinds['esp-in-udp']).toBeGreaterThan(1000);
    expect(scan.markers[guest.marker]).toBe(0);
  });
});
