/**
 * Restartable VMs on real hosts that are cut off, lose their agent, or lose the VM's QEMU. Who runs what is judged by QEMU's own monitors,
 * the guests' beats and disks, and the kernel's list of locks. One story, in the order of its time: each test goes on where the last ended.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '#lab/api.ts';
import { startAgent } from '#lab/plimsoll.ts';
import { leaseTerms, waitMs } from '#core/recovery/lease.ts';
import { restartLimits } from '#core/recovery/restart.ts';
import { leaseHolders } from '#test/faults/locks.ts';
import { Oracle } from '#test/faults/oracle/oracle.ts';
import { allHostsUp, type Cluster, hostOf, knownOn, startCluster, untilOver } from './cluster.ts';
import { untilLaterRun } from './killing.ts';
import { answerTo } from './persons.ts';
import { plug, unplug } from './restartable/cable.ts';
import { begunSince, doubleSamples, ranOnSince, type Seen, untilGone, untilRunning } from './restartable/copies.ts';
import { untilBound, untilLetGo } from './restartable/lease-file.ts';
import { untilSaid } from './restartable/recovery-log.ts';
import { startTwin } from './restartable/twin.ts';

const load = { cpuPercent: 2, dirtyMbPerSecond: 1, diskWritesPerSecond: 10 };
const bootMsMax = 40_000;
/** A sample of the oracle, and what a busy machine adds to it. */
const slackMs = 2000;
/** Notice that it is over, ask all hosts, find one, start it there. */
const startMsMax = 20_000;

/** host4 is where they can go. */
const homes = { vm1: 'host1', vm2: 'host1', vm3: 'host2', vm4: 'host3' } as const;
type Guest = keyof typeof homes;
const marked = ['vm1', 'vm3', 'vm4'] as const;

interface Story {
  readonly cutAtMs: number;
  readonly bootIds: Readonly<Record<'vm1' | 'vm3', string>>;
  /** The controller is killed as soon as one of the two has a new QEMU: for the other, that is between its end and its start. */
  readonly first: 'vm1' | 'vm3';
  readonly second: 'vm1' | 'vm3';
  readonly ran: Seen;
  readonly controllerDiedAtMs: number;
}

describe('restartable VMs', () => {
  let cluster: Cluster;
  let oracle: Oracle;
  let told: Story | undefined;

  beforeAll(async () => {
    cluster = await startCluster({ name: 'e2e-restart', hosts: 4, guests: 4, placement: homes });
    for (const guest of cluster.lab.guests) await guest.steer(load);
    oracle = await Oracle.start(cluster.lab);
  });
  afterAll(async () => {
    await oracle?.stop();
    await cluster?.lab.down();
  });

  const sight = (guest: Guest) => oracle.guest(guest);
  const otherHosts = (host: string) => cluster.lab.hosts.map(({ name }) => name).filter((name) => name !== host);
  const bootOf = async (guest: Guest) => (await cluster.lab.guest(guest).beats())?.bootId ?? '';
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  const print = (line: string): void => void process.stdout.write(`${line}\n`);

  function story(): Story {
    if (told === undefined) throw new Error('no host was cut off');
    return told;
  }

  async function beatsAnew(guest: Guest, bootId: string): Promise<number> {
    const anew = async () => {
      const beats = await cluster.lab.guest(guest).beats();
      return beats !== undefined && beats.bootId !== bootId ? beats.lastBeatAtMs : undefined;
    };
    return waitFor(anew, { what: `${guest} to beat after its restart`, timeoutMs: bootMsMax, intervalMs: 50 });
  }

  /** It beats and writes, was started so often in all, never ran twice, and its memory, kernel and disk are sound. */
  async function expectSound(name: Guest, boots: number): Promise<void> {
    const guest = cluster.lab.guest(name);
    await guest.steer(load);
    const before = (await guest.beats())?.diskRecords ?? 0;
    const writes = async () => ((await guest.beats())?.diskRecords ?? 0) > before + 5;
    await waitFor(writes, { what: `${name} to write on`, timeoutMs: 30_000 });
    expect(await guest.beats()).toMatchObject({ boots, duplicates: 0, memoryErrors: 0, diskErrors: 0, kernelTroubles: 0 });
    expect((await guest.diskLog()).firstBadRecord).toBeUndefined();
    expect(doubleSamples(sight(name))).toEqual([]);
  }

  it('one whose QEMU dies is started again at once, where it was', async () => {
    await Promise.all(marked.map((vm) => answerTo(cluster, 'anna', ['vm', 'set', vm, '--restartable', 'yes'])));
    for (const vm of marked) await untilBound(cluster.lab.host(homes[vm]), cluster.lab.guest(vm));
    await untilSaid(cluster.lab, 'vm4', 0, ({ phase }) => phase === 'watched', 10_000);
    const bootId = await bootOf('vm4');
    const pid = await cluster.lab.host(homes.vm4).guestPid('vm4');
    if (pid === undefined) throw new Error('no QEMU of vm4');
    const killedAtMs = Date.now();
    process.kill(pid, 'SIGKILL');
    const goneAtMs = await untilGone(sight('vm4'), homes.vm4, killedAtMs, 5000);
    const ran = await untilRunning(sight('vm4'), [homes.vm4, ...otherHosts(homes.vm4)], goneAtMs, startMsMax);
    const beatAtMs = await beatsAnew('vm4', bootId);
    print(`QEMU killed: it runs again after ${seconds(ran.atMs - killedAtMs)}, beats after ${seconds(beatAtMs - killedAtMs)}`);
    expect(ran.host).toBe(homes.vm4);
    await expectSound('vm4', 2);
  });

  it('on hosts that are cut off from everything are ended there within the lease, and started elsewhere after it', async () => {
    const { lab, client } = cluster;
    const bootIds = { vm1: await bootOf('vm1'), vm3: await bootOf('vm3') };
    const { controllerEpoch } = await client.status();
    const cutAtMs = Date.now();
    await Promise.all([unplug(lab, homes.vm1), unplug(lab, homes.vm3)]);
    // The agent of a third host dies and stays dead: nobody ends vm4.
    await lab.host(homes.vm4).killService('agent');
    await lab.host(homes.vm4).machine.stopService('agent');
    const gone = [];
    for (const vm of ['vm1', 'vm3'] as const) gone.push((await untilGone(sight(vm), homes[vm], cutAtMs, waitMs(leaseTerms))) - cutAtMs);
    print(`cut off: ended by their own hosts after ${gone.map(seconds).join(' and ')}`);
    expect(Math.max(...gone)).toBeLessThan(leaseTerms.leaseMs + slackMs);
    expect((await client.hosts()).map(({ status }) => status)).toEqual(['silent', 'silent', 'silent', 'up']);

    const begun = (vm: 'vm1' | 'vm3') => begunSince(sight(vm), otherHosts(homes[vm]), cutAtMs);
    await waitFor(() => begun('vm1') ?? begun('vm3'), { what: 'the first of them to be started', timeoutMs: 60_000 });
    await lab.ctl.killService('controller');
    const controllerDiedAtMs = Date.now();
    const [first, second] = begun('vm1') ? (['vm1', 'vm3'] as const) : (['vm3', 'vm1'] as const);
    const ran = await untilRunning(sight(first), otherHosts(homes[first]), cutAtMs, startMsMax);
    told = { cutAtMs, bootIds, first, second, ran, controllerDiedAtMs };
    const beatAtMs = await beatsAnew(first, bootIds[first]);
    print(`cut off: ${first} runs elsewhere after ${seconds(ran.atMs - cutAtMs)}, beats after ${seconds(beatAtMs - cutAtMs)}`);
    expect(ran.atMs - cutAtMs).toBeLessThan(waitMs(leaseTerms) + startMsMax);
    await expectSound(first, 2);
    await untilLaterRun(cluster, controllerEpoch);
  });

  it('do not come back with their host: it lets go of them, lists are right, and they can be migrated back', async () => {
    const { lab, client } = cluster;
    const { first, ran } = story();
    const home = homes[first];
    const pluggedAtMs = Date.now();
    await plug(lab, home);
    await untilLetGo(lab.host(home), lab.guest(first));
    print(`link back: ${home} has let go of ${first} after ${seconds(Date.now() - pluggedAtMs)}`);
    await waitFor(async () => (await client.host(home)).status === 'up', { what: `${home} to be up`, timeoutMs: 30_000 });
    await knownOn(cluster, first, ran.host);
    expect(await lab.host(home).virsh(['domstate', first])).toContain('shut off');
    expect(await answerTo(cluster, 'anna', ['vm', 'list'])).toContainEqual(
      expect.objectContaining({ name: first, hostId: ran.host, state: 'running' }),
    );
    expect(ranOnSince(sight(first), pluggedAtMs)).toEqual([ran.host]);
    const { request } = await client.migrate({ vm: first, toHostId: home });
    expect(await untilOver(cluster, request.migrationId)).toMatchObject({ phase: 'done', failure: null });
    expect(await hostOf(cluster, first)).toBe(home);
    await expectSound(first, 2);
  });

  it('whose controller dies between their end and their start come to the same end, one lease later', async () => {
    const { second, cutAtMs, bootIds, controllerDiedAtMs } = story();
    const before = begunSince(sight(second), otherHosts(homes[second]), 0);
    expect(before === undefined || before.atMs > controllerDiedAtMs + waitMs(leaseTerms), 'not begun before the controller died').toBe(
      true,
    );
    const ran = await untilRunning(sight(second), otherHosts(homes[second]), cutAtMs, waitMs(leaseTerms) + startMsMax);
    const beatAtMs = await beatsAnew(second, bootIds[second]);
    print(
      `controller killed: ${second} runs elsewhere ${seconds(ran.atMs - controllerDiedAtMs)} later, ${seconds(ran.atMs - cutAtMs)} after the cut`,
    );
    print(`controller killed: ${second} beats ${seconds(beatAtMs - cutAtMs)} after the cut`);
    expect(ran.atMs - controllerDiedAtMs).toBeGreaterThan(waitMs(leaseTerms));
    await expectSound(second, 2);
    await plug(cluster.lab, homes[second]);
  });

  it('whose agent is dead run on: the lock on their storage refuses every second start', async () => {
    const { lab } = cluster;
    // An order that was out as the controller was killed is waited out before the next one.
    const refusedMsMax = restartLimits.settleMs + startMsMax;
    const refused = await untilSaid(lab, 'vm4', story().cutAtMs, ({ reason }) => reason.includes('lock-held'), refusedMsMax);
    print(`agent dead: a second start of vm4 was refused: ${refused.reason}`);
    expect(await leaseHolders(lab, 'vm4')).toEqual([homes.vm4]);
    expect(ranOnSince(sight('vm4'), story().cutAtMs)).toEqual([homes.vm4]);
    await expectSound('vm4', 2);
  });

  it('are ended by an agent that comes back after its lease, and then started again', async () => {
    const { lab } = cluster;
    const bootId = await bootOf('vm4');
    const backAtMs = Date.now();
    await startAgent(lab.host(homes.vm4).machine);
    const goneAtMs = await untilGone(sight('vm4'), homes.vm4, backAtMs, 20_000);
    const beatAtMs = await beatsAnew('vm4', bootId);
    print(`agent back: vm4 is ended after ${seconds(goneAtMs - backAtMs)} and beats after ${seconds(beatAtMs - backAtMs)}`);
    await allHostsUp(cluster);
    await expectSound('vm4', 3);
  });

  it('are what they are by their mark: a VM without it ran on alone on its host, and is found again (control arm)', async () => {
    await knownOn(cluster, 'vm2', homes.vm2);
    expect(ranOnSince(sight('vm2'), 0)).toEqual([homes.vm2]);
    await expectSound('vm2', 1);
  });

  it('without the lock are two when they are started twice (control arm)', async () => {
    const { lab } = cluster;
    const at = await hostOf(cluster, 'vm4');
    const [elsewhere = ''] = otherHosts(at);
    expect((await startTwin(lab, 'vm4', elsewhere, true)).stderr).toContain('is locked');
    expect(doubleSamples(sight('vm4'))).toEqual([]);
    expect((await startTwin(lab, 'vm4', elsewhere, false)).code).toBe(0);
    await waitFor(() => doubleSamples(sight('vm4')).length > 1, { what: 'two copies to be seen', timeoutMs: 10_000 });
  });
});
