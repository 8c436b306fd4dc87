/** CPU time of the processes of this host that a migration costs. */
import type { HostCost } from '#core/model/measures.ts';
import type { VmId } from '#core/model/vm.ts';
import type { CostMeter } from '#core/ports.ts';
import { type Counter, counted, emptyCounter, sumOf } from './cost-meter-counter.ts';
import { ProcessTable, type ProcessTime } from './cost-meter-processes.ts';

export interface LinuxCostMeterOptions {
  /** CPU seconds of the VM's process beyond its virtual CPUs; null when this host does not have the VM. */
  readonly overheadCpuSeconds: (vmId: VmId, signal: AbortSignal) => Promise<number | null>;
  /** Names of the processes as the kernel has them (`comm`), the whole name. */
  readonly hypervisorNames?: readonly string[];
  readonly ipsecNames?: readonly string[];
  /** Where proc is mounted; tests give a directory of sample files. */
  readonly procDirectory?: string;
  readonly ownPid?: number;
}

/** libvirt's one daemon, and its daemon for QEMU alone. */
const hypervisorNames: readonly string[] = ['libvirtd', 'virtqemud'];
/** strongSwan's daemon as `ipsec` and as systemd starts it. With kernel-libipsec it does ESP as well. */
const ipsecNames: readonly string[] = ['charon', 'charon-systemd'];

const vmsMax = 1000;

/**
 * Daemons are found by their names and not by their pid files: charon-systemd writes none, and one that a crash left behind names a stranger.
 * What has been found is looked for again only when it is gone.
 *
 * Values only grow while this object lives, across restarts of a daemon and across departures and returns of a VM: what is gone counts
 * with the last value that was read. So one should read now and then during a migration: QEMU's process ends with it on the source.
 * Before a VM arrives there is nothing of it to count, and the daemon alone counts.
 */
export class LinuxCostMeter implements CostMeter {
  readonly #options: LinuxCostMeterOptions;
  readonly #processes: ProcessTable;
  readonly #daemon: DaemonTime;
  readonly #charon: DaemonTime;
  readonly #overheads = new Map<VmId, Counter>();

  constructor(options: LinuxCostMeterOptions) {
    this.#options = options;
    this.#processes = new ProcessTable(options.procDirectory);
    this.#daemon = new DaemonTime(this.#processes, options.hypervisorNames ?? hypervisorNames);
    this.#charon = new DaemonTime(this.#processes, options.ipsecNames ?? ipsecNames);
  }

  /** Rejects only with the signal's reason; what cannot be read is null. */
  async read(vmId: VmId, signal: AbortSignal): Promise<HostCost> {
    signal.throwIfAborted();
    const [overhead, daemon, ipsecCpuSeconds, agent] = await Promise.all([
      orNull(this.#overhead(vmId, signal), signal),
      orNull(this.#daemon.read(signal), signal),
      orNull(this.#charon.read(signal), signal),
      orNull(this.#processes.timeOf(this.#options.ownPid ?? process.pid, signal), signal),
    ]);
    const hypervisorCpuSeconds = overhead === null || daemon === null ? null : overhead + daemon;
    return { hypervisorCpuSeconds, ipsecCpuSeconds, agentCpuSeconds: agent?.cpuSeconds ?? null };
  }

  async #overhead(vmId: VmId, signal: AbortSignal): Promise<number> {
    const value = await this.#options.overheadCpuSeconds(vmId, signal);
    const counter = counted(this.#overheads.get(vmId) ?? emptyCounter, value === null ? null : { id: vmId, value });
    // Put at the end: the one that was not asked for longest is forgotten first.
    this.#overheads.delete(vmId);
    this.#overheads.set(vmId, counter);
    const [eldest] = this.#overheads.keys();
    if (this.#overheads.size > vmsMax && eldest !== undefined) this.#overheads.delete(eldest);
    return sumOf(counter);
  }
}

/** The CPU time of a daemon, over all its lives. */
class DaemonTime {
  readonly #processes: ProcessTable;
  readonly #names: readonly string[];
  #found: ProcessTime | null = null;
  #counter: Counter = emptyCounter;

  constructor(processes: ProcessTable, names: readonly string[]) {
    this.#processes = processes;
    this.#names = names;
  }

  /** Null while there is no such process. */
  async read(signal: AbortSignal): Promise<number | null> {
    const now = (await this.#same(signal)) ?? (await this.#processes.find(this.#names, signal));
    this.#found = now;
    this.#counter = counted(this.#counter, now === null ? null : { id: `${now.pid} ${now.startTicks}`, value: now.cpuSeconds });
    return now === null ? null : sumOf(this.#counter);
  }

  async #same(signal: AbortSignal): Promise<ProcessTime | null> {
    if (this.#found === null) return null;
    const now = await this.#processes.timeOf(this.#found.pid, signal);
    return now?.startTicks === this.#found.startTicks && this.#names.includes(now.name) ? now : null;
  }
}

async function orNull<Value>(value: Promise<Value>, signal: AbortSignal): Promise<Value | null> {
  try {
    return await value;
  } catch {
    signal.throwIfAborted();
    return null;
  }
}
