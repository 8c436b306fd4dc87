import { STATUS_CODES, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Refusal, RefusalCode } from '#core/model/result.ts';

/** Status of a refusal by its code; what is not named is the client's conflict with the present state. */
const statusOfCode: Partial<Record<RefusalCode, number>> = {
  'host-revoked': 403,
  'input-invalid': 400,
  'message-invalid': 400,
  'token-expired': 403,
  'token-invalid': 403,
  internal: 500,
};

export function statusOf(code: RefusalCode): number {
  return statusOfCode[code] ?? 409;
}

export function replyJson(response: ServerResponse, status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
  if (response.headersSent || response.destroyed) return;
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    // One request per connection: a joining host has no second one.
    connection: 'close',
    ...headers,
  });
  response.end(text);
}

/** Refuses an upgrade: node hands over the bare connection, so the response is written by hand (RFC 9112 section 4). */
export function refuseUpgrade(socket: Duplex, status: number, refusal: Refusal, headers: Readonly<Record<string, string>> = {}): void {
  const text = JSON.stringify(refusal);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(text)}`,
    'connection: close',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  // The peer need not close its half, so this end does not wait for it.
  socket.once('finish', () => socket.destroy());
  socket.end(`${lines.join('\r\n')}\r\n\r\n${text}`);
}
