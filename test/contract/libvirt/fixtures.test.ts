import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { encodeMessage, decodeMessage } from '#drivers/libvirt/message.ts';
import { XdrEncoder } from '#drivers/libvirt/xdr-encoder.ts';

import { outcomeOf, procedureOf, readWith } from './decoders.ts';
import { readCorpus, readFixtures } from './fixtures.ts';
import { notePacket, type NotedPacket } from './packet-layouts.ts';

const fixtures = readFixtures();
const corpus = readCorpus();

function noted(bytes: Uint8Array): NotedPacket {
  const packet = notePacket(bytes);
  if (packet === null) throw new Error('no layout knows this packet');
  return packet;
}

/** The driver's reader of a packet's body; null for a call, which the driver writes and never reads. */
function readerOf(packet: NotedPacket): string | null {
  if (packet.side === 'reply') return `reply ${packet.procedure}`;
  if (packet.side === 'event') return `event ${packet.procedure}`;
  return packet.side === 'error' ? 'fault' : null;
}

describe('packets between virsh and libvirtd', () => {
  it('are there in number', () => {
    expect(fixtures.length).toBeGreaterThanOrEqual(60);
  });

  it.each(fixtures)('$name: every byte is explained by its note', ({ bytes, lines }) => {
    expect(noted(bytes).lines).toEqual(lines);
  });

  const incoming = fixtures.filter(({ bytes }) => readerOf(noted(bytes)) !== null);
  it.each(incoming)('$name: our decoder reads what the notes say', ({ bytes }) => {
    const packet = noted(bytes);
    const { header, body } = decodeMessage(bytes);
    expect(header).toMatchObject({ version: 1, procedure: packet.procedure, serial: packet.serial });
    expect(readWith(readerOf(packet) ?? '', body)).toEqual(packet.value);
  });

  const outgoing = fixtures.filter(({ bytes }) => noted(bytes).side === 'call');
  it.each(outgoing)('$name: our encoder writes the same bytes as libvirt itself', ({ bytes }) => {
    const packet = noted(bytes);
    const encoder = new XdrEncoder();
    procedureOf(packet.procedure).encode(encoder, packet.value as never);
    const header = { program: 0x2000_8086, version: 1, procedure: packet.procedure, type: 0, serial: packet.serial, status: 0 };
    expect(Buffer.from(encodeMessage(header, encoder.finish())).toString('hex')).toBe(Buffer.from(bytes).toString('hex'));
  });

  it.each(incoming)('$name: cut short or with a byte changed, it is a value or a DecodeError', ({ bytes }) => {
    const reader = readerOf(noted(bytes)) ?? '';
    const body = bytes.subarray(28);
    fc.assert(
      fc.property(fc.nat({ max: body.length }), fc.nat({ max: body.length }), fc.nat({ max: 255 }), (end, at, value) => {
        const damaged = Uint8Array.from(body.subarray(0, end));
        if (at < damaged.length) damaged[at] = value;
        expect(outcomeOf(reader, damaged)).toMatch(/^[a-z0-9-]+$/u);
      }),
      { numRuns: 60 },
    );
  });
});

describe('the fuzz corpus', () => {
  it('is there in number, and reaches every kind of failure', () => {
    expect(corpus.length).toBeGreaterThanOrEqual(40);
    expect([...new Set(corpus.map(({ outcome }) => outcome))].toSorted()).toEqual([
      'bad-padding',
      'decoded',
      'not-boolean',
      'not-utf8',
      'too-long',
      'trailing-bytes',
      'truncated',
      'unknown-variant',
    ]);
  });

  it.each(corpus)('$name: $reader gives $outcome', ({ reader, outcome, bytes }) => {
    expect(outcomeOf(reader, bytes)).toBe(outcome);
  });
});
