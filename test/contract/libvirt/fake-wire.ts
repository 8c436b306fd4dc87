import type { Socket } from 'node:net';

import { XdrDecoder } from '#drivers/libvirt/xdr-decoder.ts';
import { XdrEncoder } from '#drivers/libvirt/xdr-encoder.ts';

// The server's side of the wire, written from libvirt's protocol description and not from our client, so that a mistake in one shows.

export const remoteProgram = 0x2000_8086;
export const adminProgram = 0x0690_0690;
export const keepAliveProgram = 0x6b65_6570;
const stringMax = 4 * 1024 * 1024;

export interface FakeCall {
  readonly procedure: number;
  readonly serial: number;
  readonly args: XdrDecoder;
}

/** A refusal as libvirtd sends it: virErrorNumber, virErrorDomain and text. */
export class FakeFault extends Error {
  readonly number: number;
  readonly domain: number;

  constructor(number: number, message: string, domain = 10) {
    super(message);
    this.number = number;
    this.domain = domain;
  }
}

export function packet(program: number, procedure: number, type: number, serial: number, status: number, body: Uint8Array): Uint8Array {
  const head = new XdrEncoder();
  for (const word of [28 + body.length, program, 1, procedure, type, serial, status]) head.u32(word);
  return Buffer.concat([head.finish(), body]);
}

export function faultBody(fault: FakeFault): Uint8Array {
  const body = new XdrEncoder().i32(fault.number).i32(fault.domain);
  body.u32(1).string(fault.message, stringMax);
  // level "error", no domain, three absent strings, two numbers, no network
  for (const word of [2, 0, 0, 0, 0, 0xffff_ffff, 0, 0]) body.u32(word);
  return body.finish();
}

/** What one client's socket delivers, cut into packets by their length word. */
export class FakePeer {
  readonly socket: Socket;
  readonly program: number;
  readonly callbacks = new Map<number, number>();
  pongs = 0;
  inFlight = 0;
  inFlightMost = 0;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(socket: Socket, program = remoteProgram) {
    this.socket = socket;
    this.program = program;
    // A client that goes away is no fault of the fake.
    socket.on('error', () => socket.destroy());
  }

  /** Calls `onCall` for each call; keep-alive goes to `onPing`. */
  listen(onCall: (call: FakeCall) => void, onPing: () => void): void {
    this.socket.on('data', (chunk) => {
      this.#buffer = Buffer.concat([this.#buffer, typeof chunk === 'string' ? Buffer.from(chunk) : chunk]);
      while (this.#buffer.length >= 28 && this.#buffer.length >= this.#buffer.readUInt32BE(0)) {
        const bytes = this.#buffer.subarray(0, this.#buffer.readUInt32BE(0));
        this.#buffer = this.#buffer.subarray(bytes.length);
        const procedure = bytes.readUInt32BE(12);
        if (bytes.readUInt32BE(4) === keepAliveProgram) {
          if (procedure === 1) onPing();
          else this.pongs += 1;
        } else if (bytes.readUInt32BE(4) !== this.program) {
          this.send(packet(this.program, procedure, 1, bytes.readUInt32BE(20), 1, faultBody(new FakeFault(39, 'unknown program', 7))));
        } else {
          onCall({ procedure, serial: bytes.readUInt32BE(20), args: new XdrDecoder(bytes.subarray(28)) });
        }
      }
    });
  }

  send(bytes: Uint8Array): void {
    if (!this.socket.destroyed) this.socket.write(bytes);
  }

  event(procedure: number, body: XdrEncoder): void {
    this.send(packet(remoteProgram, procedure, 2, 0, 0, body.finish()));
  }

  keepAlive(procedure: 1 | 2): void {
    this.send(packet(keepAliveProgram, procedure, 2, 0, 0, new Uint8Array()));
  }
}
