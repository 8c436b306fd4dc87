import { CONTROLLER_LAST, netNamespace, netNamespacePath, underlayAddress } from '#lab/layout.ts';
import type { Layout } from '#lab/layout.ts';
import { buildNetwork, ipBatch, mac, offloadsOff } from '#lab/network.ts';
import { must, run } from '#lab/process.ts';
import type { HostRecord } from '#lab/record.ts';
import type { VmLabOptions } from './options.ts';
import { CONTROL_SWITCH_LAST, controlAddress, underlayAddress6 } from './paths.ts';

/**
 * The wires of a namespace lab with taps where its hosts would be, and one bridge more: br2, on which the lab itself reaches
 * its hosts, whatever a test does to the network between them.
 */
export async function buildVmNetwork(
  lab: Layout,
  hosts: readonly HostRecord[],
  options: Pick<VmLabOptions, 'mtuBytes' | 'rate'>,
  signal?: AbortSignal,
): Promise<void> {
  await buildNetwork(lab, hosts, options, signal, 'vm');
  const lines = [
    'link add br2 type bridge mcast_snooping 0',
    `addr add ${controlAddress(CONTROL_SWITCH_LAST)}/24 dev br2`,
    'link set br2 up',
  ];
  for (const { name } of hosts) lines.push(`tuntap add dev c-${name} mode tap`, `link set c-${name} master br2 up`);
  await ipBatch(lab, 'switch', lines, signal);
}

/** The address of a host's interface number `network`: 0 underlay, 1 guests, 2 control. */
export const hostMac = (lab: Layout, network: number, n: number): string => mac(lab, network, n);

/** Bridge and taps of the underlay; the hosts' own interfaces are not touched. */
export async function setLinkMtu(lab: Layout, hosts: readonly HostRecord[], mtuBytes: number, signal?: AbortSignal): Promise<void> {
  const ports = [...hosts.map((h) => h.name), 'ctl', 'storage'].map((name) => `u-${name}`);
  await ipBatch(
    lab,
    'switch',
    ['br0', ...ports].map((device) => `link set ${device} mtu ${mtuBytes}`),
    signal,
  );
}

const MIDDLE = 'middle';
const MIDDLE_LAST = 254;
export const middleAddress = (lab: Layout): string => underlayAddress(lab, MIDDLE_LAST);
export const middleAddress6 = (lab: Layout): string => underlayAddress6(lab, MIDDLE_LAST);

/** Silence: neither "fragmentation needed" nor "packet too big" nor a redirect leaves the router. */
const SILENT = `table inet middle {
  chain output {
    type filter hook output priority 0; policy accept;
    meta l4proto icmp drop
    icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, nd-redirect } drop
  }
}
`;

/**
 * A router on the underlay whose way to each host carries only `mtuBytes`, and which does not say so: a path-MTU black hole.
 * Hosts that route to each other through it are behind a smaller middle; it has one leg, so a capture sees each packet twice.
 */
export async function addMiddle(lab: Layout, hosts: readonly HostRecord[], linkMtuBytes: number, mtuBytes: number): Promise<void> {
  await removeMiddle(lab);
  const namespace = netNamespace(lab, MIDDLE);
  await must(['ip', 'netns', 'add', namespace], { timeoutMs: 10_000 });
  await ipBatch(lab, 'switch', [
    `link add u-${MIDDLE} type veth peer name eth0 netns ${namespace}`,
    `link set u-${MIDDLE} mtu ${linkMtuBytes} master br0 up`,
  ]);
  const address = hosts.flatMap((_, i) => [
    `route add ${underlayAddress(lab, i + 1)}/32 dev eth0 mtu ${mtuBytes}`,
    `route add ${underlayAddress6(lab, i + 1)}/128 dev eth0 mtu ${mtuBytes}`,
  ]);
  await ipBatch(lab, MIDDLE, [
    'link set lo up',
    `link set eth0 mtu ${linkMtuBytes} address ${mac(lab, 0, MIDDLE_LAST)} up`,
    `addr add ${middleAddress(lab)}/24 dev eth0`,
    `addr add ${middleAddress6(lab)}/64 dev eth0 nodad`,
    ...address,
  ]);
  await offloadsOff(lab, 'switch', [`u-${MIDDLE}`]);
  await offloadsOff(lab, MIDDLE, ['eth0']);
  const inside = ['nsenter', `--net=${netNamespacePath(lab, MIDDLE)}`];
  const forward = [
    'net.ipv4.ip_forward=1',
    'net.ipv6.conf.all.forwarding=1',
    'net.ipv4.conf.all.send_redirects=0',
    'net.ipv4.conf.eth0.send_redirects=0',
  ];
  await must([...inside, 'sysctl', '-q', '-w', ...forward], { timeoutMs: 10_000 });
  await must([...inside, 'nft', '-f', '-'], { input: SILENT, timeoutMs: 10_000 });
}

export async function removeMiddle(lab: Layout): Promise<void> {
  const namespace = netNamespace(lab, MIDDLE);
  await run(['ip', 'netns', 'delete', namespace], { timeoutMs: 10_000 });
}

/** Lines for `ip -batch` in host number `n` that send its traffic with the other hosts through the middle, or directly again. */
export function middleRouteLines(lab: Layout, hostCount: number, n: number, version: 4 | 6, through: boolean): string[] {
  const others = Array.from({ length: hostCount }, (_, i) => i + 1).filter((other) => other !== n);
  return others.map((other) => {
    const to = version === 4 ? `${underlayAddress(lab, other)}/32` : `${underlayAddress6(lab, other)}/128`;
    return through ? `route replace ${to} via ${version === 4 ? middleAddress(lab) : middleAddress6(lab)}` : `route flush ${to}`;
  });
}

export const controllerAddress = (lab: Layout): string => underlayAddress(lab, CONTROLLER_LAST);
