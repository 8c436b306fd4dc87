/** Finds daemons and reads the CPU time of processes, from proc(5). */
import { readdir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PlimsollError } from '#core/model/result.ts';
import { readTextFile, systemCode } from './text-file.ts';

/** A process and what it has used; `startTicks` tells it from a later one with the same number. */
export interface ProcessTime {
  readonly pid: number;
  readonly startTicks: number;
  readonly cpuSeconds: number;
}

/**
 * The unit of times in /proc (USER_HZ): 100 per second on every architecture that Node runs on, whatever rate the kernel's own timer has;
 * only Alpha and Itanium have another.
 */
const ticksPerSecond = 100;

/** /proc/PID/stat: user and system time of all threads, also of those that have ended. Throws `internal` for an unknown form. */
export function parseProcessStat(text: string, pid: number): ProcessTime & { readonly name: string } {
  // The name in parentheses may hold anything, parentheses and blanks too.
  const [open, close] = [text.indexOf('('), text.lastIndexOf(')')];
  // From the state on, which is field 3 of proc(5).
  const fields = text.slice(close + 2).split(' ');
  const [userTicks, systemTicks, startTicks] = [14, 15, 22].map((number) => Number(fields[number - 3] ?? 'missing'));
  const known = [userTicks, systemTicks, startTicks].every((value) => Number.isSafeInteger(value));
  if (open < 0 || close < open || !known || userTicks === undefined || systemTicks === undefined || startTicks === undefined)
    throw new PlimsollError(
      'internal',
      `/proc/${pid}/stat is not in the form that proc(5) documents: ${JSON.stringify(text.slice(0, 80))}`,
    );
  return { pid, startTicks, cpuSeconds: (userTicks + systemTicks) / ticksPerSecond, name: text.slice(open + 1, close) };
}

export class ProcessTable {
  readonly #proc: string;

  constructor(procDirectory = '/proc') {
    this.#proc = procDirectory;
  }

  /** Null when there is no such process. */
  async timeOf(pid: number, signal: AbortSignal): Promise<(ProcessTime & { readonly name: string }) | null> {
    const text = await readTextFile(join(this.#proc, String(pid), 'stat'), signal);
    return text === null ? null : parseProcessStat(text, pid);
  }

  /**
   * The oldest process with exactly one of these names, of this process's own user and PID namespace: users may run a libvirtd of their own, containers
   * have daemons too, and all show up here. The oldest, because a daemon's children have its name until they start a program. Null when there is none.
   */
  async find(names: readonly string[], signal: AbortSignal): Promise<ProcessTime | null> {
    const own = await this.#homeOf('self');
    const pids = (await readdir(this.#proc)).filter((name) => /^\d+$/.test(name));
    let oldest: ProcessTime | null = null;
    for (const pid of pids) {
      const name = await readTextFile(join(this.#proc, pid, 'comm'), signal);
      if (name === null || !names.includes(name.trimEnd()) || (await this.#homeOf(pid)) !== own) continue;
      const found = await this.timeOf(Number(pid), signal);
      if (found !== null && (oldest === null || isOlder(found, oldest))) oldest = found;
    }
    return oldest;
  }

  /** Such as `0 pid:[4026531836]`: user and PID namespace; null when the process is gone or may not be looked at. */
  async #homeOf(pid: string): Promise<string | null> {
    const folder = join(this.#proc, pid);
    try {
      const { uid } = await stat(`${folder}/.`);
      return `${uid} ${await readlink(join(folder, 'ns', 'pid'))}`;
    } catch (error) {
      if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(systemCode(error) ?? '')) return null;
      throw error;
    }
  }
}

function isOlder(one: ProcessTime, other: ProcessTime): boolean {
  return one.startTicks < other.startTicks || (one.startTicks === other.startTicks && one.pid < other.pid);
}
