import { DecodeError } from './errors.ts';
import { Cursor, decodeMessage } from './message-decoder.ts';
import { encodeMessage, encodeName } from './message-encoder.ts';
import type { Section } from './message.ts';

/** VICI packets: README.md of strongSwan's vici plugin, "Packet layer". */
export type Packet =
  | { readonly type: 'command-request'; readonly name: string; readonly message: Section }
  | { readonly type: 'command-response'; readonly message: Section }
  | { readonly type: 'command-unknown' }
  | { readonly type: 'event-register'; readonly name: string }
  | { readonly type: 'event-unregister'; readonly name: string }
  | { readonly type: 'event-confirm' }
  | { readonly type: 'event-unknown' }
  | { readonly type: 'event'; readonly name: string; readonly message: Section };

const packetTypes = [
  'command-request',
  'command-response',
  'command-unknown',
  'event-register',
  'event-unregister',
  'event-confirm',
  'event-unknown',
  'event',
] as const satisfies readonly Packet['type'][];

/** A packet as bytes, without the frame's length. Throws EncodeError. */
export function encodePacket(packet: Packet): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(packetTypes.indexOf(packet.type))];
  if ('name' in packet) parts.push(encodeName(packet.name));
  if ('message' in packet) parts.push(encodeMessage(packet.message));
  return Buffer.concat(parts);
}

/** The bytes of one frame as a packet. Throws DecodeError; offsets inside the message part count from its start. */
export function decodePacket(bytes: Uint8Array): Packet {
  if (bytes.length === 0) throw new DecodeError('empty-packet', 0);
  const cursor = new Cursor(bytes);
  const type = packetTypes[cursor.byte()];
  if (type === undefined) throw new DecodeError('unknown-packet-type', 0);
  if (type === 'command-request' || type === 'event') return { type, name: cursor.name(), message: decodeMessage(cursor.rest()) };
  if (type === 'command-response') return { type, message: decodeMessage(cursor.rest()) };
  if (type === 'event-register' || type === 'event-unregister') return ended(cursor, { type, name: cursor.name() });
  return ended(cursor, { type });
}

function ended(cursor: Cursor, packet: Packet): Packet {
  if (!cursor.atEnd) throw cursor.error('trailing-bytes');
  return packet;
}
