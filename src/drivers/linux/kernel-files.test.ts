import { describe, expect, it } from 'vitest';
import { PlimsollError } from '#core/model/result.ts';
import {
  parseCfsQuota,
  parseCpuacctUsage,
  parseCpuMax,
  parseCpuStat,
  parseDiskstats,
  parseMeminfo,
  parseNetDevices,
  parsePressure,
  parseProcessIds,
  parseProcStat,
  parseResident,
} from './kernel-files.ts';

/** From a Linux 6.18 machine with two CPUs. */
const procStat = `cpu  8902 10 2827 176014 770 5 232 6038 100 0
cpu0 4284 10 1455 88050 546 0 93 2958 100 0
cpu1 4617 0 1371 87964 224 5 138 3079 0 0
intr 523369 0 0 0
ctxt 1068217
btime 1795313876
processes 18240
procs_running 1
`;

const meminfo = `MemTotal:        8144348 kB
MemFree:         5121700 kB
MemAvailable:    7012340 kB
Buffers:           60392 kB
`;

const netDevices = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 2776770   11307    0    0    0     0          0         0  2776770   11307    0    0    0     0       0          0
  eth0:1215645    2751    0    0    0     0          0         0  1782404    4324    0    0    0   427       0          0
`;

const diskstats = `   8       0 sda 120 4 2048 77 340 12 4096 95 0 120 172 0 0 0 0
 259       1 nvme0n1p1 0 0 0 0 1 0 8 0 0 0 0 0 0 0 0 0 0
`;

const pressure = `some avg10=12.07 avg60=0.51 avg300=0.71 total=12086097
full avg10=0.00 avg60=0.00 avg300=0.00 total=0
`;

const cpuStatV2 = 'usage_usec 120366087\nuser_usec 89501774\nsystem_usec 30864312\nnice_usec 0\n';
const cpuStatV1 = 'nr_periods 10\nnr_throttled 3\nthrottled_time 41234\n';

function codeAndText(parse: () => unknown): readonly [unknown, string] {
  try {
    return ['no error', String(parse())];
  } catch (error) {
    return error instanceof PlimsollError ? [error.code, error.message] : [error, ''];
  }
}

describe("the kernel's files about load", () => {
  it('counts work without idle, I/O wait and stolen time, and does not count guest time twice', () => {
    const busyTicks = 8902 + 10 + 2827 + 5 + 232;
    expect(parseProcStat(procStat)).toEqual({ busyTicks, stealTicks: 6038, totalTicks: busyTicks + 176014 + 770 + 6038, onlineCpus: 2 });
  });

  it('reads what went through each network interface and each disk, a sector being 512 bytes', () => {
    expect(parseNetDevices(netDevices)).toEqual([
      { name: 'lo', inBytes: 2776770, outBytes: 2776770 },
      { name: 'eth0', inBytes: 1215645, outBytes: 1782404 },
    ]);
    expect(parseDiskstats(diskstats)).toEqual([
      { name: 'sda', inBytes: 2048 * 512, outBytes: 4096 * 512 },
      { name: 'nvme0n1p1', inBytes: 0, outBytes: 8 * 512 },
    ]);
    expect(parseDiskstats('')).toEqual([]);
  });

  it('takes as used memory what is not available', () => {
    expect(parseMeminfo(meminfo)).toEqual({ totalBytes: 8144348 * 1024, usedBytes: (8144348 - 7012340) * 1024 });
  });

  it('reads the mean of the last 10 s of the some line', () => {
    expect(parsePressure(pressure, 'cpu.pressure')).toBe(12.07);
  });

  it('reads quotas of both cgroup versions in cores, and none as null', () => {
    expect(parseCpuMax('50000 100000\n', 'cpu.max')).toBe(0.5);
    expect(parseCpuMax('max 100000\n', 'cpu.max')).toBeNull();
    expect(parseCfsQuota('150000\n', '100000\n', 'cpu.cfs_quota_us')).toBe(1.5);
    expect(parseCfsQuota('-1\n', '100000\n', 'cpu.cfs_quota_us')).toBeNull();
  });

  it('reads usage of both cgroup versions in milliseconds, and tells the v1 file that has none', () => {
    expect(parseCpuStat(cpuStatV2, 'cpu.stat')).toBe(120366.087);
    expect(parseCpuStat(cpuStatV1, 'cpu.stat')).toBeNull();
    expect(parseCpuacctUsage('122901658694\n', 'cpuacct.usage')).toBe(122901.658694);
  });

  it('lists the processes of a group without those of other namespaces, and their resident memory', () => {
    expect(parseProcessIds('12\n0\n345\n', 'cgroup.procs')).toEqual([12, 345]);
    expect(parseProcessIds('', 'cgroup.procs')).toEqual([]);
    expect(parseResident('Name:\tqemu\nVmRSS:\t  2048 kB\n')).toBe(2048 * 1024);
    expect(parseResident('Name:\tkthreadd\n')).toBe(0);
  });

  it.each<readonly [string, string, (text: string) => unknown]>([
    ['/proc/stat', '', parseProcStat],
    ['/proc/stat', 'cpu  1 2 3\ncpu0 1 2 3\n', parseProcStat],
    ['/proc/stat', procStat.replace('2827', 'x'), parseProcStat],
    ['/proc/stat', 'cpu  1 2 3 4 5 6 7 8 9 0\n', parseProcStat],
    ['/proc/meminfo', 'MemTotal: 12 kB\n', parseMeminfo],
    ['io.pressure', 'some avg10=-1.00 avg60=0\n', (text) => parsePressure(text, 'io.pressure')],
    ['/proc/net/dev', 'a\nb\neth0 1 2\n', parseNetDevices],
    ['/proc/net/dev', 'a\nb\neth0: 1 2\n', parseNetDevices],
    ['/proc/diskstats', '8 0\n', parseDiskstats],
    ['io.pressure', '', (text) => parsePressure(text, 'io.pressure')],
    ['cpu.max', 'max\n', (text) => parseCpuMax(text, 'cpu.max')],
    ['cpu.max', '1 0\n', (text) => parseCpuMax(text, 'cpu.max')],
    ['cfs', '-2\n', (text) => parseCfsQuota(text, '100000', 'cfs')],
    ['cpu.stat', 'usage_usec many\n', (text) => parseCpuStat(text, 'cpu.stat')],
    ['cpu.stat', '<html>\n', (text) => parseCpuStat(text, 'cpu.stat')],
    ['cpuacct.usage', '', (text) => parseCpuacctUsage(text, 'cpuacct.usage')],
    ['cgroup.procs', 'one\n', (text) => parseProcessIds(text, 'cgroup.procs')],
  ])('names %s when it is malformed: %j', (file, text, parse) => {
    const [code, message] = codeAndText(() => parse(text));
    expect(code).toBe('internal');
    expect(message).toContain(file);
  });
});
