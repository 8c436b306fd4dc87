import { jobStatsParamsMax } from './limits.ts';
import { decodeDomain, decodeTypedParams, type DomainRef, type TypedParam } from './values.ts';
import type { XdrDecoder } from './xdr-decoder.ts';

/** What the daemon told us unasked. `callbackId` is what `registerEvent` answered. */
export type LibvirtEvent =
  | { readonly kind: 'lifecycle'; readonly callbackId: number; readonly domain: DomainRef; readonly event: number; readonly detail: number }
  | { readonly kind: 'migration-iteration'; readonly callbackId: number; readonly domain: DomainRef; readonly iteration: number }
  | { readonly kind: 'job-completed'; readonly callbackId: number; readonly domain: DomainRef; readonly params: readonly TypedParam[] }
  | { readonly kind: 'connection-closed'; readonly reason: number };

const decoders: ReadonlyMap<number, (decoder: XdrDecoder) => LibvirtEvent> = new Map([
  // REMOTE_PROC_DOMAIN_EVENT_CALLBACK_LIFECYCLE
  [
    318,
    (d: XdrDecoder): LibvirtEvent => ({
      kind: 'lifecycle',
      callbackId: d.i32(),
      domain: decodeDomain(d),
      event: d.i32(),
      detail: d.i32(),
    }),
  ],
  // REMOTE_PROC_DOMAIN_EVENT_CALLBACK_MIGRATION_ITERATION
  [
    359,
    (d: XdrDecoder): LibvirtEvent => ({ kind: 'migration-iteration', callbackId: d.i32(), domain: decodeDomain(d), iteration: d.i32() }),
  ],
  // REMOTE_PROC_CONNECT_EVENT_CONNECTION_CLOSED: the daemon lost its own hypervisor
  [362, (d: XdrDecoder): LibvirtEvent => ({ kind: 'connection-closed', reason: d.i32() })],
  // REMOTE_PROC_DOMAIN_EVENT_CALLBACK_JOB_COMPLETED
  [
    363,
    (d: XdrDecoder): LibvirtEvent => ({
      kind: 'job-completed',
      callbackId: d.i32(),
      domain: decodeDomain(d),
      params: decodeTypedParams(d, jobStatsParamsMax),
    }),
  ],
]);

/** The event of a procedure number, or null when it is one that this driver never asked for. Throws `DecodeError`. */
export function decodeEvent(procedure: number, decoder: XdrDecoder): LibvirtEvent | null {
  const event = decoders.get(procedure)?.(decoder) ?? null;
  if (event !== null) decoder.end();
  return event;
}
