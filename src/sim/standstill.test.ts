/** Processes of a hypervisor that stand still (SIGSTOP): nothing is lost, nothing moves. */
import { describe, expect, test } from 'vitest';
import { Bench, outcomeOf } from './bench.ts';
import { SimWitness } from './witness.ts';

const idle = { dirtyMiBPerSecond: 0, workingSetMiB: 0 };
const isOutcome = expect.objectContaining({ memorySentBytes: 2 ** 30 });

/** Five seconds into the copy of `web`. */
async function copying(hosts: ConstructorParameters<typeof Bench>[1] = {}) {
  const bench = new Bench(idle, hosts);
  const outcome = bench.migrate();
  await bench.run(5);
  const [source, destination] = [bench.world.host('host1'), bench.world.host('host2')];
  const copyAt = (host: typeof source) => host.copy(bench.guest.vmId)?.standstill;
  return { bench, outcome, source, destination, copyAt };
}

describe('a QEMU that stands still', () => {
  test.each(['source', 'destination'] as const)('as the %s of a copy holds it up for as long, and no connection is lost', async (end) => {
    const story = await copying();
    const { bench, outcome } = story;
    const qemu = story.copyAt(story[end]);
    qemu?.pause();
    await bench.run(1);
    const sent = bench.progress.at(-1)?.memorySentBytes;
    await bench.run(100);
    expect(bench.progress.at(-1)?.memorySentBytes).toBe(sent);
    expect(await bench.places()).toEqual(['running', 'incoming']);
    qemu?.end();
    await bench.run(30);
    expect(await outcome).toEqual(isOutcome);
    expect(await bench.places()).toEqual([null, 'running']);
  });

  test('is what tells it from a cut link, which ends the copy by its keep-alive', async () => {
    const { bench, outcome } = await copying();
    bench.world.network.cut('host1', 'host2');
    await bench.run(40);
    expect(await outcome).toBe('hypervisor-failed');
  });

  test('gets no CPU, answers nobody, and is called running by libvirt all the same', async () => {
    const bench = new Bench(idle);
    const host = bench.world.host('host1');
    const witness = new SimWitness(bench.world, host);
    const echo = await bench.settled(witness.watch(bench.guest.address, 100, bench.signal));
    await bench.run(1);
    host.change(() => host.copy(bench.guest.vmId)?.standstill.pause());
    await bench.run(2);
    expect(host.cpuUsedCores).toBeCloseTo(0.05);
    host.change(() => host.copy(bench.guest.vmId)?.standstill.end());
    await bench.run(1);
    expect(host.cpuUsedCores).toBeCloseTo(1.05);
    const report = echo?.report();
    expect(report?.gaps).toHaveLength(1);
    expect((report?.sent ?? 0) - (report?.answered ?? 0)).toBeGreaterThanOrEqual(19);
    expect(await bench.places()).toEqual(['running', null]);
  });

  test('is aborted when it goes on, the other end can be left behind at once', async () => {
    const stuck = await copying();
    stuck.copyAt(stuck.source)?.pause();
    const aborted = outcomeOf(stuck.bench.hypervisors[0].abortJob(stuck.bench.guest.vmId, stuck.bench.signal));
    await stuck.bench.run(11);
    expect(await aborted).toBe('hypervisor-unavailable');
    expect(await stuck.bench.places()).toEqual(['running', 'incoming']);
    const free = await copying();
    free.copyAt(free.destination)?.pause();
    expect(
      await free.bench.settled(outcomeOf(free.bench.hypervisors[0].abortJob(free.bench.guest.vmId, free.bench.signal))),
    ).toBeUndefined();
    await free.bench.run(1);
    expect(await free.outcome).toBe('aborted');
    expect(await free.bench.places()).toEqual(['running', null]);
  });
});

describe('a libvirtd that stands still', () => {
  test('answers when it goes on; whoever has waited for 10 s gives up', async () => {
    const bench = new Bench(idle);
    const [hypervisor] = bench.hypervisors;
    const { libvirtd } = bench.world.host('host1');
    libvirtd.pause();
    const early = outcomeOf(hypervisor.listVms(bench.signal));
    await bench.run(12);
    const late = outcomeOf(hypervisor.listVms(bench.signal));
    await bench.run(2);
    libvirtd.goOn();
    await bench.run(1);
    expect(await early).toBe('hypervisor-unavailable');
    expect(await late).toMatchObject([{ name: 'web' }]);
  });

  test.each(['source', 'destination'] as const)(
    'at the %s does not hold up the copy, and ends it when its keep-alive is missed',
    async (end) => {
      const brief = await copying();
      brief[end].libvirtd.pause();
      await brief.bench.run(5);
      brief[end].libvirtd.goOn();
      await brief.bench.run(12);
      expect(await brief.outcome).toEqual(isOutcome);
      const long = await copying({ linkBytesPerSecond: 10 * 2 ** 20 });
      long[end].libvirtd.pause();
      await long.bench.run(30);
      long[end].libvirtd.goOn();
      await long.bench.run(2);
      expect(await long.outcome).toBe('hypervisor-failed');
      expect(await long.bench.places()).toEqual(['running', null]);
    },
  );

  test('keeps the VM stopped in the switch-over, until it goes on', async () => {
    const { bench, outcome, destination } = await copying();
    bench.world.onStage((_job, stage) => {
      if (stage === 'switch-over') destination.libvirtd.pause();
    });
    await bench.run(25);
    expect(bench.stages).toEqual(['transfer', 'switch-over']);
    expect(bench.world.copiesOf(bench.guest.vmId).map(({ copy }) => copy.state)).toEqual(['paused', 'incoming']);
    destination.libvirtd.goOn();
    await bench.run(2);
    expect(await outcome).toEqual(isOutcome);
  });

  test('dies like any other', async () => {
    const { libvirtd } = new Bench(idle).world.host('host1');
    libvirtd.pause();
    libvirtd.kill();
    libvirtd.start();
    expect(libvirtd.runs).toBe(true);
  });
});

describe('a hypervisor that lies', () => {
  test('says that it has moved a VM, which runs on where it was; the destination has nothing', async () => {
    const { bench, outcome, source } = await copying();
    source.lies.aboutOutcome = true;
    await bench.run(30);
    expect(await outcome).toEqual(isOutcome);
    expect(await bench.places()).toEqual(['running', null]);
    source.lies.aboutOutcome = false;
    const again = bench.migrate();
    await bench.run(30);
    expect(await again).toEqual(isOutcome);
    expect(await bench.places()).toEqual([null, 'running']);
  });

  test('hides a VM, or claims one, in all that it says', async () => {
    const bench = new Bench(idle);
    const { guest, signal, hypervisors } = bench;
    bench.world.host('host1').lies.presence = { kind: 'hides', guest };
    bench.world.host('host2').lies.presence = { kind: 'claims', guest };
    expect(await bench.places()).toEqual([null, 'running']);
    for (const [index, there] of [0, 1].entries()) {
      const hypervisor = hypervisors[index === 0 ? 0 : 1];
      expect(await bench.settled(hypervisor.listVms(signal))).toHaveLength(there);
      expect(await bench.settled(hypervisor.sampleVms(signal))).toHaveLength(there);
      expect(await bench.settled(hypervisor.standing(guest.vmId, signal))).toBe(there === 1 ? 'here' : 'absent');
    }
    bench.world.host('host1').lies.presence = null;
    bench.world.host('host2').lies.presence = null;
    expect(await bench.places()).toEqual(['running', null]);
  });
});
