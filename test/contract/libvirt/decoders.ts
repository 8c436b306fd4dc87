import { decodeEvent } from '#drivers/libvirt/events.ts';
import { decodeMessage, PacketSplitter } from '#drivers/libvirt/message.ts';
import * as rpc from '#drivers/libvirt/procedures.ts';
import { decodeFault } from '#drivers/libvirt/values.ts';
import { DecodeError, XdrDecoder } from '#drivers/libvirt/xdr-decoder.ts';

const byNumber = new Map<number, rpc.Procedure<never, unknown>>(Object.values(rpc).map((procedure) => [procedure.number, procedure]));

/** The driver's procedure of a number. */
export function procedureOf(number: number): rpc.Procedure<never, unknown> {
  const procedure = byNumber.get(number);
  if (procedure === undefined) throw new Error(`the driver has no procedure ${number}`);
  return procedure;
}

/** Everything in the driver that reads bytes: `stream`, `packet`, `fault`, `event NUMBER`, `reply NUMBER`. */
export function readWith(reader: string, bytes: Uint8Array): unknown {
  const [kind, number] = reader.split(' ');
  switch (kind) {
    case 'stream':
      return new PacketSplitter().push(bytes);
    case 'packet':
      return decodeMessage(bytes);
    case 'fault':
      return decodeFault(new XdrDecoder(bytes));
    case 'event':
      return decodeEvent(Number(number), new XdrDecoder(bytes));
    case 'reply': {
      const decoder = new XdrDecoder(bytes);
      const value = procedureOf(Number(number)).decode(decoder);
      decoder.end();
      return value;
    }
    case undefined:
    default:
      throw new Error(`no reader ${reader}`);
  }
}

/** `decoded`, or the code of the DecodeError. Anything else is thrown on: it must not happen. */
export function outcomeOf(reader: string, bytes: Uint8Array): string {
  try {
    readWith(reader, bytes);
    return 'decoded';
  } catch (error) {
    if (error instanceof DecodeError) return error.code;
    throw error;
  }
}
