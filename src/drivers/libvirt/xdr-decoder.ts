import { isUtf8 } from 'node:buffer';

/** Why bytes could not be read as XDR. Stable: callers and tests may branch on it. */
export type DecodeErrorCode = 'truncated' | 'too-long' | 'not-boolean' | 'not-utf8' | 'bad-padding' | 'unknown-variant' | 'trailing-bytes';

/** Bytes from the daemon that are not what the protocol says. `offset` is the byte at which reading failed. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
  readonly code: DecodeErrorCode;
  readonly offset: number;

  constructor(code: DecodeErrorCode, offset: number, detail: string) {
    super(`malformed libvirt message at byte ${offset}: ${detail}`);
    this.code = code;
    this.offset = offset;
  }
}

/**
 * Reads XDR (RFC 4506) from one packet. Every method throws `DecodeError` and nothing else when the bytes are not valid;
 * a length is checked against its bound and against the bytes that are really there before anything is allocated.
 */
export class XdrDecoder {
  readonly #bytes: Buffer;
  #offset: number;

  constructor(bytes: Uint8Array, offset = 0) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  get remainingBytes(): number {
    return this.#bytes.length - this.#offset;
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#take(4, 'unsigned int'));
  }

  i32(): number {
    return this.#bytes.readInt32BE(this.#take(4, 'int'));
  }

  u64(): bigint {
    return this.#bytes.readBigUInt64BE(this.#take(8, 'unsigned hyper'));
  }

  i64(): bigint {
    return this.#bytes.readBigInt64BE(this.#take(8, 'hyper'));
  }

  f64(): number {
    return this.#bytes.readDoubleBE(this.#take(8, 'double'));
  }

  bool(): boolean {
    const at = this.#offset;
    const value = this.u32();
    if (value > 1) throw new DecodeError('not-boolean', at, `${value} where 0 or 1 is expected`);
    return value === 1;
  }

  /** Exactly `lengthBytes` bytes plus padding. The result is a view of the packet, not a copy. */
  fixedOpaque(lengthBytes: number): Uint8Array {
    const start = this.#take(lengthBytes, `opaque[${lengthBytes}]`);
    this.#padding(lengthBytes);
    return this.#bytes.subarray(start, start + lengthBytes);
  }

  /** Length-prefixed bytes of at most `bytesMax`. The result is a view of the packet, not a copy. */
  opaque(bytesMax: number): Uint8Array {
    return this.fixedOpaque(this.#length(bytesMax, 'opaque'));
  }

  /** Length-prefixed UTF-8 of at most `bytesMax` bytes. */
  string(bytesMax: number): string {
    const lengthBytes = this.#length(bytesMax, 'string');
    const start = this.#take(lengthBytes, 'string');
    this.#padding(lengthBytes);
    const end = start + lengthBytes;
    if (!isUtf8(this.#bytes.subarray(start, end))) throw new DecodeError('not-utf8', start, 'a string that is not UTF-8');
    return this.#bytes.toString('utf8', start, end);
  }

  optional<T>(item: (decoder: this) => T): T | null {
    return this.bool() ? item(this) : null;
  }

  /**
   * Length-prefixed array. `itemBytesMin` is the least an item takes on the wire: a count that the remaining bytes cannot
   * hold is refused at once, so a forged count costs no memory.
   */
  array<T>(itemsMax: number, itemBytesMin: number, item: (decoder: this) => T): T[] {
    const at = this.#offset;
    const count = this.#length(itemsMax, 'array');
    if (count * itemBytesMin > this.remainingBytes) {
      throw new DecodeError('truncated', at, `${count} items announced, ${this.remainingBytes} bytes left`);
    }
    const items: T[] = [];
    for (let index = 0; index < count; index += 1) items.push(item(this));
    return items;
  }

  /** Asserts that the packet ends here: left-over bytes mean that both sides do not read the same structure. */
  end(): void {
    if (this.remainingBytes > 0) {
      throw new DecodeError('trailing-bytes', this.#offset, `${this.remainingBytes} bytes left after the last field`);
    }
  }

  #length(max: number, what: string): number {
    const at = this.#offset;
    const length = this.u32();
    if (length > max) throw new DecodeError('too-long', at, `${what} of length ${length}, at most ${max} is allowed`);
    return length;
  }

  #take(count: number, what: string): number {
    const start = this.#offset;
    if (count > this.#bytes.length - start) {
      throw new DecodeError('truncated', start, `${what} needs ${count} bytes, ${this.#bytes.length - start} left`);
    }
    this.#offset = start + count;
    return start;
  }

  #padding(lengthBytes: number): void {
    const count = paddingBytes(lengthBytes);
    const start = this.#take(count, 'padding');
    for (let index = start; index < start + count; index += 1) {
      if (this.#bytes[index] !== 0) throw new DecodeError('bad-padding', index, 'padding that is not zero (RFC 4506 section 3)');
    }
  }
}

/** Zero bytes that follow `lengthBytes` of data, so that the next field starts at a multiple of four. */
export function paddingBytes(lengthBytes: number): number {
  return (4 - (lengthBytes % 4)) % 4;
}
