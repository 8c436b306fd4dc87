/**
 * The bulk stream that measures what a channel carries, over one TCP connection:
 *
 *     sender                                 receiver
 *     probe packet with the nonce  ------->
 *                                  <-------  count: 0 = accepted
 *     payload, payload, ...        ------->
 *                                  <-------  count, now and then
 *     end of stream                ------->
 *                                  <-------  last count, end of stream
 *
 * A count is the number of payload bytes that the receiver has read so far: 8 bytes, big-endian. A wrong nonce ends the connection
 * without a word.
 */
import { encodeProbe, probeBytesMin } from './probe-packet.ts';

export const countBytes = 8;

/** The longest measurement that is made. */
export const bulkMsMax = 60_000;

/** For the connection, and for each end to say or hear its first word. */
export const greetingMsMax = 5000;

/** For what is still in the buffers when the sender's time is up; on a slow line they hold more than that. */
export const drainMsMax = 2000;

export function encodeGreeting(nonce: string): Buffer {
  return encodeProbe({ kind: 'ask', sequence: 0 }, nonce, probeBytesMin(nonce));
}

export function encodeCount(payloadBytes: number): Buffer {
  const buffer = Buffer.alloc(countBytes);
  buffer.writeBigUInt64BE(BigInt(payloadBytes));
  return buffer;
}

/** Cuts what comes in, in pieces of any size, into counts. */
export class CountReader {
  #rest = Buffer.alloc(0);

  /** The newest whole count in what has come in since the last call; null when there is none. */
  read(chunk: Buffer): number | null {
    const all = Buffer.concat([this.#rest, chunk]);
    const wholeBytes = all.length - (all.length % countBytes);
    this.#rest = all.subarray(wholeBytes);
    return wholeBytes === 0 ? null : Number(all.readBigUInt64BE(wholeBytes - countBytes));
  }
}
