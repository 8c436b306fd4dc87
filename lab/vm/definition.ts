import { kernelCommandLine } from '#lab/guest/definition.ts';
import { domainText } from '#lab/guest/domain.ts';
import type { Layout } from '#lab/layout.ts';
import type { LabOptions } from '#lab/options.ts';
import type { GuestRecord } from '#lab/record.ts';
import { HOST_GUEST_IMAGE } from './paths.ts';

/** A guest of a host that is a virtual machine: on the host's own KVM, without a disk. */
export function nestedGuestDefinition(lab: Layout, guest: GuestRecord, options: LabOptions): string {
  return domainText(lab, guest, {
    attributes: "type='kvm'",
    memoryMib: options.guestMemoryMib,
    kernel: `${HOST_GUEST_IMAGE}/vmlinux`,
    initramfs: `${HOST_GUEST_IMAGE}/initramfs.cpio`,
    commandLine: `${kernelCommandLine(lab, guest, options)} tsc=reliable`,
    cpu: "<cpu mode='host-passthrough' check='none'/>",
    emulator: '/usr/bin/qemu-system-x86_64',
  });
}
