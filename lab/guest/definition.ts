import { basename, dirname } from 'node:path';
import { CLIENT_LAST, EMULATOR, HOST_LOCKS, STORAGE_LAST, guestNetAddress, targetName, underlayAddress } from '#lab/layout.ts';
import type { Layout } from '#lab/layout.ts';
import type { LabOptions } from '#lab/options.ts';
import type { GuestRecord } from '#lab/record.ts';
import { GUEST_INITRAMFS, GUEST_KERNEL } from './image.ts';

export function kernelCommandLine(lab: Layout, guest: GuestRecord, options: Pick<LabOptions, 'workingSetMib'>): string {
  return [
    'console=ttyS0 quiet panic=-1',
    // The CPU is emulated: self tests and code patching would cost each boot another second of it.
    'cryptomgr.notests nokaslr mitigations=off',
    `plimsoll.name=${guest.name}`,
    `plimsoll.ip=${guest.address}`,
    `plimsoll.collector=${guestNetAddress(lab, CLIENT_LAST)}`,
    `plimsoll.marker=${guest.marker}`,
    `plimsoll.workingset=${options.workingSetMib}`,
  ].join(' ');
}

/** A monitor of its own beside libvirt's, as the host sees its path: whoever tests asks QEMU itself, also while libvirtd is dead. */
export const guestMonitor = (guest: string): string => `/run/${guest}.qmp`;

/**
 * The domain. A kernel panic reboots, and a reboot or crash destroys the VM: a guest that a migration broke is gone, not hidden.
 * The lease names the folder in two parts and a file in it that must exist. It is what keeps an iSCSI disk from being used on two hosts (a network disk has no lock of its own in QEMU).
 */
export function guestDefinition(lab: Layout, guest: GuestRecord, options: LabOptions): string {
  const lastByte = Number(guest.address.split('.')[3]).toString(16).padStart(2, '0');
  const indexByte = lab.index.toString(16).padStart(2, '0');
  return `<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>${guest.name}</name>
  <uuid>${guest.uuid}</uuid>
  <memory unit='MiB'>${options.guestMemoryMib}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <kernel>${GUEST_KERNEL}</kernel>
    <initrd>${GUEST_INITRAMFS}</initrd>
    <cmdline>${kernelCommandLine(lab, guest, options)}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>${EMULATOR}</emulator>
    <lease><lockspace>${basename(HOST_LOCKS)}</lockspace><key>${guest.name}</key><target path='${dirname(HOST_LOCKS)}'/></lease>
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw' cache='none'/>
      <source protocol='iscsi' name='${targetName(lab, guest.name)}/1'><host name='${underlayAddress(lab, STORAGE_LAST)}' port='3260'/></source>
      <target dev='vda' bus='virtio'/>
    </disk>
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
  <qemu:commandline>
    <qemu:arg value='-qmp'/>
    <qemu:arg value='unix:${guestMonitor(guest.name)},server=on,wait=off'/>
  </qemu:commandline>
</domain>
`;
}
