import { readFile, readlink } from 'node:fs/promises';
import { LabError } from './errors.ts';
import { LAB_INIT } from './layout.ts';
import { processesOf } from './cgroup.ts';
import { must, run } from './process.ts';
import type { RunOptions, RunResult } from './process.ts';
import { Supervisor } from './supervisor.ts';

export interface MachineSpec {
  readonly name: string;
  readonly netNamespacePath: string;
  readonly pidFile: string;
  /** As seen from outside. */
  readonly socketPath: string;
  /** As process 1 sees it after its mounts. */
  readonly socketPathInside: string;
  /** First the version 2 group. */
  readonly cgroups: readonly string[];
  readonly overlays: readonly string[];
  readonly binds: readonly string[];
}

/** Starts process 1 of a machine; it listens when this returns. */
export async function bootMachine(spec: MachineSpec, signal?: AbortSignal): Promise<void> {
  const several = (key: string, values: readonly string[]): string[] => values.flatMap((value) => [key, value]);
  const identity = ['--name', spec.name, '--pid-file', spec.pidFile, '--socket', spec.socketPathInside];
  const place = ['--net-namespace', spec.netNamespacePath, ...several('--cgroup', spec.cgroups)];
  const mounts = [...several('--overlay', spec.overlays), ...several('--bind', spec.binds)];
  await must([LAB_INIT, 'boot', ...identity, ...place, ...mounts], { signal, timeoutMs: 10_000, cleanEnvironment: true });
}

/** A machine of the lab as seen from outside: its process 1, its services, commands in it. */
export class Machine extends Supervisor {
  readonly spec: MachineSpec;

  constructor(spec: MachineSpec) {
    super(spec.name, spec.socketPath);
    this.spec = spec;
  }

  async pid1(): Promise<number> {
    const text = await readFile(this.spec.pidFile, 'utf8').catch(() => '');
    const pid = Number(text.trim());
    const [group = ''] = this.spec.cgroups;
    // The number may belong to another process by now; only one of this machine will do.
    if (pid > 0 && (await processesOf(group)).includes(pid)) return pid;
    throw new LabError('lab-unknown-host', `machine '${this.name}' is down: run 'plimsoll lab status'`);
  }

  /** Runs a command in the machine: its namespaces and its CPU capacity. */
  async exec(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run(await this.execArgv(argv), { cleanEnvironment: true, ...options });
  }

  async execArgv(argv: readonly string[]): Promise<string[]> {
    const groups = this.spec.cgroups.flatMap((group) => ['--cgroup', group]);
    return [LAB_INIT, 'exec', '--pid', `${await this.pid1()}`, ...groups, '--', ...argv];
  }

  /** Pid of a running service as this machine's `kill` wants it, or undefined while it does not run. */
  async servicePid(name: string): Promise<number | undefined> {
    const status = await this.service(name);
    return status?.state === 'running' ? this.outerPid(status.pidInside) : undefined;
  }

  /** Kills the service's process; the supervisor starts it again if it is one of restart 'always'. */
  async killService(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<number> {
    const pid = await this.servicePid(name);
    if (pid === undefined) throw new LabError('lab-unknown', `${this.name}: service '${name}' does not run`);
    process.kill(pid, signal);
    return pid;
  }

  /**
   * Translates a pid of the machine's namespace: the kernel lists both in /proc/PID/status (NSpid). Machines may
   * share a control group, and each of them has a process 2: the namespace has to be this machine's too.
   */
  async outerPid(pidInside: number): Promise<number | undefined> {
    const [group] = this.spec.cgroups;
    const own = await pidNamespace(await this.pid1());
    for (const pid of group === undefined ? [] : await processesOf(group)) {
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
      if (/^NSpid:.*\t(\d+)$/m.exec(status)?.[1] === `${pidInside}` && (await pidNamespace(pid)) === own) return pid;
    }
    return undefined;
  }
}

/** @returns undefined for a process that is gone. */
function pidNamespace(pid: number): Promise<string | undefined> {
  return readlink(`/proc/${pid}/ns/pid`).catch(() => undefined);
}
