/** Certificates in a running cluster: all are rotated in the middle of a migration, short ones renew themselves, revoked hosts are out at once. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '#lab/api.ts';
import { joinAgain, reconfigureController } from '#lab/operator.ts';
import type { MigrationResource } from '#wire/api.ts';
import { allHostsUp, type Cluster, expectSound, hostOf, knownOn, otherHost, startCluster, untilCopying, untilOver } from './cluster.ts';

/** The memory of a guest takes about 12 s. */
const bandwidthBytesPerSecond = 5 * 2 ** 20;
/** What an operator is promised. */
const revocationMsMax = 5000;
const shortLifeMs = 24_000;

describe('certificates', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await startCluster({
      name: 'e2e-certs',
      hosts: 2,
      guests: 1,
      controllerConfig: { policy: { migrationBandwidthBytesPerSecond: bandwidthBytesPerSecond } },
    });
    await guest().steer({ cpuPercent: 5, dirtyMbPerSecond: 1, diskWritesPerSecond: 5 });
  });
  afterAll(() => cluster?.lab.down());

  const guest = () => cluster.lab.guest('vm1');

  it('all rotated in the middle of a migration: it completes on the SA it began with, and the next one uses the new ones', async () => {
    const { from, migrationId } = await begin();
    const old = await usedCertificates();
    await untilCopying(cluster, migrationId, bandwidthBytesPerSecond);
    const renewals = await cluster.client.renewCertificates(null);
    expect(renewals.map(({ refusal }) => refusal)).toEqual(cluster.lab.hosts.map(() => null));
    expect((await cluster.client.migration(migrationId)).phase, 'the migration is still under way').toBe('copying');
    const fresh = await usedCertificates();
    for (const { name } of cluster.lab.hosts) {
      expect(fresh[name]).not.toBe(old[name]);
      expect(await servedByLibvirt(name), `libvirtd of ${name} serves the new certificate`).toBe(fresh[name]);
    }

    const moved = await untilOver(cluster, migrationId);
    expectMoved(moved);
    expect(proofOf(moved)).toEqual([old[from], old[otherHost(cluster, from)]]);
    const { channelBefore, channelAfter } = moved;
    expect(channelBefore?.sa).toMatchObject({ spiIn: expect.stringMatching(/^[0-9a-f]+$/), replaced: [] });
    expect(sameSa(channelAfter)).toEqual(sameSa(channelBefore));
    await expectSound(guest());

    const back = await migrate();
    expectMoved(back);
    expect(proofOf(back)).toEqual([fresh[back.request.fromHostId], fresh[back.request.toHostId]]);
    await expectSound(guest());
  });

  it('that live a short time are renewed when two thirds of it are over, and go on to carry migrations', async () => {
    await reconfigureController(cluster.lab, { certificates: { leafLifetimeMs: shortLifeMs }, policy: {} });
    await allHostsUp(cluster);
    const ends = await severalEnds(3);
    for (const [name, [first = 0, second = 0, third = 0]] of Object.entries(ends)) {
      console.log(`${name}: renewed after ${shares(first, second, third)} of a life`);
      for (const life of [second - first, third - second]) {
        expect(life / shortLifeMs).toBeGreaterThan(0.55);
        expect(life / shortLifeMs).toBeLessThan(0.95);
      }
    }
    expectMoved(await migrate());
    await reconfigureController(cluster.lab, {});
    await allHostsUp(cluster);
    // The next look at what is due comes up to 30 s after a start: too late for the short ones.
    await cluster.client.renewCertificates(null);
    await expectSound(guest());
  });

  it('revoked: SA and session are gone within 5 s, nothing migrates there, and a new token lets the host in again', async () => {
    const from = await hostOf(cluster, 'vm1');
    const to = otherHost(cluster, from);
    await ready(from);
    const proven = await cluster.client.proveChannel(from, to, { keep: true });
    expect(proven).toMatchObject({ refusal: null, kept: true });
    for (const { name } of cluster.lab.hosts) expect(await associations(name)).not.toBe('');
    expect(await sessions(to)).toBeGreaterThan(0);

    const revocation = cluster.client.revokeHost(to, 'its disk was stolen');
    const times = await timesUntil({
      [`SA on ${from}`]: async () => (await associations(from)) === '',
      [`SA on ${to}`]: async () => (await associations(to)) === '',
      [`session of ${to}`]: async () => (await sessions(to)) === 0,
    });
    expect(await revocation).toMatchObject({ told: [from], notTold: [] });
    console.log(`revoked: ${sentence(times)}`);
    for (const ms of Object.values(times)) expect(ms).toBeLessThan(revocationMsMax);
    await refused({ vm: 'vm1', toHostId: to });
    expect((await cluster.client.host(to)).status).toBe('revoked');

    await joinAgain(cluster.lab, to);
    await allHostsUp(cluster);
    expectMoved(await migrate());
    await expectSound(guest());
  });

  it('revoked while a migration to it is running: the VM stays on its source and runs', async () => {
    const { from, to, migrationId } = await begin();
    await untilCopying(cluster, migrationId, bandwidthBytesPerSecond);
    const revocation = cluster.client.revokeHost(to, 'its disk was stolen');
    const times = await timesUntil({
      [`SA on ${from}`]: async () => (await associations(from)) === '',
      [`session of ${to}`]: async () => (await sessions(to)) === 0,
    });
    await revocation;
    console.log(`revoked in the middle of a migration: ${sentence(times)}`);
    for (const ms of Object.values(times)) expect(ms).toBeLessThan(revocationMsMax);
    expect(await hostOf(cluster, 'vm1')).toBe(from);
    await expectSound(guest());
    await refused({ vm: 'vm1', toHostId: to });

    // What the host that was put out has of the VM is asked when it is back.
    await joinAgain(cluster.lab, to);
    const stayed = await untilOver(cluster, migrationId);
    expect(stayed).toMatchObject({ phase: 'failed', failure: { code: expect.stringMatching(/^(host-revoked|aborted)$/) } });
    expect(await hostOf(cluster, 'vm1')).toBe(from);
    expectMoved(await migrate());
    await expectSound(guest());
  });

  async function ready(from: string): Promise<void> {
    await allHostsUp(cluster);
    await knownOn(cluster, 'vm1', from);
  }

  async function begin(): Promise<{ readonly from: string; readonly to: string; readonly migrationId: string }> {
    const from = await hostOf(cluster, 'vm1');
    const to = otherHost(cluster, from);
    await ready(from);
    const { request } = await cluster.client.migrate({ vm: 'vm1', toHostId: to });
    return { from, to, migrationId: request.migrationId };
  }

  async function migrate(): Promise<MigrationResource> {
    return untilOver(cluster, (await begin()).migrationId);
  }

  /** A refusal may come at once or as the end of the migration: in both cases nothing was sent. */
  async function refused(body: { readonly vm: string; readonly toHostId: string }): Promise<void> {
    const code = await cluster.client.migrate(body).then(
      async ({ request }) => (await untilOver(cluster, request.migrationId)).failure?.code,
      (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
    );
    expect(code).toBe('host-revoked');
    expect(await hostOf(cluster, 'vm1')).not.toBe(body.toHostId);
  }

  /** SHA-256 of the certificate that each host's agent uses. */
  async function usedCertificates(): Promise<Record<string, string>> {
    const hosts = await cluster.client.hosts();
    const listed = await Promise.all(hosts.map(({ hostId }) => cluster.client.certificates(hostId)));
    for (const [index, { certificate }] of hosts.entries())
      expect(listed[index]?.map(({ sha256 }) => sha256)).toContain(certificate?.sha256);
    return Object.fromEntries(hosts.map(({ hostId, certificate }) => [hostId, certificate?.sha256 ?? '']));
  }

  async function servedByLibvirt(name: string): Promise<string> {
    const host = cluster.lab.host(name);
    const script = `openssl s_client -connect ${host.underlay}:16514 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256`;
    const { stdout } = await host.exec(['sh', '-c', script]);
    return (stdout.split('=').at(1) ?? '').trim().replaceAll(':', '').toLowerCase();
  }

  /** When the certificates that each host uses end, one after the other. */
  async function severalEnds(count: number): Promise<Record<string, readonly number[]>> {
    const seen = new Map<string, number[]>(cluster.lab.hosts.map(({ name }) => [name, []]));
    const enough = async () => {
      for (const { hostId, certificate } of await cluster.client.hosts()) {
        const ends = seen.get(hostId);
        const isShort = certificate !== null && certificate.notAfterMs - Date.now() <= shortLifeMs;
        if (isShort && ends?.at(-1) !== certificate.notAfterMs) ends?.push(certificate.notAfterMs);
      }
      return [...seen.values()].every((ends) => ends.length >= count);
    };
    await waitFor(enough, { what: `${count} certificates of each host`, timeoutMs: shortLifeMs * (count + 2), intervalMs: 200 });
    return Object.fromEntries(seen);
  }

  /** What charon itself says; empty when it has no SA. */
  async function associations(name: string): Promise<string> {
    const { code, stdout, stderr } = await cluster.lab.host(name).exec(['swanctl', '--list-sas', '--uri', 'unix:///run/charon.vici']);
    if (code !== 0) throw new Error(`charon of ${name} does not answer: ${stderr}`);
    return stdout.trim();
  }

  /** Connections of a host that the controller's machine has. */
  async function sessions(name: string): Promise<number> {
    const filter = ['state', 'established', 'dst', cluster.lab.host(name).underlay];
    const { stdout } = await cluster.lab.ctl.exec(['ss', '-Htn', ...filter]);
    return stdout.split('\n').filter((line) => line.includes(':7443')).length;
  }
});

/** How long after the call each of these came true. */
async function timesUntil(facts: Record<string, () => Promise<boolean>>): Promise<Record<string, number>> {
  const sinceMs = performance.now();
  const times = Object.entries(facts).map(async ([what, isTrue]) => {
    await waitFor(isTrue, { what: `${what} to be gone`, timeoutMs: 30_000, intervalMs: 50 });
    return [what, Math.round(performance.now() - sinceMs)] as const;
  });
  return Object.fromEntries(await Promise.all(times));
}

function sentence(times: Record<string, number>): string {
  return Object.entries(times)
    .map(([what, ms]) => `${what} gone after ${ms} ms`)
    .join(', ');
}

function expectMoved(migration: MigrationResource): void {
  expect(migration).toMatchObject({ phase: 'done', failure: null });
}

function proofOf({ proof }: MigrationResource): readonly unknown[] {
  return [proof?.sourceCertificateSha256, proof?.destinationCertificateSha256];
}

function sameSa(reading: MigrationResource['channelBefore']): readonly unknown[] {
  return [reading?.sa?.ikeUniqueId, reading?.sa?.childUniqueId, reading?.sa?.spiIn, reading?.sa?.spiOut, reading?.sa?.replaced];
}

function shares(...endsMs: readonly number[]): string {
  const gaps = endsMs.slice(1).map((end, index) => end - (endsMs[index] ?? 0));
  return gaps.map((gap) => `${Math.round((gap / shortLifeMs) * 100)} %`).join(', ');
}
