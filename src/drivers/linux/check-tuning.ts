import { isIP, isIPv6 } from 'node:net';
import type { PeerTuning } from '#core/model/channel.ts';
import { PlimsollError } from '#core/model/result.ts';

const interfaceName = /^[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}$/;

/** TCP_MIN_MSS of Linux; the other end is what fits into the largest packet. */
const mssBytes = { min: 88, max: 65_495 } as const;

/** The least datagram that every host takes (RFC 791), the least MTU of a link (RFC 8200 section 5), and the length field's 16 bits. */
const mtuBytes = { ipv4Min: 576, ipv6Min: 1280, max: 65_535 } as const;

/** These values become words of commands and rules. Throws `channel-failed`. */
export function checkTuning(tuning: PeerTuning): void {
  for (const address of [tuning.peerUnderlay, tuning.peerChannelAddress]) {
    if (isIP(address) === 0 || address.includes('%')) throw refused(`${JSON.stringify(address)} is not an IPv4 or IPv6 address`);
  }
  if (!interfaceName.test(tuning.interface)) throw refused(`${JSON.stringify(tuning.interface)} is not the name of a network interface`);
  within('MSS', tuning.mssBytes, mssBytes.min, mssBytes.max);
  const mtuMin = isIPv6(tuning.peerUnderlay) ? mtuBytes.ipv6Min : mtuBytes.ipv4Min;
  within('route MTU', tuning.routeMtuBytes, mtuMin, mtuBytes.max);
  within('interface MTU', tuning.interfaceMtuBytes, mtuMin, mtuBytes.max);
}

function within(what: string, value: number | null, min: number, max: number): void {
  if (value === null || (Number.isInteger(value) && value >= min && value <= max)) return;
  throw refused(`the ${what} is ${min} to ${max} bytes, not ${value}`);
}

function refused(fault: string): PlimsollError {
  return new PlimsollError('channel-failed', `These network settings cannot be made: ${fault}; correct them.`);
}
