import type { Layout } from '#lab/layout.ts';
import type { GuestRecord } from '#lab/record.ts';

/** What a guest has of its own, by the kind of lab. Elements are XML, each on a line of its own. */
export interface DomainParts {
  readonly attributes: string;
  readonly memoryMib: number;
  readonly kernel: string;
  readonly initramfs: string;
  readonly commandLine: string;
  readonly cpu: string;
  readonly emulator: string;
  /** More devices; none when absent. */
  readonly devices?: readonly string[];
  /** What follows the devices; nothing when absent. */
  readonly more?: readonly string[];
}

const indented = (lines: readonly string[], spaces: number): string => lines.map((line) => `${' '.repeat(spaces)}${line}\n`).join('');

/**
 * The definition of a guest: one interface on the host's `brvm`, a console in libvirt's log folder. A kernel panic reboots, and a reboot
 * or crash destroys the VM: a guest that a migration broke is gone, not hidden.
 */
export function domainText(lab: Layout, guest: GuestRecord, parts: DomainParts): string {
  const lastByte = Number(guest.address.split('.')[3]).toString(16).padStart(2, '0');
  const indexByte = lab.index.toString(16).padStart(2, '0');
  return `<domain ${parts.attributes}>
  <name>${guest.name}</name>
  <uuid>${guest.uuid}</uuid>
  <memory unit='MiB'>${parts.memoryMib}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <kernel>${parts.kernel}</kernel>
    <initrd>${parts.initramfs}</initrd>
    <cmdline>${parts.commandLine}</cmdline>
  </os>
  <features><acpi/></features>
  ${parts.cpu}
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>${parts.emulator}</emulator>
${indented(parts.devices ?? [], 4)}    <interface type='bridge'>
      <source bridge='brvm'/>
      <mac address='52:54:00:50:${indexByte}:${lastByte}'/>
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>
    <serial type='file'><source path='/var/log/libvirt/qemu/${guest.name}.console' append='on'/></serial>
    <memballoon model='virtio'><stats period='1'/></memballoon>
    <controller type='usb' model='none'/>
  </devices>
${indented(parts.more ?? [], 2)}</domain>
`;
}
