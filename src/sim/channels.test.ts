import type { ProfileName } from '#core/model/channel.ts';
import { describe, expect, test } from 'vitest';
import { SimCluster } from './cluster.ts';
import { surroundings } from './examples.ts';
import { scenarioOf } from './scenario.ts';

const vms = { web: { host: 'host1', vcpus: 2, memoryGiB: 1, demandCores: 0.5 } };
const machine = { cpuCores: 4, memoryGiB: 8, ipsec: 'kernel' };

/** Two hosts that have joined; `changes` are of cluster.yaml. */
async function pair(changes: object = {}, host: object = {}): Promise<SimCluster> {
  const hosts = { host1: { ...machine, ...host }, host2: { ...machine, ...host } };
  const cluster = new SimCluster(scenarioOf({ seed: 1, runForSeconds: 100, mode: 'observe', hosts, vms, ...changes }, []), surroundings);
  await cluster.runFor(5);
  return cluster;
}

/** What the real controller answers, as time passes. */
async function ask<Value>(cluster: SimCluster, work: (controller: NonNullable<SimCluster['actors']['controller']>) => Promise<Value>) {
  const { controller } = cluster.actors;
  if (controller === null) throw new Error('there is no controller');
  const answer = work(controller);
  answer.catch(() => null);
  await cluster.runFor(60);
  return answer;
}

const prove = (cluster: SimCluster, profile: ProfileName) =>
  ask(cluster, (controller) => controller.proveChannel('host1', 'host2', { profile }, 'anna'));

describe('a simulated channel', () => {
  test.each(['esp-tunnel', 'esp-transport', 'ah', 'ah+esp'] as const)('of profile %s is proven on kernel IPsec', async (profile) => {
    expect(await prove(await pair(), profile)).toMatchObject({ refusal: null, proof: { profile, extendedSequenceNumbers: true } });
  });

  test('in userspace is of one profile, without long sequence numbers', async () => {
    const cluster = await pair({}, { ipsec: 'libipsec' });
    expect(await prove(cluster, 'esp-tunnel')).toMatchObject({ proof: { extendedSequenceNumbers: false } });
    expect(await prove(cluster, 'ah+esp')).toMatchObject({ refusal: { code: 'profile-unsupported' } });
  });

  test('by pre-shared key shows no certificate', async () => {
    const proven = await prove(await pair({ channel: { authentication: 'psk', postQuantumKey: true } }), 'esp-tunnel');
    expect(proven).toMatchObject({ proof: { authentication: 'psk', sourceCertificateSha256: null } });
  });

  test('does not come up with a host whose certificate is on the list', async () => {
    const cluster = await pair();
    const far = cluster.world.host('host2');
    await ask(cluster, (controller) => controller.revokeHost('host2', 'test', 'anna'));
    expect(await ask(cluster, (controller) => controller.proveChannel('host1', 'host2', {}, 'anna')).catch(String)).toMatch(/revoked/);
    expect(far.charon.sas).toEqual([]);
  });

  test('is measured to the byte where a link swallows larger packets, and where it tells', async () => {
    for (const tells of [true, false]) {
      const cluster = await pair({ paths: [{ between: ['host1', 'host2'], mtuBytes: 1437, tells }] }, { mtuBytes: 9000 });
      const tuned = await ask(cluster, (controller) => controller.tuneChannel('host1', 'host2', { apply: true }, 'anna'));
      expect(tuned.record).toMatchObject({ pathMtuBytes: 1437, limitedBy: 'path' });
    }
  });

  test('leaves no setting behind when it is reset', async () => {
    const cluster = await pair({}, { mtuBytes: 1500 });
    await ask(cluster, (controller) => controller.tuneChannel('host1', 'host2', { apply: true }, 'anna'));
    await ask(cluster, (controller) => controller.resetChannel('host1', 'host2', 'anna'));
    expect([...cluster.world.sizes.tunings('host1')]).toEqual([]);
  });

  test('is replaced by time', async () => {
    const cluster = await pair({ channel: { rekeySeconds: 60 } });
    await ask(cluster, (controller) => controller.proveChannel('host1', 'host2', { keep: true }, 'anna'));
    const sa = cluster.world.host('host1').charon.sa('host2');
    expect(sa?.report.replaced).toEqual([]);
    await cluster.runFor(130);
    expect(sa?.report.replaced).toHaveLength(3);
    expect(cluster.world.saPair(cluster.world.host('host2'), cluster.world.host('host1'))).toBeDefined();
  });
});

describe('plain text in the simulation', () => {
  test('passes both guards as long as both were told to let it, and is no breach then', async () => {
    const { world, time } = await pair();
    const [from, to] = [world.host('host1'), world.host('host2')];
    const underlay = to.spec.addresses.underlay;
    from.filter.exempt(underlay, time.nowMs + 1000);
    expect(world.carry(from, to, 5, underlay)).toBe('dropped');
    to.filter.exempt(from.spec.addresses.underlay, time.nowMs + 1000);
    expect(world.carry(from, to, 5, underlay)).toBe('carried');
    expect([world.exemptBytes, world.plainBytes]).toEqual([5, 0]);
    await time.runUntil(time.elapsedMs + 1001, surroundings.drain);
    expect(world.carry(from, to, 5, underlay)).toBe('dropped');
    expect(from.filter.state(time.nowMs)).toMatchObject({ exemptPeers: [], droppedOutPackets: 1 });
  });
});
