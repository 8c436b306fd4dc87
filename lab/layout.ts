import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

/** Everything a lab is called and where it lies follows from its name and its index; nothing else is looked up. */
export const RUN_ROOT = '/run/plimsoll/lab';
/** Disks and captures: too large for /run, which is in memory on most machines. */
export const DATA_ROOT = '/var/lib/plimsoll-lab';
/** Where `ip netns` keeps names. */
export const NAMESPACE_FOLDER = '/run/netns';
export const LABS_MAX = 64;

export const CHECKOUT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
export const CACHE = join(CHECKOUT, '.cache', 'lab');
export const NODE = join(CHECKOUT, 'node_modules', '.bin', 'node');
export const LAB_INIT = join(CACHE, 'native', 'lab-init');
export const EMULATOR = join(CACHE, 'native', 'qemu-odd');
export const CHARON_BUFFER = join(CACHE, 'native', 'charon-buffer.so');

/** Paths as a host sees them. */
export const HOST_PKI = '/etc/plimsoll/pki';
export const HOST_LOCKS = '/var/lib/libvirt/lockspace';
export const AGENT_CONFIG = '/etc/plimsoll/agent.yaml';

/** Machines that are not hosts: the bridges and captures, the iSCSI target, the outside client, the controller. */
export const INFRASTRUCTURE = ['switch', 'storage', 'client', 'ctl'] as const;
export type Infrastructure = (typeof INFRASTRUCTURE)[number];

export interface Layout {
  readonly name: string;
  readonly index: number;
  readonly runDirectory: string;
  readonly dataDirectory: string;
}

export function layoutOf(name: string, index: number): Layout {
  return { name, index, runDirectory: join(RUN_ROOT, name), dataDirectory: join(DATA_ROOT, name) };
}

export const recordPath = (name: string): string => join(RUN_ROOT, name, 'lab.json');
export const hostDirectory = (lab: Layout, host: string): string => join(lab.runDirectory, 'hosts', host);
export const netNamespace = (lab: Layout, machine: string): string => `plimsoll.${lab.name}.${machine}`;
export const netNamespacePath = (lab: Layout, machine: string): string => join(NAMESPACE_FOLDER, netNamespace(lab, machine));
export const controllerSocket = (lab: Layout): string => join(lab.runDirectory, 'controller.sock');
export const clientSocket = (lab: Layout): string => join(lab.runDirectory, 'client.sock');
export const tgtSocket = (lab: Layout): string => join(lab.runDirectory, 'tgt.sock');
export const diskPath = (lab: Layout, guest: string): string => join(lab.dataDirectory, 'disks', `${guest}.img`);
export const libvirtSocket = (lab: Layout, host: string): string => join(hostDirectory(lab, host), 'run/libvirt/libvirt-sock');
export const viciSocket = (lab: Layout, host: string): string => join(hostDirectory(lab, host), 'run/charon.vici');
export const targetName = (lab: Layout, guest: string): string => `iqn.2026-11.plimsoll.${lab.name}:${guest}`;

/** 10.64-127.0.0/24: host N at .N, the controller at .200, storage at .250. */
export const underlayAddress = (lab: Layout, last: number): string => `10.${64 + lab.index}.0.${last}`;
/** 10.128-191.0.0/24: host N's bridge at .N, guest N at .(100+N), the outside client at .250. */
export const guestNetAddress = (lab: Layout, last: number): string => `10.${128 + lab.index}.0.${last}`;
/** 10.192-255.0.0/24: host N's address inside IPsec. */
export const protectedAddress = (lab: Layout, last: number): string => `10.${192 + lab.index}.0.${last}`;

export const CONTROLLER_LAST = 200;
export const STORAGE_LAST = 250;
export const CLIENT_LAST = 250;
export const GUEST_LAST_BASE = 100;

/** QEMU's data streams, as qemu.conf's migration_port_min and _max say. */
export const MIGRATION_PORT_MIN = 49_152;
export const MIGRATION_PORT_MAX = 49_215;
