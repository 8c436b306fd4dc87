import { findCgroupRoots } from '#lab/cgroup.ts';
import type { CgroupRoots } from '#lab/cgroup.ts';
import { placementOf } from '#lab/placement.ts';
import { startCapture } from '#lab/capture.ts';
import type { Capture } from '#lab/capture.ts';
import { removeLab } from '#lab/down.ts';
import { LabError } from '#lab/errors.ts';
import { LabClient, LabGuest } from '#lab/lab.ts';
import { controllerSocket, layoutOf } from '#lab/layout.ts';
import type { Layout } from '#lab/layout.ts';
import type { Machine } from '#lab/machine.ts';
import { infrastructureMachine } from '#lab/machines.ts';
import { readRecord } from '#lab/record.ts';
import type { LabRecord } from '#lab/record.ts';
import { scanCapture } from '#lab/scan.ts';
import type { ScanResult } from '#lab/scan.ts';
import { changeControllerConfig } from '#lab/plimsoll.ts';
import { accepts, waitFor } from '#lab/wait.ts';
import type { ControllerConfigFile } from '#wire/controller-config.ts';
import { addMiddle, middleRouteLines, removeMiddle, setLinkMtu } from './network.ts';
import { VmHost } from './vm-host.ts';

/** A lab of virtual machines that is up. Handles keep nothing open: several processes may use the same lab. */
export class VmLab {
  readonly name: string;
  readonly record: LabRecord;
  readonly hosts: readonly VmHost[];
  readonly guests: readonly LabGuest[];
  readonly client: LabClient;
  /** The machine the controller runs on; its service is 'controller'. */
  readonly ctl: Machine;
  readonly #layout: Layout;
  readonly #switch: Machine;

  constructor(roots: CgroupRoots, record: LabRecord) {
    this.#layout = layoutOf(record.name, record.index);
    this.#switch = infrastructureMachine(roots, this.#layout, 'switch');
    this.name = record.name;
    this.record = record;
    this.hosts = record.hosts.map((host, i) => new VmHost(this.#layout, host, i + 1, this.#switch));
    this.guests = record.guests.map((guest) => new LabGuest(this.#layout, guest));
    this.client = new LabClient(this.#layout);
    this.ctl = infrastructureMachine(roots, this.#layout, 'ctl');
  }

  /** The controller's Unix socket for operators. */
  get controllerSocket(): string {
    return controllerSocket(this.#layout);
  }

  host(name: string): VmHost {
    const host = this.hosts.find((h) => h.name === name);
    if (host !== undefined) return host;
    throw new LabError('lab-unknown-host', `lab '${this.name}' has no host '${name}': it has ${this.hosts.length}, host1 being the first`);
  }

  guest(name: string): LabGuest {
    const guest = this.guests.find((g) => g.name === name);
    if (guest !== undefined) return guest;
    throw new LabError('lab-unknown-guest', `lab '${this.name}' has no guest '${name}': it has ${this.guests.length}, vm1 being the first`);
  }

  /** Hosts on which each guest runs, by the word of the daemons; a host that does not answer has none. */
  placement(): Promise<Record<string, string[]>> {
    return placementOf(this.hosts, this.guests);
  }

  startCapture(name = 'capture', signal?: AbortSignal): Promise<Capture> {
    return startCapture(this.#layout, this.#switch, name, signal);
  }

  /** Looks for every guest's marker in a capture and counts its packets. */
  scan(file: string, signal?: AbortSignal): Promise<ScanResult> {
    return scanCapture(
      file,
      this.guests.map((g) => g.marker),
      signal,
    );
  }

  /** What the wires between the hosts carry from now on. The hosts' own interfaces stay (`VmHost.setInterfaceMtu`). */
  setLinkMtu(mtuBytes: number): Promise<void> {
    return setLinkMtu(this.#layout, this.record.hosts, mtuBytes);
  }

  /**
   * Routes the traffic between hosts through a router that carries only `mtuBytes` and is silent about it, or (undefined)
   * directly again. The controller stays on the hosts' own network.
   */
  async setMiddle(mtuBytes: number | undefined, linkMtuBytes = this.record.options.mtuBytes): Promise<void> {
    if (mtuBytes !== undefined) await addMiddle(this.#layout, this.record.hosts, linkMtuBytes, mtuBytes);
    for (const host of this.hosts) {
      for (const version of [4, 6] as const) {
        const lines = middleRouteLines(this.#layout, this.hosts.length, host.number, version, mtuBytes !== undefined);
        await host.must(['ip', `-${version}`, '-batch', '-'], { input: `${lines.join('\n')}\n` });
      }
    }
    if (mtuBytes === undefined) await removeMiddle(this.#layout);
  }

  /** Replaces keys of controller.yaml and starts the controller anew; agents dial in again by themselves. */
  async configureController(changes: Partial<ControllerConfigFile>, signal?: AbortSignal): Promise<void> {
    await changeControllerConfig(this.#layout, changes);
    await this.ctl.killService('controller', 'SIGKILL');
    await waitFor(() => accepts(this.controllerSocket), { what: 'the controller to be back', timeoutMs: 60_000, signal });
  }

  down(): Promise<void> {
    return removeLab(this.name);
  }
}

/** @throws LabError `lab-unknown` when no lab of that name is up. */
export async function openVmLab(name: string): Promise<VmLab> {
  const record = await readRecord(name);
  if (record?.state !== 'ready') throw new LabError('lab-unknown', `no lab '${name}' is up: start it first`);
  return new VmLab(await findCgroupRoots(), record);
}
