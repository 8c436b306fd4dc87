import { LabError } from './errors.ts';
import {
  CLIENT_LAST,
  CONTROLLER_LAST,
  LAB_INIT,
  STORAGE_LAST,
  guestNetAddress,
  netNamespace,
  netNamespacePath,
  underlayAddress,
} from './layout.ts';
import type { Layout } from './layout.ts';
import type { LabOptions } from './options.ts';
import type { HostRecord } from './record.ts';
import { must, run } from './process.ts';

/**
 * The lab's wires:
 *
 *   switch: br0 --- eth0 of every host, ctl, storage      (underlay; captured)
 *           br1 --- eth1 of every host, client            (guests; in a host eth1 is a port of its bridge brvm)
 */
interface Port {
  readonly machine: string;
  readonly underlay: string | undefined;
  readonly guestNet: string | undefined;
  /** Its port of the guests' network belongs to its bridge for guests, which has the address. */
  readonly isBridged?: boolean;
  readonly protected?: string;
  /** The machine has no namespace: its ends of the wires are taps for a QEMU in the switch's namespace. */
  readonly tap?: boolean;
}

/** Whether hosts are namespaces or virtual machines. */
export type HostKind = 'namespace' | 'vm';

function ports(lab: Layout, hosts: readonly HostRecord[], kind: HostKind): Port[] {
  const tap = kind === 'vm';
  return [
    ...hosts.map((h, index): Port => ({
      machine: h.name,
      underlay: h.underlay,
      guestNet: guestNetAddress(lab, index + 1),
      isBridged: true,
      protected: h.protected,
      tap,
    })),
    { machine: 'ctl', underlay: underlayAddress(lab, CONTROLLER_LAST), guestNet: undefined },
    { machine: 'storage', underlay: underlayAddress(lab, STORAGE_LAST), guestNet: undefined },
    { machine: 'client', underlay: undefined, guestNet: guestNetAddress(lab, CLIENT_LAST) },
  ];
}

export const ipBatch = (lab: Layout, machine: string, lines: readonly string[], signal?: AbortSignal): Promise<string> =>
  must(['ip', '-n', netNamespace(lab, machine), '-batch', '-'], { input: `${lines.join('\n')}\n`, signal, timeoutMs: 10_000 });

/** A stable address per port, so that a capture can be read without the lab. */
export const mac = (lab: Layout, network: number, n: number): string =>
  ['02', '50', network, lab.index, 0, n].map((x) => (typeof x === 'string' ? x : x.toString(16).padStart(2, '0'))).join(':');

function switchLines(lab: Layout, all: readonly Port[], mtuBytes: number): string[] {
  const lines = ['link set lo up', 'link add br0 type bridge mcast_snooping 0', `link set br0 mtu ${mtuBytes} up`];
  lines.push('link add br1 type bridge mcast_snooping 0', 'link set br1 up');
  for (const { machine, underlay, guestNet, tap } of all) {
    const namespace = netNamespace(lab, machine);
    const wire = (device: string, end: string): string =>
      tap === true ? `tuntap add dev ${device} mode tap` : `link add ${device} type veth peer name ${end} netns ${namespace}`;
    if (underlay !== undefined) {
      lines.push(wire(`u-${machine}`, 'eth0'), `link set u-${machine} mtu ${mtuBytes} master br0 up`);
    }
    if (guestNet !== undefined) {
      lines.push(wire(`g-${machine}`, 'eth1'), `link set g-${machine} master br1 up`);
    }
  }
  return lines;
}

function machineLines(lab: Layout, port: Port, n: number, mtuBytes: number): string[] {
  const lines = ['link set lo up'];
  if (port.underlay !== undefined) {
    lines.push(`link set eth0 mtu ${mtuBytes} address ${mac(lab, 0, n)} up`, `addr add ${port.underlay}/24 dev eth0`);
  }
  if (port.protected !== undefined) lines.push(`addr add ${port.protected}/32 dev lo`);
  if (port.guestNet !== undefined && port.isBridged === true) {
    lines.push('link add brvm type bridge mcast_snooping 0', `addr add ${port.guestNet}/24 dev brvm`, 'link set brvm up');
    lines.push('link set eth1 master brvm up');
  } else if (port.guestNet !== undefined) {
    lines.push(`link set eth1 address ${mac(lab, 1, n)} up`, `addr add ${port.guestNet}/24 dev eth1`);
  }
  return lines;
}

/** Both directions of every underlay port, as a switch with slow ports would do it. */
async function limitRate(lab: Layout, all: readonly Port[], rate: string, signal?: AbortSignal): Promise<void> {
  const shaped = all.filter((p) => p.underlay !== undefined);
  const line = (device: string): string => `qdisc replace dev ${device} root tbf rate ${rate} burst 128kb latency 20ms`;
  const batch = (machine: string, lines: string[]): Promise<string> =>
    must(['tc', '-n', netNamespace(lab, machine), '-batch', '-'], { input: `${lines.join('\n')}\n`, signal, timeoutMs: 10_000 });
  await batch(
    'switch',
    shaped.map((p) => line(`u-${p.machine}`)),
  );
  await Promise.all(shaped.filter((p) => p.tap !== true).map((p) => batch(p.machine, [line('eth0')])));
}

/** Gives the links between the hosts of a lab that is up another speed, such as `100mbit`. */
export async function changeRate(lab: Layout, hosts: readonly HostRecord[], rate: string): Promise<void> {
  await limitRate(lab, ports(lab, hosts, 'namespace'), rate);
}

export async function offloadsOff(lab: Layout, machine: string, interfaces: readonly string[], signal?: AbortSignal): Promise<void> {
  if (interfaces.length === 0) return;
  await must([LAB_INIT, 'offloads-off', '--net-namespace', netNamespacePath(lab, machine), ...interfaces], { signal, timeoutMs: 10_000 });
}

const namespacesOf = (all: readonly Port[]): string[] => ['switch', ...all.filter((p) => p.tap !== true).map((p) => p.machine)];

/** Builds every namespace and wire. Leaves what it made when it fails: `removeNetwork` takes it all away. */
export async function buildNetwork(
  lab: Layout,
  hosts: readonly HostRecord[],
  options: Pick<LabOptions, 'mtuBytes' | 'rate'>,
  signal?: AbortSignal,
  kind: HostKind = 'namespace',
): Promise<void> {
  const all = ports(lab, hosts, kind);
  for (const machine of namespacesOf(all)) {
    await must(['ip', 'netns', 'add', netNamespace(lab, machine)], { signal, timeoutMs: 10_000 });
  }
  await ipBatch(lab, 'switch', switchLines(lab, all, options.mtuBytes), signal);
  const own = all.filter((p) => p.tap !== true);
  await Promise.all(
    own.map((port) => ipBatch(lab, port.machine, machineLines(lab, port, all.indexOf(port) + 1, options.mtuBytes), signal)),
  );
  const onUnderlay = (list: readonly Port[]): string[] => list.filter((p) => p.underlay !== undefined).map((p) => p.machine);
  await offloadsOff(lab, 'switch', ['br0', ...onUnderlay(all).map((m) => `u-${m}`)], signal);
  await Promise.all(onUnderlay(own).map((machine) => offloadsOff(lab, machine, ['eth0'], signal)));
  if (options.rate !== undefined) await limitRate(lab, all, options.rate, signal);
}

/** Removes the lab's namespaces; links, addresses, rules and tunnels go with them. */
export async function removeNetwork(lab: Layout): Promise<void> {
  const listed = await run(['ip', 'netns', 'list'], { timeoutMs: 10_000 });
  const prefix = netNamespace(lab, '');
  for (const line of listed.stdout.split('\n')) {
    const name = line.split(' ')[0] ?? '';
    if (!name.startsWith(prefix)) continue;
    const removed = await run(['ip', 'netns', 'delete', name], { timeoutMs: 10_000 });
    if (removed.code !== 0) throw new LabError('lab-command-failed', `cannot remove network namespace ${name}: ${removed.stderr.trim()}`);
  }
}
