/** What can go wrong with charon, as stable codes: callers and operators may rely on them, never on the message. */
export type StrongswanErrorCode =
  | 'strongswan-unreachable'
  | 'strongswan-connection-lost'
  | 'strongswan-timed-out'
  | 'strongswan-aborted'
  | 'strongswan-queue-full'
  | 'strongswan-closed'
  | 'strongswan-malformed-reply'
  | 'strongswan-invalid-request'
  | 'strongswan-unknown-command'
  | 'strongswan-unknown-event'
  | 'strongswan-command-failed';

/** What happened, beside the code. */
export interface StrongswanErrorDetails {
  readonly cause?: unknown;
  /** The VICI command or event that was under way. */
  readonly command?: string;
  /** charon's own words, for the operator and the audit log; never to be matched on. */
  readonly daemonMessage?: string;
  /** Last control-log lines of an initiate or terminate, oldest first. */
  readonly log?: readonly string[];
}

/** The one error class of this driver. The message is a sentence that says what to do. */
export class StrongswanError extends Error {
  readonly code: StrongswanErrorCode;
  readonly command: string | undefined;
  readonly daemonMessage: string | undefined;
  readonly log: readonly string[];

  constructor(code: StrongswanErrorCode, sentence: string, details: StrongswanErrorDetails = {}) {
    super(sentence, details.cause === undefined ? {} : { cause: details.cause });
    this.name = 'StrongswanError';
    this.code = code;
    this.command = details.command;
    this.daemonMessage = details.daemonMessage;
    this.log = details.log ?? [];
  }
}

/** Why bytes are not a VICI frame, packet or message. */
export type DecodeErrorCode =
  | 'oversized-frame'
  | 'empty-packet'
  | 'unknown-packet-type'
  | 'trailing-bytes'
  | 'oversized-message'
  | 'truncated'
  | 'unknown-element-type'
  | 'invalid-name'
  | 'duplicate-name'
  | 'section-end-without-start'
  | 'section-not-closed'
  | 'list-end-without-start'
  | 'list-not-closed'
  | 'list-item-outside-list'
  | 'element-inside-list'
  | 'too-deep'
  | 'too-many-elements';

/** Bytes from the peer that are not VICI. `offset` counts bytes from the start of the frame, packet or message that was read. */
export class DecodeError extends Error {
  readonly code: DecodeErrorCode;
  readonly offset: number;

  constructor(code: DecodeErrorCode, offset: number) {
    super(`not a VICI message: ${code} at byte ${offset}`);
    this.name = 'DecodeError';
    this.code = code;
    this.offset = offset;
  }
}

/** Why a message cannot be written as VICI. */
export type EncodeErrorCode = 'name-too-long' | 'invalid-name' | 'value-too-long' | 'too-deep' | 'too-many-elements' | 'oversized-message';

/** A message of our own that VICI cannot carry. `name` tells which key or section. */
export class EncodeError extends Error {
  readonly code: EncodeErrorCode;
  readonly key: string;

  constructor(code: EncodeErrorCode, key: string) {
    super(`cannot be written as a VICI message: ${code} at "${key.slice(0, 64)}"`);
    this.name = 'EncodeError';
    this.code = code;
    this.key = key;
  }
}
