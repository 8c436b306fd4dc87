import { describe, expect, test } from 'vitest';
import { Bench, outcomeOf } from './bench.ts';
import { plainOptions } from './examples.ts';
import { SimCostMeter } from './cost-meter.ts';

const mebibyte = 2 ** 20;
const writing = { dirtyMiBPerSecond: 60, workingSetMiB: 400 };

describe('a simulated hypervisor', () => {
  test('finds in a look at the memory exactly what is written meanwhile', async () => {
    const bench = new Bench(writing);
    const { vmId } = bench.guest;
    const looking = bench.hypervisors[0].lookAtMemory(vmId, 3000, bench.signal);
    await bench.run(4);
    const look = await looking;
    expect(look.forMs).toBe(3000);
    expect(look.bytes).toBeCloseTo(400 * mebibyte * (1 - Math.exp((-3 * 60) / 400)));
    const inUse = await bench.settled(bench.hypervisors[0].memoryInUse(vmId, bench.signal));
    expect(inUse).toEqual({ usedBytes: 1024 * mebibyte, boundBytes: 1024 * mebibyte, grainBytes: 0 });
  });

  test('looks at no VM that is not there or does not run', async () => {
    const bench = new Bench(writing);
    const [source, destination] = bench.hypervisors;
    const { vmId } = bench.guest;
    expect(await bench.settled(outcomeOf(destination.lookAtMemory(vmId, 1000, bench.signal)))).toBe('vm-unknown');
    void bench.migrate({ method: 'stop-and-copy' });
    await bench.run(1);
    expect(await bench.settled(outcomeOf(source.lookAtMemory(vmId, 1000, bench.signal)))).toBe('vm-not-running');
  });

  test('refuses what libvirt 9.0 and QEMU 7.2 cannot do, by word and by deed', async () => {
    const bench = new Bench(writing);
    const [source] = bench.hypervisors;
    const cases = [
      [{ compression: 'zstd', streams: 4 }, 'method-unsupported'],
      [{ compression: 'zlib' }, 'method-unsupported'],
      [{ method: 'hybrid', streams: 2 }, 'method-unsupported'],
      [{ method: 'post-copy', streams: 2 }, 'method-unsupported'],
      [{ method: 'post-copy' }, undefined],
      [{ streams: 4 }, undefined],
      [{ compression: 'xbzrle', autoConverge: { initialPercent: 20, incrementPercent: 10 } }, undefined],
    ] as const;
    for (const [options, code] of cases) {
      const fault = await bench.settled(source.methodFault({ ...plainOptions, ...options }, bench.signal));
      expect({ options, code: fault?.code }).toEqual({ options, code });
      if (code !== undefined) expect(await bench.settled(bench.migrate(options))).toBe(code);
    }
  });

  test('offers what its host is said to offer', async () => {
    const bench = new Bench(writing, { machines: ['pc-q35-6.2'], cpu: 'incompatible', networks: [] });
    const [source, destination] = bench.hypervisors;
    const { definition, text } = await bench.settled(source.define(bench.guest.vmId, bench.signal));
    expect(definition).toMatchObject({ name: 'web', machine: 'pc-q35-7.2', interfaces: [{ source: 'br0', mac: bench.guest.mac }] });
    expect(await bench.settled(destination.offerFor(definition, text, bench.signal))).toMatchObject({
      machines: ['pc-q35-6.2'],
      cpu: 'incompatible',
      networks: [],
      disks: [{ target: 'vda', reachable: true }],
      leasesMissing: [],
    });
  });

  test('changes no job that it does not have', async () => {
    const bench = new Bench(writing);
    const stop = (at: 0 | 1) => outcomeOf(bench.hypervisors[at].changeJob(bench.guest.vmId, { kind: 'stop' }, bench.signal));
    expect(await bench.settled(stop(0))).toBe('vm-busy');
    void bench.migrate();
    await bench.run(2);
    expect(await bench.settled(stop(1))).toBe('vm-busy');
  });

  test('does not resume a VM that a job has halted', async () => {
    const bench = new Bench(writing);
    void bench.migrate({ method: 'stop-and-copy' });
    await bench.run(2);
    expect(await bench.settled(outcomeOf(bench.hypervisors[0].resume(bench.guest.vmId, bench.signal)))).toBe('vm-busy');
  });
});

test('what a migration costs grows with its bytes on both hosts, and is kept when the VM has left', async () => {
  const bench = new Bench({ dirtyMiBPerSecond: 0, workingSetMiB: 0 });
  const meters = ['host1', 'host2'].map((hostId) => new SimCostMeter(bench.time, bench.world.host(hostId)));
  const read = () => bench.settled(Promise.all(meters.map((meter) => meter.read(bench.guest.vmId, bench.signal))));
  const [before] = await read();
  void bench.migrate();
  await bench.run(10);
  const [source, destination] = await read();
  const spent = source?.hypervisorCpuSeconds ?? 0;
  expect(spent - (before?.hypervisorCpuSeconds ?? 0)).toBeGreaterThan(1);
  expect(destination?.hypervisorCpuSeconds).toBeGreaterThan(1);
  expect(await bench.settled(bench.hypervisors[1].overheadCpuSeconds(bench.guest.vmId, bench.signal))).toBeGreaterThan(1);
  await bench.run(20);
  const [gone] = await read();
  expect(bench.world.host('host1').copies).toEqual([]);
  expect(gone?.hypervisorCpuSeconds).toBeGreaterThan(spent);
  bench.world.host('host1').libvirtd.kill();
  expect((await read())[0]?.hypervisorCpuSeconds).toBeNull();
});
