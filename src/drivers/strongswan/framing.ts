import { DecodeError } from './errors.ts';
import { messageBytesMax } from './message.ts';

/** A frame is a 32-bit length in network order, which does not count itself, and that many bytes. */
const lengthBytes = 4;

/** charon's limit is 512 KiB for the segment; nothing longer is ever valid. */
export const frameBytesMax = messageBytesMax;

/** One packet with its length before it. */
export function encodeFrame(packet: Uint8Array): Uint8Array {
  const header = Buffer.alloc(lengthBytes);
  header.writeUInt32BE(packet.length);
  return Buffer.concat([header, packet]);
}

/** Cuts a byte stream, in chunks of any size, into frames. Holds at most one frame and one chunk. */
export class FrameReader {
  #pending: Buffer = Buffer.alloc(0);

  /** The frames that this chunk completes, in order. Throws DecodeError for a length over the limit; the stream is then lost. */
  push(chunk: Uint8Array): readonly Uint8Array[] {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    const frames: Uint8Array[] = [];
    while (this.#pending.length >= lengthBytes) {
      const byteCount = this.#pending.readUInt32BE(0);
      if (byteCount > frameBytesMax) throw new DecodeError('oversized-frame', 0);
      const end = lengthBytes + byteCount;
      if (this.#pending.length < end) break;
      frames.push(this.#pending.subarray(lengthBytes, end));
      this.#pending = this.#pending.subarray(end);
    }
    return frames;
  }
}
