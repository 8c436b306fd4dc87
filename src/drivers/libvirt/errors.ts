import { DecodeError } from './xdr-decoder.ts';

/**
 * Stable codes of every failure of this driver. The first group comes from the connection, the second from the daemon's answer
 * (see `serverErrorCodes`), `server-error` is every other answer: `server` then tells libvirt's own code and domain.
 */
export type LibvirtErrorCode =
  | 'connect-failed'
  | 'connection-lost'
  | 'connection-closed'
  | 'deadline-exceeded'
  | 'aborted'
  | 'queue-full'
  | 'malformed-message'
  | 'bad-argument'
  | 'auth-unsupported'
  | 'no-such-vm'
  | 'vm-exists'
  | 'invalid-state'
  | 'vm-busy'
  | 'job-aborted'
  | 'unsupported'
  | 'access-denied'
  | 'bad-definition'
  | 'cpu-incompatible'
  | 'migration-unsafe'
  | 'server-error';

/** What the daemon said: numbers of libvirt's virterror.h, and its text for a person to read. */
export interface ServerFault {
  readonly code: number;
  readonly domain: number;
  readonly level: number;
  readonly message: string;
}

/** The one error class of this driver. `message` is a sentence for the operator; branch on `code` only. */
export class LibvirtError extends Error {
  override readonly name = 'LibvirtError';
  readonly code: LibvirtErrorCode;
  readonly server: ServerFault | null;

  constructor(code: LibvirtErrorCode, message: string, details: { readonly cause?: unknown; readonly server?: ServerFault } = {}) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.code = code;
    this.server = details.server ?? null;
  }
}

/** libvirt's error numbers (virErrorNumber) that mean something to a caller. */
const serverErrorCodes: ReadonlyMap<number, LibvirtErrorCode> = new Map([
  [3, 'unsupported'],
  [8, 'bad-argument'],
  [27, 'bad-definition'],
  [28, 'vm-exists'],
  [29, 'access-denied'],
  [42, 'no-such-vm'],
  [45, 'access-denied'],
  [55, 'invalid-state'],
  [67, 'unsupported'],
  [68, 'vm-busy'],
  [78, 'job-aborted'],
  [81, 'migration-unsafe'],
  [84, 'unsupported'],
  [87, 'vm-busy'],
  [88, 'access-denied'],
  [91, 'cpu-incompatible'],
]);

/** The daemon's answer as an error of this driver. `call` names the procedure, for the operator. */
export function serverError(call: string, fault: ServerFault): LibvirtError {
  const code = serverErrorCodes.get(fault.code) ?? 'server-error';
  return new LibvirtError(code, `libvirt refused ${call}: ${fault.message} (error ${fault.code}, domain ${fault.domain})`, {
    server: fault,
  });
}

/** Bytes that are not the protocol, as an error of this driver; anything else is passed through unchanged. */
export function malformed(call: string, cause: unknown): unknown {
  if (!(cause instanceof DecodeError)) return cause;
  const advice = 'check that the socket belongs to libvirtd and that its version is supported';
  return new LibvirtError('malformed-message', `libvirt's ${call} could not be read (${cause.message}); ${advice}`, { cause });
}
