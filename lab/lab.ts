import { findCgroupRoots, unifiedGroup } from './cgroup.ts';
import type { CgroupRoots } from './cgroup.ts';
import { LabError } from './errors.ts';
import { LabHandle } from './lab-handle.ts';
import { controllerSocket, hostDirectory, libvirtSocket, viciSocket } from './layout.ts';
import type { Layout } from './layout.ts';
import type { Machine } from './machine.ts';
import { hostMachine, infrastructureMachine } from './machines.ts';
import { changeRate } from './network.ts';
import type { RunOptions, RunResult } from './process.ts';
import { readRecord } from './record.ts';
import type { HostRecord, LabRecord } from './record.ts';
import type { ServiceStatus } from './supervisor.ts';
import { runningGuests, virsh } from './virsh.ts';

/** A host of the lab, used from outside its namespaces. */
export class LabHost {
  readonly name: string;
  /** Address on the network between hosts, where traffic is captured. */
  readonly underlay: string;
  /** Address on the host's loopback that only an IPsec channel reaches. */
  readonly protected: string;
  /** Paths that work outside the host. */
  readonly libvirtSocket: string;
  readonly viciSocket: string;
  /** Folder whose cpu.pressure, memory.pressure and io.pressure tell of this host. */
  readonly cgroup: string;
  /** The host's own /run, /etc/plimsoll, /var/log ... lie below as run, etc-plimsoll, log. */
  readonly directory: string;
  readonly machine: Machine;
  readonly #lab: Layout;

  constructor(roots: CgroupRoots, lab: Layout, record: HostRecord) {
    this.#lab = lab;
    this.name = record.name;
    this.underlay = record.underlay;
    this.protected = record.protected;
    this.libvirtSocket = libvirtSocket(lab, record.name);
    this.viciSocket = viciSocket(lab, record.name);
    this.cgroup = unifiedGroup(roots, lab, record.name);
    this.directory = hostDirectory(lab, record.name);
    this.machine = hostMachine(roots, lab, record.name);
  }

  /** Runs a command in the host, within the host's CPU capacity. */
  exec(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return this.machine.exec(argv, options);
  }

  services(): Promise<ServiceStatus[]> {
    return this.machine.services();
  }

  /** Pid outside the host of 'libvirtd', 'charon', 'agent', 'virtlogd' or 'virtlockd'; undefined while it does not run. */
  servicePid(name: string): Promise<number | undefined> {
    return this.machine.servicePid(name);
  }

  /** Kills a service (default SIGKILL) and returns the pid it had; process 1 starts it again after 0.1 s. */
  killService(name: string, signal?: NodeJS.Signals): Promise<number> {
    return this.machine.killService(name, signal);
  }

  /** Pid outside the host of a guest's QEMU; undefined when the guest does not run here. */
  async guestPid(guest: string): Promise<number | undefined> {
    const { code, stdout } = await this.exec(['cat', `/run/libvirt/qemu/${guest}.pid`]);
    return code === 0 ? this.machine.outerPid(Number(stdout.trim())) : undefined;
  }

  /** libvirt's own client on this host's daemon. @throws LabError when it reports a failure. */
  virsh(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return virsh(this.#lab, this.name, args, options);
  }

  runningGuests(options: RunOptions = {}): Promise<string[]> {
    return runningGuests(this.#lab, this.name, options);
  }

  /** Pulls the plug: every process of the host ends at once. The rest of the lab goes on without it. */
  async kill(): Promise<void> {
    process.kill(await this.machine.pid1(), 'SIGKILL');
  }
}

/** A lab of namespaces that is up. */
export class Lab extends LabHandle<LabHost> {
  readonly hosts: readonly LabHost[];
  readonly storage: Machine;

  constructor(roots: CgroupRoots, record: LabRecord) {
    super(roots, record);
    this.hosts = record.hosts.map((h) => new LabHost(roots, this.layout, h));
    this.storage = infrastructureMachine(roots, this.layout, 'storage');
  }

  /** The controller's Unix socket for operators; undefined in a lab without Plimsoll. */
  get controllerSocket(): string | undefined {
    return this.record.options.plimsoll ? controllerSocket(this.layout) : undefined;
  }

  /** Another speed for each link between the hosts from now on, such as `100mbit`. */
  setRate(rate: string): Promise<void> {
    return changeRate(this.layout, this.record.hosts, rate);
  }
}

/** @throws LabError `lab-unknown` when no lab of that name is up. */
export async function openLab(name: string): Promise<Lab> {
  const record = await readRecord(name);
  if (record?.state !== 'ready') throw new LabError('lab-unknown', `no lab '${name}' is up: run 'plimsoll lab up --name ${name}'`);
  return new Lab(await findCgroupRoots(), record);
}
