/** Reads the host's addresses, links and routes through the `ip` program (iproute2). */
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { PlimsollError } from '#core/model/result.ts';
import { runCommand } from './command.ts';
import { readTextFile } from './text-file.ts';

export interface IpOptions {
  /** How `ip` is called, argv only; the default is Debian's path. */
  readonly command?: readonly [string, ...string[]];
  readonly timeoutMs?: number;
}

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly mtuBytes: number;
  /** Null when the driver does not say. A VLAN's is that of the device below it. */
  readonly mtuBytesMax: number | null;
}

/** The route that packets to one address take now. */
export interface RouteTo {
  /** The address in the kernel's spelling. */
  readonly address: string;
  readonly device: string;
  /** As `ip route` takes it, such as `via 10.0.0.1`; empty when the address is on the link itself. */
  readonly gatewayWords: readonly string[];
  readonly source: string | null;
  /** Set by hand or learned from ICMP; null when the device's counts. */
  readonly mtuBytes: number | null;
  /** Locked (ip-route(8)): the kernel then sends IPv4 without DF. */
  readonly mtuLocked: boolean;
  readonly onLink: boolean;
}

/** Such as the destination `10.0.0.0/8` or `default`, in table `main`. */
export interface TableEntry {
  readonly destination: string;
  readonly table: string;
  readonly device: string;
  readonly mtuBytes: number | null;
}

const size = Type.Integer({ minimum: 0 });
const linkList = Compile(
  Type.Array(
    Type.Object({
      ifindex: Type.Integer(),
      ifname: Type.String(),
      mtu: size,
      max_mtu: Type.Optional(size),
      link: Type.Optional(Type.Union([Type.String(), Type.Null()])),
      linkinfo: Type.Optional(Type.Object({ info_kind: Type.Optional(Type.String()) })),
    }),
  ),
);
const routeList = Compile(
  Type.Array(
    Type.Object({
      dst: Type.String(),
      dev: Type.String(),
      table: Type.Optional(Type.String()),
      gateway: Type.Optional(Type.String()),
      via: Type.Optional(Type.Object({ family: Type.String(), host: Type.String() })),
      prefsrc: Type.Optional(Type.String()),
      flags: Type.Optional(Type.Array(Type.String())),
      metrics: Type.Optional(Type.Array(Type.Object({ mtu: Type.Optional(size) }))),
    }),
    { minItems: 1 },
  ),
);

/** Devices on top of another one whose packets cannot be larger than the lower one's. */
const stackedKinds: readonly string[] = ['vlan', 'macvlan', 'ipvlan'];

/** Rejects with `channel-failed` when `ip` cannot be run, refuses, or prints something unknown; with the signal's reason when aborted. */
export class IpCommand {
  readonly #command: readonly [string, ...string[]];
  readonly #timeoutMs: number;

  constructor(options: IpOptions = {}) {
    this.#command = options.command ?? ['/usr/sbin/ip'];
    this.#timeoutMs = options.timeoutMs ?? 5000;
  }

  async run(args: readonly string[], signal: AbortSignal): Promise<string> {
    const outcome = await runCommand([...this.#command, ...args], { timeoutMs: this.#timeoutMs, signal });
    if (outcome.exitCode === 0) return outcome.stdout;
    const detail = outcome.problem ?? outcome.stderr.trim().slice(0, 500);
    const sentence = `\`${[...this.#command, ...args].join(' ')}\` failed: ${detail}. It needs root and a route to the peer.`;
    throw new PlimsollError('channel-failed', sentence, { cause: outcome });
  }

  /** Every device with its kind, such as `bridge` or `veth`; empty for a card. */
  async links(signal: AbortSignal): Promise<readonly { readonly name: string; readonly kind: string }[]> {
    const links = linksIn(await this.run(['-j', '-d', 'link', 'show'], signal));
    return links.map(({ ifname, linkinfo }) => ({ name: ifname, kind: linkinfo?.info_kind ?? '' }));
  }

  /** Null when there is no such device. */
  async link(name: string, signal: AbortSignal): Promise<Link | null> {
    const links = linksIn(await this.run(['-j', '-d', 'link', 'show'], signal));
    const found = links.find((link) => link.ifname === name);
    if (found === undefined) return null;
    const kind = found.linkinfo?.info_kind ?? '';
    const below = stackedKinds.includes(kind) ? links.find((link) => link.ifname === found.link)?.mtu : undefined;
    // 0 stands for "no limit known".
    const own = found.max_mtu === undefined || found.max_mtu === 0 ? null : found.max_mtu;
    const mtuBytesMax = below === undefined ? own : Math.min(own ?? below, below);
    return { index: found.ifindex, name, mtuBytes: found.mtu, mtuBytesMax };
  }

  async routeTo(address: string, from: string | null, signal: AbortSignal): Promise<RouteTo> {
    const words = ['route', 'get', address, ...(from === null ? [] : ['from', from])];
    // The JSON form does not tell whether an MTU is locked, the text does.
    const text = await this.run(['-o', ...words], signal);
    const route = routeIn(await this.run(['-j', ...words], signal));
    const { gateway, via } = route;
    return {
      address: route.dst,
      device: route.dev,
      gatewayWords: gateway !== undefined ? ['via', gateway] : via !== undefined ? ['via', via.family, via.host] : [],
      source: from ?? route.prefsrc ?? null,
      mtuBytes: route.mtuBytes,
      mtuLocked: /\smtu lock \d/.test(text),
      onLink: route.flags?.includes('onlink') ?? false,
    };
  }

  /** The entry of the routing tables that matches the address. */
  async matchOf(address: string, signal: AbortSignal): Promise<TableEntry> {
    const route = routeIn(await this.run(['-j', 'route', 'get', 'fibmatch', address], signal));
    return { destination: route.dst, table: route.table ?? 'main', device: route.dev, mtuBytes: route.mtuBytes };
  }
}

/** Both lists are checked here, by the compiled validator of their form. */
function linksIn(text: string) {
  const value = parseJson(text);
  if (linkList.Check(value)) return value;
  throw unknownForm();
}

function routeIn(text: string) {
  const value = parseJson(text);
  const route = routeList.Check(value) ? value[0] : undefined;
  if (route === undefined) throw unknownForm();
  return { ...route, mtuBytes: route.metrics?.find((metric) => metric.mtu !== undefined)?.mtu ?? null };
}

function unknownForm(): PlimsollError {
  return new PlimsollError('channel-failed', 'ip printed something unknown; check that iproute2 6.1 or newer is installed.');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * What IPv6 takes for the MTU of this device, which may be less than the device's own (a router's advertisement, or the host's settings);
 * null without IPv6 on it. The file shows the network namespace of the process that reads it.
 */
export async function ipv6MtuOf(device: string, signal?: AbortSignal): Promise<number | null> {
  const text = await readTextFile(ipv6MtuFile(device), signal);
  const bytes = Number(text?.trim() ?? '');
  return Number.isInteger(bytes) && bytes > 0 ? bytes : null;
}

/** Linux keeps a device's name free of slashes, and so is a path built from one that exists. */
export function ipv6MtuFile(device: string): string {
  return `/proc/sys/net/ipv6/conf/${device}/mtu`;
}
