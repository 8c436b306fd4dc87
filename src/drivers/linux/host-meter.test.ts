import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LinuxHostMeter } from './host-meter.ts';

const signal = new AbortController().signal;
const pressureOf = (percent: number): string => `some avg10=${percent.toFixed(2)} avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00\n`;
const statOf = (busy: number, idle: number): string => `cpu  ${busy} 0 0 ${idle} 0 0 0 0 0 0\ncpu0 0 0 0 0\ncpu1 0 0 0 0\n`;

const noRates = {
  cpuStealCores: null,
  netReceivedBytesPerSecond: null,
  netSentBytesPerSecond: null,
  diskReadBytesPerSecond: null,
  diskWrittenBytesPerSecond: null,
};
const networkOf = (...lines: readonly string[]): string => `heading\nheading\n${lines.join('\n')}\n`;
const interfaceOf = (name: string, inBytes: number, outBytes: number): string =>
  `${name}: ${inBytes} 0 0 0 0 0 0 0 ${outBytes} 0 0 0 0 0 0 0`;

describe('LinuxHostMeter', () => {
  let root: string;
  let timeMs: number;
  const clock = { monotonicMs: () => timeMs };
  const put = async (name: string, text: string): Promise<void> => {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text);
  };
  const whole = (): LinuxHostMeter => new LinuxHostMeter({ procDirectory: join(root, 'proc'), sysDirectory: join(root, 'sys'), clock });
  const confined = (): LinuxHostMeter =>
    new LinuxHostMeter({
      procDirectory: join(root, 'proc'),
      sysDirectory: join(root, 'sys'),
      clock,
      cgroup: { cpuDirectory: join(root, 'cpu'), pressureDirectory: join(root, 'unified') },
      memoryCapacityBytes: 1_000_000,
    });

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'plimsoll-meter-'));
    timeMs = 1000;
    await put('proc/stat', statOf(1000, 1000));
    await put('proc/meminfo', 'MemTotal: 4000 kB\nMemAvailable: 3000 kB\n');
    for (const [resource, percent] of [
      ['cpu', 1],
      ['memory', 2],
      ['io', 3],
    ] as const) {
      await put(`proc/pressure/${resource}`, pressureOf(percent));
      await put(`unified/${resource}.pressure`, pressureOf(percent * 10));
    }
    await put('cpu/cpu.cfs_quota_us', '50000\n');
    await put('cpu/cpu.cfs_period_us', '100000\n');
    await put('cpu/cpu.stat', 'nr_periods 0\nnr_throttled 0\nthrottled_time 0\n');
    await put('unified/cpu.stat', 'usage_usec 1000000\n');
    await put('unified/cgroup.procs', '0\n7\n8\n9\n');
    await put('proc/7/status', 'Name:\tqemu\nVmRSS:\t 100 kB\n');
    await put('proc/8/status', 'Name:\tqemu\nVmRSS:\t 50 kB\n');
  });
  afterEach(() => rm(root, { recursive: true }));

  it('has no CPU rate on the first reading, and then the cores at work between two readings', async () => {
    const meter = whole();
    expect(await meter.read(signal)).toEqual({
      cpuUsedCores: null,
      memoryUsedBytes: 1000 * 1024,
      capacity: { cpuCores: 2, memoryBytes: 4000 * 1024 },
      pressure: { cpuSomePercent: 1, memorySomePercent: 2, ioSomePercent: 3 },
      rates: noRates,
    });
    await put('proc/stat', statOf(1150, 1050));
    expect((await meter.read(signal)).cpuUsedCores).toBe(1.5);
  });

  it('has no rate between two readings in one tick, and loses no work by it', async () => {
    const meter = whole();
    await meter.read(signal);
    expect((await meter.read(signal)).cpuUsedCores).toBeNull();
    await put('proc/stat', statOf(1100, 1100));
    expect((await meter.read(signal)).cpuUsedCores).toBe(1);
  });

  it('never gives negative work when a counter of the kernel steps back', async () => {
    const meter = whole();
    await meter.read(signal);
    await put('proc/stat', statOf(999, 1101));
    expect((await meter.read(signal)).cpuUsedCores).toBe(0);
  });

  it('gives a confined host its quota, its own usage, pressure and memory (cgroup v1 quota, v2 accounting)', async () => {
    const meter = confined();
    await meter.read(signal);
    timeMs += 2000;
    await put('unified/cpu.stat', 'usage_usec 1500000\n');
    expect(await meter.read(signal)).toEqual({
      cpuUsedCores: 0.25,
      memoryUsedBytes: 150 * 1024,
      capacity: { cpuCores: 0.5, memoryBytes: 1_000_000 },
      pressure: { cpuSomePercent: 10, memorySomePercent: 20, ioSomePercent: 30 },
      rates: noRates,
    });
  });

  it('reads a v1 group with its own accounting, and a v2 group', async () => {
    const meter = confined();
    await put('cpu/cpuacct.usage', '1000000000\n');
    await meter.read(signal);
    timeMs += 1000;
    await put('cpu/cpuacct.usage', '1250000000\n');
    expect((await meter.read(signal)).cpuUsedCores).toBe(0.25);

    await put('cpu/cpu.max', 'max 100000\n');
    await put('cpu/cpu.stat', 'usage_usec 5000000\n');
    const unified = confined();
    await unified.read(signal);
    timeMs += 1000;
    await put('cpu/cpu.stat', 'usage_usec 5750000\n');
    expect(await unified.read(signal)).toMatchObject({ cpuUsedCores: 0.75, capacity: { cpuCores: 2 } });
  });

  it('tells what a hypervisor below took from it', async () => {
    const meter = whole();
    await meter.read(signal);
    await put('proc/stat', `cpu  1100 0 0 1050 0 0 0 50 0 0\ncpu0 0 0 0 0\ncpu1 0 0 0 0\n`);
    expect(await meter.read(signal)).toMatchObject({ cpuUsedCores: 1, rates: { cpuStealCores: 0.5 } });
  });

  it('tells what goes through its cards and disks, and nothing of what is stacked on them', async () => {
    await mkdir(join(root, 'sys/class/net/eth0/device'), { recursive: true });
    await mkdir(join(root, 'sys/block/cciss!c0d0/device'), { recursive: true });
    await put('proc/net/dev', networkOf(interfaceOf('eth0', 1000, 0), interfaceOf('vnet0', 1000, 0)));
    await put('proc/diskstats', '104 0 cciss/c0d0 0 0 0 0 0 0 10 0\n253 0 dm-0 0 0 0 0 0 0 10 0\n');
    const [meter, part] = [whole(), confined()];
    for (const one of [meter, part]) expect((await one.read(signal)).rates).toEqual(noRates);
    timeMs += 2000;
    await put('proc/net/dev', networkOf(interfaceOf('eth0', 5000, 6000), interfaceOf('vnet0', 9000, 9000)));
    await put('proc/diskstats', '104 0 cciss/c0d0 0 0 4 0 0 0 14 0\n253 0 dm-0 0 0 4 0 0 0 14 0\n');
    const network = { netReceivedBytesPerSecond: 2000, netSentBytesPerSecond: 3000 };
    expect((await meter.read(signal)).rates).toMatchObject({ ...network, diskReadBytesPerSecond: 1024, diskWrittenBytesPerSecond: 1024 });
    expect((await part.read(signal)).rates).toEqual({ ...noRates, ...network });
  });

  it('does not take a card that was put in anew for a flood', async () => {
    await mkdir(join(root, 'sys/class/net/eth0/device'), { recursive: true });
    await put('proc/net/dev', networkOf(interfaceOf('eth0', 9000, 9000)));
    const meter = whole();
    await meter.read(signal);
    timeMs += 1000;
    await put('proc/net/dev', networkOf(interfaceOf('eth0', 10, 10)));
    expect((await meter.read(signal)).rates).toEqual(noRates);
  });

  it('has no pressure where the kernel has none', async () => {
    await rm(join(root, 'proc/pressure'), { recursive: true });
    expect((await whole().read(signal)).pressure).toBeNull();
  });

  it('says which file is missing or malformed', async () => {
    await put('proc/stat', 'nonsense');
    await expect(whole().read(signal)).rejects.toMatchObject({
      code: 'internal',
      message: expect.stringContaining('/proc/stat') as string,
    });
    await rm(join(root, 'proc/stat'));
    await expect(whole().read(signal)).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining('proc/stat') as string,
    });
  });

  it('stops when aborted', async () => {
    const reason = new Error('stop');
    await expect(whole().read(AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});
