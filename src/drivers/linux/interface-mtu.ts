import { writeFile } from 'node:fs/promises';
import { PlimsollError } from '#core/model/result.ts';
import { type IpCommand, ipv6MtuFile, ipv6MtuOf } from './ip-command.ts';
import type { TaggedRoutes } from './tagged-routes.ts';
import type { RaisedInterface } from './tuning-journal.ts';

/** RFC 8200 section 5. */
const ipv6MtuBytesMin = 1280;

/**
 * What the journal must hold before this interface may be raised: the entry that it has, with the new value, or a new one. Null when
 * nothing is to be raised. Rejects with `channel-failed` when there is no such interface or it cannot be that large.
 */
export async function noteRaise(
  ip: IpCommand,
  noted: RaisedInterface | undefined,
  name: string,
  wantedBytes: number,
  signal: AbortSignal,
): Promise<RaisedInterface | null> {
  const link = await ip.link(name, signal);
  if (link === null) throw new PlimsollError('channel-failed', `There is no interface ${name} on this host; correct its name.`);
  const valid = noted !== undefined && noted.index === link.index && isOurs(noted, link.mtuBytes) ? noted : null;
  if ((valid?.mtuBytes ?? link.mtuBytes) >= wantedBytes) return valid;
  if (link.mtuBytesMax !== null && link.mtuBytesMax < wantedBytes) {
    const sentence = `Interface ${name} takes packets of up to ${link.mtuBytesMax} bytes, not ${wantedBytes}; lower the policy's largest MTU.`;
    throw new PlimsollError('channel-failed', sentence);
  }
  if (valid !== null) return { ...valid, setToBytes: [...new Set([...valid.setToBytes, wantedBytes])] };
  const ipv6MtuBytes = await ipv6MtuOf(name, signal);
  return { name, index: link.index, mtuBytes: link.mtuBytes, ipv6MtuBytes, setToBytes: [wantedBytes] };
}

function isOurs(noted: RaisedInterface, mtuBytes: number): boolean {
  return noted.mtuBytes === mtuBytes || noted.setToBytes.includes(mtuBytes);
}

/**
 * Gives a noted interface this MTU, unless it is another one by now or somebody else has set it since. IPv6 routes without an MTU of
 * their own use the interface's *IPv6* MTU, which is kept at what it was: so IPv6 traffic keeps its size without any new route.
 */
export async function setInterfaceMtu(
  parts: { readonly ip: IpCommand; readonly routes: TaggedRoutes },
  noted: RaisedInterface,
  mtuBytes: number,
  signal: AbortSignal,
): Promise<void> {
  const link = await parts.ip.link(noted.name, signal);
  if (link === null || link.index !== noted.index || !isOurs(noted, link.mtuBytes)) return;
  const { name, ipv6MtuBytes } = noted;
  if (link.mtuBytes !== mtuBytes) {
    if (ipv6MtuBytes !== null && mtuBytes > ipv6MtuBytes) await stepAside(parts.routes, name, ipv6MtuBytes, signal);
    await parts.ip.run(['link', 'set', 'dev', name, 'mtu', String(mtuBytes)], signal);
  }
  if (ipv6MtuBytes !== null && (await ipv6MtuOf(name, signal)) !== ipv6MtuBytes) await writeIpv6Mtu(name, ipv6MtuBytes);
}

/**
 * When a device gets another MTU, the kernel also raises to it the IPv6 routes whose own MTU equals the device's IPv6 MTU (rt6_mtu_change_route in
 * net/ipv6/route.c). They were set by somebody: the IPv6 MTU is given a value that none of them has for that moment.
 */
async function stepAside(routes: TaggedRoutes, device: string, ipv6MtuBytes: number, signal: AbortSignal): Promise<void> {
  const own = await routes.ownIpv6Mtus(device, signal);
  if (!own.includes(ipv6MtuBytes)) return;
  for (let bytes = ipv6MtuBytes - 1; bytes >= ipv6MtuBytesMin; bytes -= 1) {
    if (!own.includes(bytes)) return writeIpv6Mtu(device, bytes);
  }
  const sentence = `IPv6 routes through ${device} have an MTU of ${ipv6MtuBytes} and would be raised with it; lock them (ip-route(8)) or do not raise.`;
  throw new PlimsollError('channel-failed', sentence);
}

async function writeIpv6Mtu(device: string, bytes: number): Promise<void> {
  try {
    await writeFile(ipv6MtuFile(device), String(bytes));
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new PlimsollError('channel-failed', `${ipv6MtuFile(device)} cannot be written: ${detail}. It needs root.`, { cause });
  }
}
