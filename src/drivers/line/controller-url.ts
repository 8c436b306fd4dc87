import { isIP } from 'node:net';
import { PlimsollError } from '#core/model/result.ts';
import { agentPath } from './limits.ts';

const httpsPort = 443;

export interface ControllerAddress {
  /** DNS name or IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** Server name for TLS; empty for an IP address, which RFC 6066 section 3 does not allow there. */
  readonly serverName: string;
}

/** Reads `https://HOST:PORT` (or `wss://…`, with or without the agent's path). Throws `config-invalid`. */
export function controllerAddress(url: string): ControllerAddress {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  const plain = parsed !== null && parsed.username === '' && parsed.password === '' && parsed.search === '' && parsed.hash === '';
  const secure = parsed !== null && (parsed.protocol === 'https:' || parsed.protocol === 'wss:');
  if (parsed === null || !plain || !secure || !['/', '', agentPath].includes(parsed.pathname)) {
    throw new PlimsollError(
      'config-invalid',
      `${JSON.stringify(url.slice(0, 200))} is not a controller's address; give one such as https://192.0.2.1:7443.`,
    );
  }
  const host = parsed.hostname.replace(/^\[(.*)\]$/, '$1');
  return { host, port: parsed.port === '' ? httpsPort : Number(parsed.port), serverName: isIP(host) === 0 ? host : '' };
}

/** `HOST:PORT` for messages and URLs, IPv6 in brackets. */
export function hostAndPort(address: ControllerAddress): string {
  return `${isIP(address.host) === 6 ? `[${address.host}]` : address.host}:${address.port}`;
}
