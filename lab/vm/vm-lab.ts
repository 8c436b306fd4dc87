import { findCgroupRoots } from '#lab/cgroup.ts';
import type { CgroupRoots } from '#lab/cgroup.ts';
import { LabError } from '#lab/errors.ts';
import { LabHandle } from '#lab/lab-handle.ts';
import { controllerSocket } from '#lab/layout.ts';
import { changeControllerConfig } from '#lab/plimsoll.ts';
import { readRecord } from '#lab/record.ts';
import type { LabRecord } from '#lab/record.ts';
import { accepts, waitFor } from '#lab/wait.ts';
import type { ControllerConfigFile } from '#wire/controller-config.ts';
import { addMiddle, middleRouteLines, removeMiddle, setLinkMtu } from './network.ts';
import { VmHost } from './vm-host.ts';

/** A lab of virtual machines that is up. */
export class VmLab extends LabHandle<VmHost> {
  readonly hosts: readonly VmHost[];

  constructor(roots: CgroupRoots, record: LabRecord) {
    super(roots, record);
    this.hosts = record.hosts.map((host, i) => new VmHost(this.layout, host, i + 1, this.switch));
  }

  /** The controller's Unix socket for operators. */
  get controllerSocket(): string {
    return controllerSocket(this.layout);
  }

  /** What the wires between the hosts carry from now on. The hosts' own interfaces stay (`VmHost.setInterfaceMtu`). */
  setLinkMtu(mtuBytes: number): Promise<void> {
    return setLinkMtu(this.layout, this.record.hosts, mtuBytes);
  }

  /**
   * Routes the traffic between hosts through a router that carries only `mtuBytes` and is silent about it, or (undefined)
   * directly again. The controller stays on the hosts' own network.
   */
  async setMiddle(mtuBytes: number | undefined, linkMtuBytes = this.record.options.mtuBytes): Promise<void> {
    if (mtuBytes !== undefined) await addMiddle(this.layout, this.record.hosts, linkMtuBytes, mtuBytes);
    for (const host of this.hosts) {
      for (const version of [4, 6] as const) {
        const lines = middleRouteLines(this.layout, this.hosts.length, host.number, version, mtuBytes !== undefined);
        await host.must(['ip', `-${version}`, '-batch', '-'], { input: `${lines.join('\n')}\n` });
      }
    }
    if (mtuBytes === undefined) await removeMiddle(this.layout);
  }

  /** Replaces keys of controller.yaml and starts the controller anew; agents dial in again by themselves. */
  async configureController(changes: Partial<ControllerConfigFile>, signal?: AbortSignal): Promise<void> {
    await changeControllerConfig(this.layout, changes);
    await this.ctl.killService('controller', 'SIGKILL');
    await waitFor(() => accepts(this.controllerSocket), { what: 'the controller to be back', timeoutMs: 60_000, signal });
  }
}

/** @throws LabError `lab-unknown` when no lab of that name is up. */
export async function openVmLab(name: string): Promise<VmLab> {
  const record = await readRecord(name);
  if (record?.state !== 'ready') throw new LabError('lab-unknown', `no lab '${name}' is up: start it first`);
  return new VmLab(await findCgroupRoots(), record);
}
