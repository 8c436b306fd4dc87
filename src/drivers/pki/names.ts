import { isIP } from 'node:net';
import { PlimsollError } from '#core/model/result.ts';

/** Common name of the controller's certificate; a host may never have it, or it could pose as the controller. */
export const controllerName = 'plimsoll-controller';

const dnsNameCharactersMax = 253;
/** One label of a DNS name (RFC 1123 section 2.1), lower case: names of hosts are compared byte by byte. */
const labelPattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Upper bound of X.520 for a common name; GnuTLS and OpenSSL refuse longer ones. */
export const hostIdCharactersMax = 64;

export function isDnsName(name: string): boolean {
  return name.length <= dnsNameCharactersMax && name.split('.').every((label) => labelPattern.test(label));
}

/** Throws `input-invalid` unless `hostId` may stand in a certificate as common name and DNS name. */
export function checkHostId(hostId: string): void {
  if (hostId === controllerName) {
    throw new PlimsollError('input-invalid', `The name ${controllerName} belongs to the controller; choose another host name.`);
  }
  if (hostId.length > hostIdCharactersMax || !isDnsName(hostId) || isIP(hostId) !== 0) {
    throw new PlimsollError(
      'input-invalid',
      `${JSON.stringify(hostId.slice(0, hostIdCharactersMax))} is not a host name; use lower-case letters, digits, dashes and dots, at most ${hostIdCharactersMax} characters.`,
    );
  }
}

/** Throws `input-invalid` unless `address` is an IPv4 or IPv6 address without zone. */
export function checkAddress(address: string): void {
  if (isIP(address) === 0 || address.includes('%')) {
    throw new PlimsollError('input-invalid', `${JSON.stringify(address.slice(0, 64))} is not an IP address; give one such as 192.0.2.10.`);
  }
}
