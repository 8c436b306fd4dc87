/** Reads what `ip` and `bridge` print as JSON (iproute2 6.1). Pure; each throws `version-unsupported` for an unknown form. */
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { PlimsollError } from '#core/model/result.ts';

const seconds = Type.Optional(Type.Integer({ minimum: 0 }));
const neighbourList = Compile(
  Type.Array(
    Type.Object({
      dst: Type.Optional(Type.String()),
      lladdr: Type.Optional(Type.String()),
      state: Type.Optional(Type.Array(Type.String())),
      confirmed: seconds,
      updated: seconds,
    }),
  ),
);
const routeList = Compile(
  Type.Array(
    Type.Object({
      type: Type.Optional(Type.String()),
      dev: Type.Optional(Type.String()),
      gateway: Type.Optional(Type.Unknown()),
      via: Type.Optional(Type.Unknown()),
      encap: Type.Optional(Type.Unknown()),
    }),
  ),
);
const forwardingList = Compile(
  Type.Array(
    Type.Object({
      mac: Type.Optional(Type.String()),
      ifname: Type.Optional(Type.String()),
      master: Type.Optional(Type.String()),
      state: Type.Optional(Type.String()),
      updated: seconds,
    }),
  ),
);
const linkList = Compile(
  Type.Array(
    Type.Object({
      ifname: Type.String(),
      address: Type.Optional(Type.String()),
      linkinfo: Type.Optional(
        Type.Object({
          info_kind: Type.Optional(Type.String()),
          info_data: Type.Optional(Type.Object({ type: Type.Optional(Type.String()) })),
        }),
      ),
    }),
  ),
);

const noted = Number.MAX_SAFE_INTEGER;

/**
 * The IP addresses behind a MAC address in `ip -j -s neigh show`, the one whose presence was confirmed last first. Without link-local ones
 * of IPv6, which mean nothing without an interface, and without neighbours that did not answer.
 */
export function addressesBehind(text: string, mac: string): readonly string[] {
  const value = parseJson(text);
  if (!neighbourList.Check(value)) throw unknownForm('ip');
  const gone = ['FAILED', 'INCOMPLETE'];
  const known = value.flatMap(({ dst, lladdr, state = [], confirmed = noted, updated = noted }) =>
    dst === undefined || lladdr?.toLowerCase() !== mac.toLowerCase() || state.some((name) => gone.includes(name)) || /^fe[89ab]/i.test(dst)
      ? []
      : [{ address: dst, confirmed, updated }],
  );
  const newestFirst = known.toSorted((one, other) => one.confirmed - other.confirmed || one.updated - other.updated);
  return [...new Set(newestFirst.map(({ address }) => address))];
}

/** Whether `ip -j route get` says that the address is another machine's on one of this host's own links. */
export function isOnLink(text: string): boolean {
  const value = parseJson(text);
  if (!routeList.Check(value)) throw unknownForm('ip');
  const [route] = value;
  if (route?.dev === undefined || route.dev === 'lo' || (route.type ?? 'unicast') !== 'unicast') return false;
  return route.gateway === undefined && route.via === undefined && route.encap === undefined;
}

/** The port of a bridge behind which `bridge -j -s fdb show` has the MAC address, the newest entry of several bridges or VLANs; null for none. */
export function portOf(text: string, mac: string): string | null {
  const value = parseJson(text);
  if (!forwardingList.Check(value)) throw unknownForm('bridge');
  const entries = value.flatMap(({ mac: entryMac, ifname, master, state, updated = noted }) =>
    // `permanent` is the address of the port itself. Without `master`: what the device lets in, nothing that a bridge has learned.
    entryMac?.toLowerCase() !== mac.toLowerCase() || ifname === undefined || master === undefined || state === 'permanent'
      ? []
      : [{ ifname, updated }],
  );
  return entries.toSorted((one, other) => one.updated - other.updated)[0]?.ifname ?? null;
}

/**
 * Whether a bridge's port is the end of this very VM, from `ip -j -d link show dev PORT`. QEMU attaches its guests by TAP devices; whatever
 * else can be a port (a network card, bond, VLAN, tunnel, veth) leads away. libvirt gives a TAP device `vnetN` the guest's MAC address with
 * fe as first byte: one with another guest's leads to something behind that guest. A TAP device that somebody else made says nothing of that kind and
 * is taken for the VM's; so a host whose uplink is a TAP device (a layer 2 VPN) mistakes what is behind that for its own.
 */
export function isPortOfVm(text: string, mac: string): boolean {
  const value = parseJson(text);
  const link = linkList.Check(value) ? value[0] : undefined;
  if (link === undefined) throw unknownForm('ip');
  if (link.linkinfo?.info_kind !== 'tun' || link.linkinfo.info_data?.type !== 'tap') return false;
  const address = link.address?.toLowerCase() ?? '';
  const madeByLibvirt = /^vnet\d+$/.test(link.ifname) && address.startsWith('fe:');
  return !madeByLibvirt || address.slice(3) === mac.toLowerCase().slice(3);
}

function unknownForm(program: string): PlimsollError {
  return new PlimsollError('version-unsupported', `${program} printed something unknown; check that iproute2 6.1 or newer is installed.`);
}

function parseJson(text: string): unknown {
  // Without any entry some versions print nothing.
  if (text.trim() === '') return [];
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
