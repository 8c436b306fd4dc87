import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { findCgroupRoots } from './cgroup.ts';
import { LabError } from './errors.ts';
import { NODE } from './layout.ts';
import { ROOT_PATH } from './process.ts';

/** A program and its Debian package. */
export type Program = readonly [string, string];

/** Programs the lab starts. */
const PROGRAMS: readonly Program[] = [
  ['libvirtd', 'libvirt-daemon'],
  ['virtlockd', 'libvirt-daemon'],
  ['virsh', 'libvirt-clients'],
  ['qemu-system-x86_64', 'qemu-system-x86'],
  ['/usr/lib/ipsec/charon', 'strongswan-charon'],
  ['tgtd', 'tgt'],
  ['tgtadm', 'tgt'],
  ['ip', 'iproute2'],
  ['tc', 'iproute2'],
  ['nft', 'nftables'],
  ['tcpdump', 'tcpdump'],
  ['gcc', 'gcc'],
  ['openssl', 'openssl'],
];

/** What the attacks suite starts beside it: a stranger who plays back what it has captured. */
export const ATTACK_PROGRAMS: readonly Program[] = [['tcpreplay', 'tcpreplay']];

const FILES: readonly (readonly [string, string])[] = [
  ['/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so', 'libvirt-daemon-driver-qemu'],
  ['/usr/lib/x86_64-linux-gnu/qemu/block-iscsi.so', 'qemu-block-extra'],
  ['/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so', 'libcharon-extra-plugins'],
  ['/usr/lib/x86_64-linux-gnu/libc.a', 'libc6-dev'],
];

const exists = (path: string): Promise<boolean> =>
  access(path, constants.R_OK).then(
    () => true,
    () => false,
  );

async function isInstalled(program: string): Promise<boolean> {
  const paths = program.startsWith('/') ? [program] : ROOT_PATH.split(':').map((folder) => join(folder, program));
  return (await Promise.all(paths.map(exists))).includes(true);
}

/** @throws LabError `lab-not-root` or `lab-prerequisite-missing`, naming all that is missing at once. */
export async function checkPrerequisites(more: readonly Program[] = []): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new LabError('lab-not-root', 'a lab makes namespaces and control groups: run it as root (sudo)');
  }
  const missing = new Set<string>();
  for (const [program, debianPackage] of [...PROGRAMS, ...more]) if (!(await isInstalled(program))) missing.add(debianPackage);
  for (const [file, debianPackage] of FILES) if (!(await exists(file))) missing.add(debianPackage);
  if (missing.size > 0) {
    throw new LabError('lab-prerequisite-missing', `not installed: run 'apt-get install ${[...missing].join(' ')}'`);
  }
  if (!(await exists('/dev/net/tun'))) throw new LabError('lab-prerequisite-missing', "no /dev/net/tun: run 'modprobe tun'");
  if (!(await exists(NODE))) throw new LabError('lab-prerequisite-missing', "no Node 24 in node_modules: run 'npm ci' first");
  await findCgroupRoots();
}
