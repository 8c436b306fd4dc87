/**
 * Parsers of the kernel's text files about load. Pure; each throws PlimsollError `internal` that names the
 * file when the text is not in the documented form (proc(5), cgroups(7), Documentation/accounting/psi.rst).
 */
import { PlimsollError } from '#core/model/result.ts';

export interface CpuTicks {
  /** Time at work, in ticks: all but idle, waiting for I/O, and stolen by a hypervisor below. */
  readonly busyTicks: number;
  /** Time that the hypervisor below gave to others while this machine had work; 0 on bare metal. */
  readonly stealTicks: number;
  readonly totalTicks: number;
  readonly onlineCpus: number;
}

function malformed(file: string, text: string): PlimsollError {
  return new PlimsollError(
    'internal',
    `${file} is not in the form the kernel documents; it starts with ${JSON.stringify(text.slice(0, 80))}.`,
  );
}

/** A non-negative decimal number, or an error that names the file. */
function numberIn(file: string, text: string, word: string | undefined): number {
  if (word === undefined || !/^\d+(\.\d+)?$/.test(word)) throw malformed(file, text);
  return Number(word);
}

/** /proc/stat. `guest` time is part of `user` already (proc(5)), so it is not added again. */
export function parseProcStat(text: string, file = '/proc/stat'): CpuTicks {
  const lines = text.split('\n');
  const all = lines.find((line) => line.startsWith('cpu '));
  const onlineCpus = lines.filter((line) => /^cpu\d+ /.test(line)).length;
  const words = all?.trim().split(/\s+/).slice(1, 9) ?? [];
  if (words.length < 4 || onlineCpus === 0) throw malformed(file, text);
  const [user = 0, nice = 0, system = 0, idle = 0, ioWait = 0, irq = 0, softIrq = 0, steal = 0] = words.map((word) =>
    numberIn(file, text, word),
  );
  const busyTicks = user + nice + system + irq + softIrq;
  return { busyTicks, stealTicks: steal, totalTicks: busyTicks + idle + ioWait + steal, onlineCpus };
}

/** /proc/meminfo: memory in use is what is not available to new programs without swapping. */
export function parseMeminfo(text: string, file = '/proc/meminfo'): { readonly totalBytes: number; readonly usedBytes: number } {
  const field = (name: string): number => {
    const match = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text);
    return numberIn(file, text, match?.[1]) * 1024;
  };
  const totalBytes = field('MemTotal');
  return { totalBytes, usedBytes: Math.max(0, totalBytes - field('MemAvailable')) };
}

/** A pressure file: mean of the `some` line over the last 10 s, in percent. */
export function parsePressure(text: string, file: string): number {
  return numberIn(file, text, /^some avg10=(\S+) /m.exec(text)?.[1]);
}

/** cgroup v2 `cpu.max` (`max 100000`, `50000 100000`); null = no quota. */
export function parseCpuMax(text: string, file: string): number | null {
  const [quota, period, ...rest] = text.trim().split(/\s+/);
  const periodMicros = numberIn(file, text, period);
  if (periodMicros === 0 || rest.length > 0) throw malformed(file, text);
  return quota === 'max' ? null : numberIn(file, text, quota) / periodMicros;
}

/** cgroup v1 `cpu.cfs_quota_us` and `cpu.cfs_period_us`; a quota of -1 = none, given as null. */
export function parseCfsQuota(quotaText: string, periodText: string, file: string): number | null {
  const periodMicros = numberIn(file, periodText, periodText.trim());
  if (periodMicros === 0) throw malformed(file, periodText);
  return quotaText.trim() === '-1' ? null : numberIn(file, quotaText, quotaText.trim()) / periodMicros;
}

/** cgroup v2 `cpu.stat`: CPU time used so far; null when it has no `usage_usec` (then it is a v1 file). */
export function parseCpuStat(text: string, file: string): number | null {
  if (text.trim() !== '' && !/^\w+ \d+$/m.test(text)) throw malformed(file, text);
  const match = /^usage_usec (.*)$/m.exec(text);
  return match === null ? null : numberIn(file, text, match[1]) / 1000;
}

/** cgroup v1 `cpuacct.usage`, nanoseconds in the file, milliseconds of CPU time here. */
export function parseCpuacctUsage(text: string, file: string): number {
  return numberIn(file, text, text.trim()) / 1e6;
}

/** `cgroup.procs`: one process id per line. Processes of another PID namespace are shown as 0 and left out. */
export function parseProcessIds(text: string, file: string): readonly number[] {
  const words = text.split('\n').filter((line) => line !== '');
  return words.map((word) => numberIn(file, text, word)).filter((pid) => pid > 0);
}

/** Bytes in and out of one device since it came up. */
export interface DeviceBytes {
  readonly name: string;
  readonly inBytes: number;
  readonly outBytes: number;
}

/** /proc/net/dev: two lines of headings, then `name: ` with 8 figures of receiving and 8 of sending, bytes first (proc(5)). */
export function parseNetDevices(text: string, file = '/proc/net/dev'): readonly DeviceBytes[] {
  const lines = text.split('\n').slice(2);
  return lines
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const colon = line.lastIndexOf(':');
      const words = line
        .slice(colon + 1)
        .trim()
        .split(/\s+/);
      if (colon < 1) throw malformed(file, text);
      return { name: line.slice(0, colon).trim(), inBytes: numberIn(file, text, words[0]), outBytes: numberIn(file, text, words[8]) };
    });
}

/** A sector of /proc/diskstats, whatever the disk's own is (Documentation/admin-guide/iostats.rst). */
const sectorBytes = 512;

/** /proc/diskstats: `major minor name`, then reads, merged, sectors read, ms, writes, merged, sectors written, and more. */
export function parseDiskstats(text: string, file = '/proc/diskstats'): readonly DeviceBytes[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => {
    const words = line.trim().split(/\s+/);
    const [name, read, written] = [words[2], words[5], words[9]];
    if (name === undefined) throw malformed(file, text);
    return { name, inBytes: numberIn(file, text, read) * sectorBytes, outBytes: numberIn(file, text, written) * sectorBytes };
  });
}

/** Resident memory in /proc/PID/status; 0 for a process without memory of its own (kernel thread, zombie). */
export function parseResident(text: string): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(text);
  return match === null ? 0 : Number(match[1]) * 1024;
}
