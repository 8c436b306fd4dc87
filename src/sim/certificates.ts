/**
 * Certificates, requests and revocation lists of the simulation: what would be in them, as JSON in PEM armour. They prove nothing;
 * whoever simulates an attacker must not let it make one.
 */
import { decodeBase64, encodeBase64 } from '#core/access/base64.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';

export interface SimCertificate {
  readonly kind: 'certificate';
  readonly hostId: HostId;
  readonly serialNumber: string;
  readonly authorityId: string;
  /** Which key it is for. */
  readonly key: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface SimRequest {
  readonly kind: 'request';
  readonly key: string;
}

export interface SimRevocationList {
  readonly kind: 'list';
  readonly authorityId: string;
  readonly number: number;
  readonly serialNumbers: readonly string[];
}

type Content = SimCertificate | SimRequest | SimRevocationList;

const labels = { certificate: 'CERTIFICATE', request: 'CERTIFICATE REQUEST', list: 'X509 CRL' } as const;

export function pemOf(content: Content): string {
  const label = labels[content.kind];
  return `-----BEGIN ${label}-----\n${encodeBase64(derOf(content))}\n-----END ${label}-----\n`;
}

export function derOf(content: Content): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(content));
}

export function readCertificate(pem: string): SimCertificate {
  return read(pem, 'certificate') as SimCertificate;
}

export function readRequest(pem: string): SimRequest {
  return read(pem, 'request') as SimRequest;
}

export function readRevocationList(pem: string): SimRevocationList {
  return read(pem, 'list') as SimRevocationList;
}

/** Why whoever has these lists does not trust this certificate now; null when it does. No list of its CA is a reason too. */
export function distrust(certificate: SimCertificate, crlPems: readonly string[], nowMs: number): string | null {
  if (nowMs < certificate.notBeforeMs) return 'its certificate is not valid yet';
  if (nowMs >= certificate.notAfterMs) return 'its certificate has expired';
  const list = crlPems.map(readRevocationList).find(({ authorityId }) => authorityId === certificate.authorityId);
  if (list === undefined) return 'nobody knows whether its certificate was revoked';
  return list.serialNumbers.includes(certificate.serialNumber) ? 'its certificate was revoked' : null;
}

function read(pem: string, kind: Content['kind']): Content {
  const body = pem.split('\n')[1] ?? '';
  const content = JSON.parse(new TextDecoder().decode(decodeBase64(body) ?? new Uint8Array())) as Content;
  if (content.kind !== kind) throw new PlimsollError('input-invalid', `a ${content.kind} where a ${kind} belongs`);
  return content;
}
