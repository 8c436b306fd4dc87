/** Migrations through channels of different kinds: each as it was asked for, and nothing of the guest on the wire. All: `npm run bench:channels`. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { carried, type Combination, nameOf, negotiationOf, notCarried } from './channel-profiles/combinations.ts';
import { type Carriage, carry, goPlain, type Plain, refuse, type Refused } from './channel-profiles/measure.ts';
import { printRows } from './channel-profiles/rows.ts';
import { type Cluster, startCluster } from './cluster.ts';

/** Each suite once, a pre-shared key, and the key of RFC 8784 on top of it. */
const some = carried.filter(
  ({ suite, authentication, postQuantumKey }) =>
    (suite === 'aes-gcm' && authentication === 'psk' && postQuantumKey) || (suite !== 'aes-gcm' && authentication === 'certificate'),
);

const named = (combinations: readonly Combination[]) => combinations.map((one) => [nameOf(one), one] as const);

describe('channels of different kinds', () => {
  let cluster: Cluster;
  const carriages: Carriage[] = [];
  const refusals: Refused[] = [];
  let plain: Plain = { scan: { packets: 0, bytes: 0, kinds: {}, markers: {} }, markers: 0 };

  beforeAll(async () => {
    cluster = await startCluster({ name: 'e2e-profiles', hosts: 2, guests: 1 });
    await cluster.lab.guest('vm1').steer({ cpuPercent: 5, dirtyMbPerSecond: 2, diskWritesPerSecond: 5 });
  });
  afterAll(async () => {
    console.log(printRows(carriages, refusals, plain));
    await cluster?.lab.down();
  });

  it.each(named(some))('%s: the guest arrives whole, its marker is nowhere on the wire', async (_name, combination) => {
    const carriage = await carry(cluster, combination);
    carriages.push(carriage);
    const { migration, scan, markers, espBytes, hypervisorBytes } = carriage;
    expect(migration).toMatchObject({ phase: 'done', failure: null, proof: provenAs(combination) });
    expect(markers).toBe(0);
    expect(carriage.captured).toEqual(carriage.predicted);
    expect(scan.kinds['esp-in-udp']).toBeGreaterThan(1000);
    expect(carriage.coversHypervisorBytes).toBe(true);
    expect(espBytes).toBeGreaterThan(hypervisorBytes ?? Number.POSITIVE_INFINITY);
  });

  it.each(named(notCarried))('%s: refused where ESP is in user space', async (_name, combination) => {
    const refused = await refuse(cluster, combination);
    refusals.push(refused);
    expect(refused).toMatchObject({ code: 'profile-unsupported', message: expect.stringContaining(combination.profile) });
  });

  it('and in plain text the same capture shows the marker (the control arm)', async () => {
    plain = await goPlain(cluster);
    expect(plain.markers).toBeGreaterThan(100);
  });
});

function provenAs({ profile, suite, authentication }: Combination): object {
  const hash = authentication === 'psk' ? null : expect.stringMatching(/^[0-9a-f]{64}$/);
  return { profile, authentication, ...negotiationOf(suite), sourceCertificateSha256: hash, destinationCertificateSha256: hash };
}
