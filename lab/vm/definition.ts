import { kernelCommandLine } from '#lab/guest/definition.ts';
import type { Layout } from '#lab/layout.ts';
import type { LabOptions } from '#lab/options.ts';
import type { GuestRecord } from '#lab/record.ts';
import { HOST_GUEST_IMAGE } from './paths.ts';

/** A guest of a host that is a virtual machine: on the host's own KVM, without a disk. A guest that a migration broke is gone, not hidden. */
export function nestedGuestDefinition(lab: Layout, guest: GuestRecord, options: LabOptions): string {
  const lastByte = Number(guest.address.split('.')[3]).toString(16).padStart(2, '0');
  const indexByte = lab.index.toString(16).padStart(2, '0');
  return `<domain type='kvm'>
  <name>${guest.name}</name>
  <uuid>${guest.uuid}</uuid>
  <memory unit='MiB'>${options.guestMemoryMib}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <kernel>${HOST_GUEST_IMAGE}/vmlinux</kernel>
    <initrd>${HOST_GUEST_IMAGE}/initramfs.cpio</initrd>
    <cmdline>${kernelCommandLine(lab, guest, options)} tsc=reliable</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='host-passthrough' check='none'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <interface type='bridge'>
      <source bridge='brvm'/>
      <mac address='52:54:00:50:${indexByte}:${lastByte}'/>
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>
    <serial type='file'><source path='/var/log/libvirt/qemu/${guest.name}.console' append='on'/></serial>
    <memballoon model='virtio'><stats period='1'/></memballoon>
    <controller type='usb' model='none'/>
  </devices>
</domain>
`;
}
