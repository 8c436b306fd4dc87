import { basename, dirname } from 'node:path';
import { CLIENT_LAST, EMULATOR, HOST_LOCKS, STORAGE_LAST, guestNetAddress, targetName, underlayAddress } from '#lab/layout.ts';
import type { Layout } from '#lab/layout.ts';
import type { LabOptions } from '#lab/options.ts';
import type { GuestRecord } from '#lab/record.ts';
import { domainText } from './domain.ts';
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
 * The lease names the folder in two parts and a file in it that must exist. It is what keeps an iSCSI disk from being used on two hosts
 * (a network disk has no lock of its own in QEMU).
 */
export function guestDefinition(lab: Layout, guest: GuestRecord, options: LabOptions): string {
  const disk = `${targetName(lab, guest.name)}/1`;
  const storage = underlayAddress(lab, STORAGE_LAST);
  return domainText(lab, guest, {
    attributes: "type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'",
    memoryMib: options.guestMemoryMib,
    kernel: GUEST_KERNEL,
    initramfs: GUEST_INITRAMFS,
    commandLine: kernelCommandLine(lab, guest, options),
    cpu: "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>",
    emulator: EMULATOR,
    devices: [
      `<lease><lockspace>${basename(HOST_LOCKS)}</lockspace><key>${guest.name}</key><target path='${dirname(HOST_LOCKS)}'/></lease>`,
      "<disk type='network' device='disk'>",
      "  <driver name='qemu' type='raw' cache='none'/>",
      `  <source protocol='iscsi' name='${disk}'><host name='${storage}' port='3260'/></source>`,
      "  <target dev='vda' bus='virtio'/>",
      '</disk>',
    ],
    more: [
      '<qemu:commandline>',
      "  <qemu:arg value='-qmp'/>",
      `  <qemu:arg value='unix:${guestMonitor(guest.name)},server=on,wait=off'/>`,
      '</qemu:commandline>',
    ],
  });
}
