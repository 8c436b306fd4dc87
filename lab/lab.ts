import { findCgroupRoots, unifiedGroup } from './cgroup.ts';
import type { CgroupRoots } from './cgroup.ts';
import { changeRate } from './network.ts';
import { placementOf } from './placement.ts';
import { startCapture } from './capture.ts';
import type { Capture } from './capture.ts';
import { callClient } from './client/connection.ts';
import type { GuestBeats, ProbeReport, Steering } from './client/protocol.ts';
import { readDiskLog } from './disk-log.ts';
import type { DiskLog } from './disk-log.ts';
import { removeLab } from './down.ts';
import { LabError } from './errors.ts';
import { clientSocket, controllerSocket, diskPath, hostDirectory, layoutOf, libvirtSocket, viciSocket } from './layout.ts';
import type { Layout } from './layout.ts';
import type { Machine } from './machine.ts';
import { hostMachine, infrastructureMachine } from './machines.ts';
import type { RunOptions, RunResult } from './process.ts';
import { readRecord } from './record.ts';
import type { GuestRecord, HostRecord, LabRecord } from './record.ts';
import { scanCapture } from './scan.ts';
import type { ScanResult } from './scan.ts';
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

/** A guest of the lab, as the outside client reaches it. */
export class LabGuest {
  readonly name: string;
  readonly uuid: string;
  readonly address: string;
  /** The secret in every page of its working set. */
  readonly marker: string;
  readonly firstHost: string;
  readonly #lab: Layout;

  constructor(lab: Layout, record: GuestRecord) {
    this.#lab = lab;
    this.name = record.name;
    this.uuid = record.uuid;
    this.address = record.address;
    this.marker = record.marker;
    this.firstHost = record.firstHost;
  }

  /** Sets the load from now on; what is not named stays. Returns what the guest confirmed. */
  steer(wanted: Partial<Steering>): Promise<Steering> {
    return callClient(clientSocket(this.#lab), 'steer', { address: this.address, ...wanted });
  }

  /** @returns undefined before the first beat. */
  async beats(): Promise<GuestBeats | undefined> {
    const all = await callClient(clientSocket(this.#lab), 'beats', {});
    return all.find((b) => b.guest === this.name);
  }

  /** Begins to measure downtime from outside with an echo every `intervalMs` (default 5). */
  async startProbe(intervalMs = 5): Promise<void> {
    await callClient(clientSocket(this.#lab), 'startProbe', { guest: this.name, address: this.address, intervalMs });
  }

  probe(): Promise<ProbeReport> {
    return callClient(clientSocket(this.#lab), 'probe', { guest: this.name });
  }

  stopProbe(): Promise<ProbeReport> {
    return callClient(clientSocket(this.#lab), 'stopProbe', { guest: this.name });
  }

  diskLog(): Promise<DiskLog> {
    return readDiskLog(diskPath(this.#lab, this.name), this.name);
  }
}

export class LabClient {
  readonly socketPath: string;

  constructor(lab: Layout) {
    this.socketPath = clientSocket(lab);
  }

  beats(): Promise<readonly GuestBeats[]> {
    return callClient(this.socketPath, 'beats', {});
  }

  /** Starts the counters and the largest gap anew, for one guest or all. */
  async reset(guest?: string): Promise<void> {
    await callClient(this.socketPath, 'reset', guest === undefined ? {} : { guest });
  }
}

/** A lab that is up. Handles keep nothing open: several processes may use the same lab. */
export class Lab {
  readonly name: string;
  readonly record: LabRecord;
  readonly hosts: readonly LabHost[];
  readonly guests: readonly LabGuest[];
  readonly client: LabClient;
  /** The machine the controller runs on; its service is 'controller'. */
  readonly ctl: Machine;
  readonly storage: Machine;
  /** The machine with the bridge `br0` between the hosts, and the captures: whoever is on it is on the wire. */
  readonly switch: Machine;
  readonly #layout: Layout;

  constructor(roots: CgroupRoots, record: LabRecord) {
    const layout = layoutOf(record.name, record.index);
    this.name = record.name;
    this.record = record;
    this.hosts = record.hosts.map((h) => new LabHost(roots, layout, h));
    this.guests = record.guests.map((g) => new LabGuest(layout, g));
    this.client = new LabClient(layout);
    this.ctl = infrastructureMachine(roots, layout, 'ctl');
    this.storage = infrastructureMachine(roots, layout, 'storage');
    this.switch = infrastructureMachine(roots, layout, 'switch');
    this.#layout = layout;
  }

  /** The controller's Unix socket for operators; undefined in a lab without Plimsoll. */
  get controllerSocket(): string | undefined {
    return this.record.options.plimsoll ? controllerSocket(this.#layout) : undefined;
  }

  host(name: string): LabHost {
    const host = this.hosts.find((h) => h.name === name);
    if (host !== undefined) return host;
    const known = this.hosts.map((h) => h.name).join(', ');
    throw new LabError('lab-unknown-host', `lab '${this.name}' has no host '${name}': its hosts are ${known}`);
  }

  guest(name: string): LabGuest {
    const guest = this.guests.find((g) => g.name === name);
    if (guest !== undefined) return guest;
    const known = this.guests.map((g) => g.name).join(', ') || 'none';
    throw new LabError('lab-unknown-guest', `lab '${this.name}' has no guest '${name}': its guests are ${known}`);
  }

  /** Hosts on which each guest runs, by the word of the daemons; a host that does not answer has none. */
  placement(): Promise<Record<string, string[]>> {
    return placementOf(this.hosts, this.guests);
  }

  startCapture(name = 'capture', signal?: AbortSignal): Promise<Capture> {
    return startCapture(this.#layout, this.switch, name, signal);
  }

  /** Looks for every guest's marker in a capture and counts its packets. */
  scan(file: string, signal?: AbortSignal): Promise<ScanResult> {
    return scanCapture(
      file,
      this.guests.map((g) => g.marker),
      signal,
    );
  }

  /** Another speed for each link between the hosts from now on, such as `100mbit`. */
  setRate(rate: string): Promise<void> {
    return changeRate(this.#layout, this.record.hosts, rate);
  }

  down(): Promise<void> {
    return removeLab(this.name);
  }
}

/** @throws LabError `lab-unknown` when no lab of that name is up. */
export async function openLab(name: string): Promise<Lab> {
  const record = await readRecord(name);
  if (record?.state !== 'ready') throw new LabError('lab-unknown', `no lab '${name}' is up: run 'plimsoll lab up --name ${name}'`);
  return new Lab(await findCgroupRoots(), record);
}
