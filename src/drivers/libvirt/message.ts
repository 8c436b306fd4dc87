import { headerBytes, lengthWordBytes, packetBytesMax } from './limits.ts';
import { DecodeError, XdrDecoder } from './xdr-decoder.ts';
import { XdrEncoder } from './xdr-encoder.ts';

/** `remote` and `keepAlive` share a connection, as do `admin` (on a socket of its own) and `keepAlive`. */
export const program = { remote: 0x2000_8086, keepAlive: 0x6b65_6570, admin: 0x0690_0690 } as const;
/** Version 1 of all programs: it never changed. */
export const programVersion = 1;
export const messageType = { call: 0, reply: 1, message: 2, stream: 3 } as const;
export const messageStatus = { ok: 0, error: 1, continue: 2 } as const;
export const keepAliveProcedure = { ping: 1, pong: 2 } as const;

/** The 24 bytes that say what a packet is. `serial` pairs a reply with its call and is 0 for events. */
export interface MessageHeader {
  readonly program: number;
  readonly version: number;
  readonly procedure: number;
  readonly type: number;
  readonly serial: number;
  readonly status: number;
}

export interface Message {
  readonly header: MessageHeader;
  readonly body: Uint8Array;
}

/** A whole packet: length word, header, body. */
export function encodeMessage(header: MessageHeader, body: Uint8Array): Uint8Array {
  const encoder = new XdrEncoder();
  encoder.u32(lengthWordBytes + headerBytes + body.length);
  encoder.u32(header.program).u32(header.version).i32(header.procedure);
  encoder.u32(header.type).u32(header.serial).u32(header.status);
  return Buffer.concat([encoder.finish(), body]);
}

/** Splits one packet (with its length word) into header and body. Throws `DecodeError`. */
export function decodeMessage(packet: Uint8Array): Message {
  const decoder = new XdrDecoder(packet);
  const lengthBytes = decoder.u32();
  if (lengthBytes !== packet.length) {
    throw new DecodeError('truncated', 0, `length word says ${lengthBytes} bytes, the packet has ${packet.length}`);
  }
  const header: MessageHeader = {
    program: decoder.u32(),
    version: decoder.u32(),
    procedure: decoder.i32(),
    type: decoder.u32(),
    serial: decoder.u32(),
    status: decoder.u32(),
  };
  return { header, body: packet.subarray(decoder.offset) };
}

/**
 * Cuts a byte stream into packets. Holds at most one packet's announced length, and only the bytes that really came:
 * a forged length word allocates nothing. After a `DecodeError` the stream has lost its place and must be closed.
 */
export class PacketSplitter {
  readonly #bytesMax: number;
  #chunks: Uint8Array[] = [];
  #bufferedBytes = 0;

  constructor(bytesMax = packetBytesMax) {
    this.#bytesMax = bytesMax;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** Takes what the socket delivered and returns the packets that are complete now. Throws `DecodeError`. */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#chunks.push(chunk);
    this.#bufferedBytes += chunk.length;
    const packets: Uint8Array[] = [];
    for (;;) {
      const packet = this.#next();
      if (packet === null) return packets;
      packets.push(packet);
    }
  }

  #next(): Uint8Array | null {
    if (this.#bufferedBytes < lengthWordBytes) return null;
    let head = this.#chunks[0];
    // The length word itself may be split over several chunks of the socket.
    if (head === undefined || head.length < lengthWordBytes) head = this.#join();
    const lengthBytes = new XdrDecoder(head).u32();
    if (lengthBytes < lengthWordBytes + headerBytes) throw new DecodeError('truncated', 0, `a packet of ${lengthBytes} bytes`);
    if (lengthBytes > this.#bytesMax) {
      throw new DecodeError('too-long', 0, `a packet of ${lengthBytes} bytes, at most ${this.#bytesMax} is allowed`);
    }
    if (this.#bufferedBytes < lengthBytes) return null;
    const all = head.length >= lengthBytes ? head : this.#join();
    this.#chunks[0] = all.subarray(lengthBytes);
    this.#bufferedBytes -= lengthBytes;
    return all.subarray(0, lengthBytes);
  }

  #join(): Uint8Array {
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }
}
