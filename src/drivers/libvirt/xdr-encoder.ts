import { paddingBytes } from './xdr-decoder.ts';

/** A value of ours that the protocol cannot carry: found before a byte is sent. */
export class EncodeError extends Error {
  override readonly name = 'EncodeError';
  readonly code = 'not-encodable';
}

const initialBytes = 256;

/** Writes XDR (RFC 4506). Throws `EncodeError` when a value is out of the range of its type or longer than its bound. */
export class XdrEncoder {
  #bytes = Buffer.allocUnsafe(initialBytes);
  #length = 0;

  u32(value: number): this {
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) throw new EncodeError(`${value} is not an unsigned 32 bit integer`);
    const at = this.#reserve(4);
    this.#bytes.writeUInt32BE(value, at);
    return this;
  }

  i32(value: number): this {
    if (!Number.isInteger(value) || value < -0x8000_0000 || value > 0x7fff_ffff) throw new EncodeError(`${value} is not a 32 bit integer`);
    const at = this.#reserve(4);
    this.#bytes.writeInt32BE(value, at);
    return this;
  }

  u64(value: bigint): this {
    if (BigInt.asUintN(64, value) !== value) throw new EncodeError(`${value} is not an unsigned 64 bit integer`);
    const at = this.#reserve(8);
    this.#bytes.writeBigUInt64BE(value, at);
    return this;
  }

  i64(value: bigint): this {
    if (BigInt.asIntN(64, value) !== value) throw new EncodeError(`${value} is not a 64 bit integer`);
    const at = this.#reserve(8);
    this.#bytes.writeBigInt64BE(value, at);
    return this;
  }

  f64(value: number): this {
    const at = this.#reserve(8);
    this.#bytes.writeDoubleBE(value, at);
    return this;
  }

  bool(value: boolean): this {
    return this.u32(value ? 1 : 0);
  }

  fixedOpaque(value: Uint8Array, lengthBytes: number): this {
    if (value.length !== lengthBytes) throw new EncodeError(`${value.length} bytes where exactly ${lengthBytes} are needed`);
    const at = this.#reserve(lengthBytes + paddingBytes(lengthBytes));
    this.#bytes.set(value, at);
    this.#bytes.fill(0, at + lengthBytes, this.#length);
    return this;
  }

  opaque(value: Uint8Array, bytesMax: number): this {
    if (value.length > bytesMax) throw new EncodeError(`${value.length} bytes where at most ${bytesMax} are allowed`);
    return this.u32(value.length).fixedOpaque(value, value.length);
  }

  /** The daemon reads strings as C strings: a NUL inside would silently name something else, so it is refused. */
  string(value: string, bytesMax: number): this {
    if (value.includes('\0')) throw new EncodeError('a string with a NUL character');
    return this.opaque(Buffer.from(value, 'utf8'), bytesMax);
  }

  optional<T>(value: T | null, item: (encoder: this, value: T) => void): this {
    this.bool(value !== null);
    if (value !== null) item(this, value);
    return this;
  }

  array<T>(values: readonly T[], itemsMax: number, item: (encoder: this, value: T) => void): this {
    if (values.length > itemsMax) throw new EncodeError(`${values.length} items where at most ${itemsMax} are allowed`);
    this.u32(values.length);
    for (const value of values) item(this, value);
    return this;
  }

  /** The bytes written so far. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(count: number): number {
    const start = this.#length;
    const needed = start + count;
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
      this.#bytes.copy(grown, 0, 0, start);
      this.#bytes = grown;
    }
    this.#length = needed;
    return start;
  }
}
