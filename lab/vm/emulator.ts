import { join } from 'node:path';
import { GUEST_KERNEL } from '#lab/guest/image.ts';
import { LAB_INIT } from '#lab/layout.ts';
import type { Layout } from '#lab/layout.ts';
import type { Machine } from '#lab/machine.ts';
import { must } from '#lab/process.ts';
import { hostMac } from './network.ts';
import { controlAddress } from './paths.ts';
import { PROGRAMS_IMAGE, sourceImage } from './program-images.ts';
import { HOST_INITRAMFS, ROOT_IMAGE } from './root-image.ts';

/**
 * No offloads: the wire shall show packets as a wire carries them. With them, a capture shows segments of 64 KB and checksums
 * that nobody filled in.
 */
const PLAIN_NIC = 'csum gso guest_csum host_ecn guest_ecn host_ufo guest_ufo host_tso4 host_tso6 guest_tso4 guest_tso6'
  .split(' ')
  .map((feature) => `${feature}=off`);

/** Interfaces in the order in which the host numbers them: eth0 underlay, eth1 guests, eth2 control. */
function network(lab: Layout, host: string, n: number): string[] {
  return ['u', 'g', 'c'].flatMap((prefix, i) => [
    '-netdev',
    `tap,id=${prefix},ifname=${prefix}-${host},script=no,downscript=no`,
    '-device',
    `virtio-net-pci,netdev=${prefix},mac=${hostMac(lab, i, n)},romfile=,${PLAIN_NIC.join(',')}`,
  ]);
}

/** vda root (what is written goes to a file without a name and is gone with the process), vdb programs, vdc sources. */
function disks(lab: Layout): string[] {
  const drive = (id: string, file: string, how: string): string[] => [
    '-drive',
    `file=${file},format=raw,if=none,id=${id},cache=unsafe,${how}`,
    '-device',
    `virtio-blk-pci,drive=${id}`,
  ];
  return [
    ...drive('root', ROOT_IMAGE, 'snapshot=on'),
    ...drive('programs', PROGRAMS_IMAGE, 'readonly=on'),
    ...drive('source', sourceImage(lab), 'readonly=on'),
  ];
}

/** Everything that can be emulated, SVM among it, but for five-level page tables: one step more in each walk, and two walks for a guest. */
const CPU = 'max,la57=off';
const KERNEL_OPTIONS = 'console=ttyS0 quiet panic=-1 cryptomgr.notests mitigations=off net.ifnames=0 random.trust_cpu=on';

export const consoleLog = (lab: Layout, host: string): string => join(lab.runDirectory, 'log', `${host}.console`);
export const vmService = (host: string): string => `vm-${host}`;

/**
 * Starts the QEMU of host number `n` in the switch's namespace, where its taps are. The CPU is emulated (TCG) with AMD's SVM,
 * so that the host has a KVM of its own for its guests. One CPU of two possible: with no room for a second one a receive
 * stall was seen.
 */
export async function startEmulator(lab: Layout, on: Machine, host: string, n: number, memoryMib: number): Promise<void> {
  const tscKhz = (await must([LAB_INIT, 'tsc-khz'], { timeoutMs: 5000 })).trim();
  const clock = `tsc=reliable tsc_early_khz=${tscKhz}`;
  const settings = `plimsoll.name=${host} plimsoll.control=${controlAddress(n)}`;
  const machine = ['-name', host, '-machine', 'q35', '-accel', 'tcg,thread=multi,tb-size=256', '-cpu', CPU, '-smp', '1,maxcpus=2'];
  const boot = ['-kernel', GUEST_KERNEL, '-initrd', HOST_INITRAMFS, '-append', `${KERNEL_OPTIONS} ${clock} ${settings}`];
  const rest = ['-m', `${memoryMib}`, '-nodefaults', '-display', 'none', '-no-reboot', '-serial', `file:${consoleLog(lab, host)}`];
  await on.startService({
    name: vmService(host),
    argv: ['qemu-system-x86_64', ...machine, ...boot, ...rest, ...network(lab, host, n), ...disks(lab)],
    restart: 'never',
    log: join(lab.runDirectory, 'log', `${host}.qemu.log`),
  });
}
