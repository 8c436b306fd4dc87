/** The host's own load, from /proc, or from the cgroup that the host is confined to. */
import { join } from 'node:path';
import { PlimsollError } from '#core/model/result.ts';
import type { HostRates, HostReading, Pressure } from '#core/model/sample.ts';
import { bytes, cores } from '#core/model/units.ts';
import type { Clock, HostMeter } from '#core/ports.ts';
import { DeviceMeter } from './device-rates.ts';
import {
  type DeviceBytes,
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
import { SystemClock } from './system-clock.ts';
import { readTextFile } from './text-file.ts';

export interface LinuxHostMeterOptions {
  /**
   * For a host that has only a part of the machine. `cpuDirectory` holds the quota (v2 `cpu.max`, v1
   * `cpu.cfs_quota_us`), `pressureDirectory` is the host's group in the v2 hierarchy (`*.pressure`).
   * Usage is read where it is found first: v2 `cpu.stat` or v1 `cpuacct.usage` of `cpuDirectory`, then
   * `cpu.stat` of `pressureDirectory` (v2 counts it without any controller).
   */
  readonly cgroup?: { readonly cpuDirectory: string; readonly pressureDirectory: string } | null;
  /** For a host that has only a part of the machine's memory. */
  readonly memoryCapacityBytes?: number | null;
  /** What of it is in use; without it, the resident memory of the processes in `pressureDirectory`, or of the machine. */
  readonly memoryUsedBytes?: () => number;
  readonly clock?: Pick<Clock, 'monotonicMs'>;
  /** Where proc is mounted; tests give a directory of sample files. */
  readonly procDirectory?: string;
  /** The same for sysfs. */
  readonly sysDirectory?: string;
}

/** CPU time at work so far, on a scale (`elapsed`) of the same unit, and the cores there are. */
interface CpuReading {
  readonly used: number;
  /** On the same scale; null where it is not told apart. */
  readonly stolen: number | null;
  readonly elapsed: number;
  /** How many cores one unit of `used` per unit of `elapsed` is. */
  readonly coresPerUnit: number;
  readonly capacityCores: number;
}

/** Rejects with `config-invalid` when a file is missing or unreadable, `internal` when it is malformed. */
export class LinuxHostMeter implements HostMeter {
  readonly #options: LinuxHostMeterOptions;
  readonly #proc: string;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #network: DeviceMeter;
  readonly #disks: DeviceMeter;
  #previous: CpuReading | null = null;

  constructor(options: LinuxHostMeterOptions = {}) {
    this.#options = options;
    this.#proc = options.procDirectory ?? '/proc';
    this.#clock = options.clock ?? new SystemClock();
    const sys = options.sysDirectory ?? '/sys';
    this.#network = new DeviceMeter(join(sys, 'class/net'));
    this.#disks = new DeviceMeter(join(sys, 'block'));
  }

  async read(signal: AbortSignal): Promise<HostReading> {
    const [cpu, memory, pressure, devices] = await Promise.all([
      this.#readCpu(signal),
      this.#readMemory(signal),
      this.#readPressure(signal),
      this.#readDevices(signal),
    ]);
    const cpuUsedCores = coresBetween(this.#previous, cpu, 'used');
    const cpuStealCores = coresBetween(this.#previous, cpu, 'stolen');
    // Two readings within one tick have no rate; the older one stays the base.
    if (this.#previous === null || cpu.elapsed > this.#previous.elapsed) this.#previous = cpu;
    return {
      cpuUsedCores: cpuUsedCores === null ? null : cores(cpuUsedCores),
      memoryUsedBytes: bytes(memory.usedBytes),
      capacity: { cpuCores: cores(cpu.capacityCores), memoryBytes: bytes(memory.totalBytes) },
      pressure,
      rates: { cpuStealCores: cpuStealCores === null ? null : cores(cpuStealCores), ...devices },
    };
  }

  async #readCpu(signal: AbortSignal): Promise<CpuReading> {
    const machine = parseProcStat(await needed(join(this.#proc, 'stat'), signal));
    const { cgroup } = this.#options;
    if (!cgroup) {
      const { busyTicks: used, stealTicks: stolen, totalTicks: elapsed, onlineCpus } = machine;
      // Ticks of all CPUs: a whole tick at work per tick is all of them.
      return { used, stolen, elapsed, coresPerUnit: onlineCpus, capacityCores: onlineCpus };
    }
    const quota = await readQuota(cgroup.cpuDirectory, signal);
    const used = await readUsageMs(cgroup.cpuDirectory, cgroup.pressureDirectory, signal);
    const capacityCores = Math.min(quota ?? machine.onlineCpus, machine.onlineCpus);
    return { used, stolen: null, elapsed: this.#clock.monotonicMs(), coresPerUnit: 1, capacityCores };
  }

  async #readMemory(signal: AbortSignal): Promise<{ readonly totalBytes: number; readonly usedBytes: number }> {
    const { cgroup, memoryCapacityBytes, memoryUsedBytes } = this.#options;
    const machine = parseMeminfo(await needed(join(this.#proc, 'meminfo'), signal));
    const totalBytes = memoryCapacityBytes ?? machine.totalBytes;
    if (memoryUsedBytes) return { totalBytes, usedBytes: memoryUsedBytes() };
    if (cgroup && memoryCapacityBytes) return { totalBytes, usedBytes: await this.#residentBytes(cgroup.pressureDirectory, signal) };
    return { totalBytes, usedBytes: machine.usedBytes };
  }

  /** Disks belong to the whole machine: a host that has a part of it does not say what they do. */
  async #readDevices(signal: AbortSignal): Promise<Omit<HostRates, 'cpuStealCores'>> {
    const network = await this.#network.rates(await this.#listed('net/dev', parseNetDevices, signal), this.#clock.monotonicMs());
    const listed = this.#options.cgroup ? [] : await this.#listed('diskstats', parseDiskstats, signal);
    const disks = await this.#disks.rates(listed, this.#clock.monotonicMs());
    return {
      netReceivedBytesPerSecond: network.inBytesPerSecond,
      netSentBytesPerSecond: network.outBytesPerSecond,
      diskReadBytesPerSecond: disks.inBytesPerSecond,
      diskWrittenBytesPerSecond: disks.outBytesPerSecond,
    };
  }

  /** Nothing where this kernel has no such file. */
  async #listed(
    name: string,
    devicesIn: (text: string, file: string) => readonly DeviceBytes[],
    signal: AbortSignal,
  ): Promise<readonly DeviceBytes[]> {
    const path = join(this.#proc, name);
    const text = await readTextFile(path, signal);
    return text === null ? [] : devicesIn(text, path);
  }

  /** Of all processes in a v2 group; what they share is counted for each. */
  async #residentBytes(directory: string, signal: AbortSignal): Promise<number> {
    const path = join(directory, 'cgroup.procs');
    const pids = parseProcessIds(await needed(path, signal), path);
    const sizes = await Promise.all(
      pids.map(async (pid) => {
        const statusPath = join(this.#proc, String(pid), 'status');
        const text = await readTextFile(statusPath, signal);
        return text === null ? 0 : parseResident(text);
      }),
    );
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  /** Null where the kernel has no pressure information. */
  async #readPressure(signal: AbortSignal): Promise<Pressure | null> {
    const { cgroup } = this.#options;
    const read = async (resource: 'cpu' | 'memory' | 'io'): Promise<number | null> => {
      const path = cgroup ? join(cgroup.pressureDirectory, `${resource}.pressure`) : join(this.#proc, 'pressure', resource);
      const text = await readTextFile(path, signal);
      return text === null ? null : parsePressure(text, path);
    };
    const [cpuSomePercent, memorySomePercent, ioSomePercent] = await Promise.all([read('cpu'), read('memory'), read('io')]);
    if (cpuSomePercent === null || memorySomePercent === null || ioSomePercent === null) return null;
    return { cpuSomePercent, memorySomePercent, ioSomePercent };
  }
}

/** Null on the first reading, within one tick, and where it is not told. */
function coresBetween(previous: CpuReading | null, now: CpuReading, figure: 'used' | 'stolen'): number | null {
  if (previous === null || now.elapsed <= previous.elapsed) return null;
  const [before, after] = [previous[figure], now[figure]];
  if (before === null || after === null) return null;
  // The kernel's counters may step back by a tick when CPUs go on- or offline.
  return (Math.max(0, after - before) / (now.elapsed - previous.elapsed)) * now.coresPerUnit;
}

async function needed(path: string, signal: AbortSignal): Promise<string> {
  const text = await readTextFile(path, signal);
  if (text === null)
    throw new PlimsollError('config-invalid', `${path} does not exist; check that the path is right and the file system mounted.`);
  return text;
}

/** Cores by quota; null = no quota. */
async function readQuota(directory: string, signal: AbortSignal): Promise<number | null> {
  const newFile = join(directory, 'cpu.max');
  const unified = await readTextFile(newFile, signal);
  if (unified !== null) return parseCpuMax(unified, newFile);
  const oldFile = join(directory, 'cpu.cfs_quota_us');
  return parseCfsQuota(await needed(oldFile, signal), await needed(join(directory, 'cpu.cfs_period_us'), signal), oldFile);
}

/** CPU time used by the group so far, in milliseconds. */
async function readUsageMs(cpuDirectory: string, pressureDirectory: string, signal: AbortSignal): Promise<number> {
  const own = join(cpuDirectory, 'cpu.stat');
  const ownText = await readTextFile(own, signal);
  const ownUsage = ownText === null ? null : parseCpuStat(ownText, own);
  if (ownUsage !== null) return ownUsage;
  const accounting = join(cpuDirectory, 'cpuacct.usage');
  const accountingText = await readTextFile(accounting, signal);
  if (accountingText !== null) return parseCpuacctUsage(accountingText, accounting);
  const unified = join(pressureDirectory, 'cpu.stat');
  const usage = parseCpuStat(await needed(unified, signal), unified);
  if (usage === null)
    throw new PlimsollError('config-invalid', `${unified} has no usage_usec; give the host's group in the cgroup v2 hierarchy.`);
  return usage;
}
