import { join } from 'node:path';
import { CACHE, hostDirectory } from '#lab/layout.ts';
import type { Layout } from '#lab/layout.ts';

/** Where things of a lab of virtual machines lie, outside and inside the hosts. */
export const VM_CACHE = join(CACHE, 'vm');

/** Inside a host: the checkout, and what does not change between two starts. */
export const HOST_PLIMSOLL = '/opt/plimsoll/bin/plimsoll';
export const HOST_GUEST_IMAGE = '/opt/programs/guest';

/** On the control network a host has the address of its number, the switch the last one. */
export const controlAddress = (last: number): string => `169.254.77.${last}`;
export const CONTROL_SWITCH_LAST = 254;
/** Sockets in a host by the port that lab-init opens for them on the control network, in the order of lab-init's host.c. */
export const CONTROL_FIRST_PORT = 1001;
export const HOST_SOCKETS = ['lab-init.sock', 'lab-commands.sock', 'libvirt/libvirt-sock', 'charon.vici'] as const;
export type HostSocket = (typeof HOST_SOCKETS)[number];

/** The same sockets as seen from outside. */
export const outerSocket = (lab: Layout, host: string, socket: HostSocket): string => join(hostDirectory(lab, host), 'run', socket);

/** A second address of everything that talks between hosts, in its shortest form: a group of zeros would be left out. */
export const underlayAddress6 = (lab: Layout, last: number): string => `fd00:64:${(lab.index + 1).toString(16)}::${last.toString(16)}`;
export const protectedAddress6 = (lab: Layout, last: number): string => `fd00:c0:${(lab.index + 1).toString(16)}::${last.toString(16)}`;
