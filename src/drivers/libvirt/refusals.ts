import { PlimsollError, type RefusalCode } from '#core/model/result.ts';

import { LibvirtError, type LibvirtErrorCode } from './errors.ts';

/** What the rest of the system may see of a libvirt failure. Codes not named here are `hypervisor-failed`. */
const refusals: Partial<Record<LibvirtErrorCode, RefusalCode>> = {
  'connect-failed': 'hypervisor-unavailable',
  'connection-lost': 'hypervisor-unavailable',
  'connection-closed': 'hypervisor-unavailable',
  'deadline-exceeded': 'hypervisor-unavailable',
  'queue-full': 'hypervisor-unavailable',
  'malformed-message': 'hypervisor-unavailable',
  'auth-unsupported': 'hypervisor-unavailable',
  aborted: 'aborted',
  'job-aborted': 'aborted',
  'no-such-vm': 'vm-unknown',
  'vm-busy': 'vm-busy',
};

/** A failure of this driver in the words of the ports; a PlimsollError passes unchanged. */
export function toPlimsollError(error: unknown): PlimsollError {
  if (error instanceof PlimsollError) return error;
  if (error instanceof LibvirtError) return new PlimsollError(refusals[error.code] ?? 'hypervisor-failed', error.message, { cause: error });
  const message = error instanceof Error ? error.message : String(error);
  return new PlimsollError('hypervisor-failed', `the libvirt driver failed: ${message}`, { cause: error });
}
