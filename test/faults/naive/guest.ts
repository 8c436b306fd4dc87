/** Guests of QEMU processes of our own, without libvirt: the lab's kernel and workload, no disk, one per slot of the control arm. */
import { findCgroupRoots } from '#lab/cgroup.ts';
import { Lab, type LabHost, waitFor } from '#lab/api.ts';
import { guestMonitor, kernelCommandLine } from '#lab/guest/definition.ts';
import { GUEST_INITRAMFS, GUEST_KERNEL } from '#lab/guest/image.ts';
import { EMULATOR, layoutOf, MIGRATION_PORT_MIN } from '#lab/layout.ts';
import { type GuestRecord, newRecord } from '#lab/record.ts';
import type { Copy } from './driver.ts';
import { QmpConnection } from './qmp.ts';

const startMsMax = 20_000;

export const driverMonitor = (guest: string): string => `/run/${guest}.driver.qmp`;

/** The lab, with guests that the lab itself did not start: their names, addresses and beats. */
export async function withGuests(lab: Lab, count: number): Promise<Lab> {
  const { options, index } = lab.record;
  return new Lab(await findCgroupRoots(), { ...newRecord({ ...options, guests: count }, index, lab.record), state: 'ready' });
}

/** Of the transfer to this guest's destination: its own, so that a fault can strike one transfer and leave the others alone. */
export const portOf = (guest: GuestRecord): number => MIGRATION_PORT_MIN + Number(guest.address.split('.').at(-1));

const tapOf = (guest: GuestRecord): string => `tap-${guest.name}`;

/** On every host a port of the guests' network for each guest. */
export async function makeTaps(lab: Lab): Promise<void> {
  for (const host of lab.hosts) {
    const lines = lab.record.guests.flatMap((guest) => [
      `tuntap add dev ${tapOf(guest)} mode tap`,
      `link set ${tapOf(guest)} master brvm up`,
    ]);
    const { code, stderr } = await host.exec(['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
    if (code !== 0) throw new Error(`${host.name}: the guests' network cannot be made: ${stderr.trim()}`);
  }
}

function qemuArgv(lab: Lab, guest: GuestRecord, isIncoming: boolean): readonly string[] {
  const { name, index } = lab.record;
  const memoryMib = lab.record.options.guestMemoryMib;
  const macEnd = Number(guest.address.split('.').at(-1)).toString(16).padStart(2, '0');
  const options: readonly (readonly string[])[] = [
    ['-name', `guest=${guest.name}`, '-machine', 'q35', '-accel', 'tcg', '-cpu', 'qemu64', '-m', `${memoryMib}`],
    // A guest that a migration broke panics, wants to reboot, and is gone.
    ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ['-kernel', GUEST_KERNEL, '-initrd', GUEST_INITRAMFS, '-append', kernelCommandLine(layoutOf(name, index), guest, lab.record.options)],
    ['-netdev', `tap,id=net0,ifname=${tapOf(guest)},script=no,downscript=no`],
    ['-device', `virtio-net-pci,netdev=net0,mac=52:54:00:51:00:${macEnd},romfile=`],
    ['-serial', `file:/var/log/${guest.name}.console`],
    ['-qmp', `unix:${guestMonitor(guest.name)},server=on,wait=off`],
    ['-qmp', `unix:${driverMonitor(guest.name)},server=on,wait=off`],
    isIncoming ? ['-S', '-incoming', 'defer'] : [],
  ];
  return [EMULATOR, ...options.flat()];
}

/** A QEMU of a guest on a host. */
export class GuestProcess implements Copy {
  readonly host: LabHost;
  readonly qmp: QmpConnection;
  /** Outside the host's namespaces. */
  readonly pid: number;
  readonly #service: string;

  private constructor(host: LabHost, service: string, pid: number, qmp: QmpConnection) {
    this.host = host;
    this.#service = service;
    this.pid = pid;
    this.qmp = qmp;
  }

  /** Boots the guest, or waits for it to come from elsewhere. There is no other of this guest on the host. */
  static async start(lab: Lab, host: LabHost, guest: GuestRecord, isIncoming: boolean, signal: AbortSignal): Promise<GuestProcess> {
    const service = `qemu-${guest.name}`;
    await host.machine.startService({
      name: service,
      argv: qemuArgv(lab, guest, isIncoming),
      restart: 'never',
      log: `/var/log/services/${service}.log`,
    });
    const socketPath = `${host.directory}${driverMonitor(guest.name)}`;
    // A socket file of the QEMU before it refuses until this one listens.
    const open = () => QmpConnection.open(socketPath).catch(() => undefined);
    const qmp = await waitFor(open, { what: `${guest.name}'s QEMU on ${host.name} (see ${service}.log)`, timeoutMs: startMsMax, signal });
    const pid = await host.servicePid(service);
    if (pid === undefined) throw new Error(`${guest.name}'s QEMU on ${host.name} has ended as it began`);
    return new GuestProcess(host, service, pid, qmp);
  }

  /** SIGKILL, before this returns. */
  kill(): void {
    try {
      process.kill(this.pid, 'SIGKILL');
    } catch {
      // it has ended by itself
    }
  }

  async end(): Promise<void> {
    // Its number could be another's by now, when it has ended.
    const status = await this.host.machine.service(this.#service);
    if (status?.state === 'running') this.kill();
    const gone = async () => (await this.host.machine.service(this.#service))?.state === 'stopped';
    await waitFor(gone, { what: `${this.#service} on ${this.host.name} to end`, timeoutMs: 10_000 });
    this.qmp.close();
  }
}
