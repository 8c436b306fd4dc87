import { PlimsollError } from '#core/model/result.ts';
import { StrongswanError, type StrongswanErrorCode } from './errors.ts';

/** charon is away, or hangs: the same call may succeed later. Everything else needs somebody to change something. */
const unavailable: ReadonlySet<StrongswanErrorCode> = new Set([
  'strongswan-unreachable',
  'strongswan-connection-lost',
  'strongswan-timed-out',
  'strongswan-queue-full',
  'strongswan-closed',
]);

/** What the port promises to reject with: a PlimsollError, of code `ipsec-unavailable`, `aborted` or `ipsec-failed` unless it was one. */
export function portError(error: unknown): PlimsollError {
  if (error instanceof PlimsollError) return error;
  if (!(error instanceof StrongswanError)) {
    if (isAbort(error)) return new PlimsollError('aborted', 'Waiting for IPsec was given up.', { cause: error });
    return new PlimsollError('ipsec-failed', 'The strongSwan driver failed: report this with its log.', { cause: error });
  }
  if (error.code === 'strongswan-aborted') return new PlimsollError('aborted', error.message, { cause: error });
  return new PlimsollError(unavailable.has(error.code) ? 'ipsec-unavailable' : 'ipsec-failed', error.message, { cause: error });
}

/** What Node's own waits reject with when their signal fires. */
function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError');
}

/** Runs work of the port; whatever goes wrong becomes a PlimsollError. */
export async function atPort<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw portError(error);
  }
}
