import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DecodeError } from '#drivers/strongswan/errors.ts';
import { FrameReader, encodeFrame } from '#drivers/strongswan/framing.ts';
import { type Element, isList, isSection } from '#drivers/strongswan/message.ts';
import { type Packet, decodePacket, encodePacket } from '#drivers/strongswan/packet.ts';
import { readIkeSas } from '#drivers/strongswan/sa.ts';
import { readFixtures, readMalformed } from './fixtures.ts';

const fixtures = readFixtures();
const malformed = readMalformed();

function decodeFrame(frame: Uint8Array): readonly Packet[] {
  return new FrameReader().push(frame).map((packet) => decodePacket(packet));
}

/** What the annotations of a fixture must say about a packet, from the packet alone. */
function* namesAndValues(packet: Packet): Generator<string> {
  if ('name' in packet) yield `name '${packet.name}'`;
  if ('message' in packet) for (const [name, element] of Object.entries(packet.message)) yield* ofElement(name, element);
}

function* ofElement(name: string, element: Element): Generator<string> {
  yield `name '${name}'`;
  if (isSection(element)) for (const [inner, child] of Object.entries(element)) yield* ofElement(inner, child);
  else for (const value of isList(element) ? element : [element]) yield typeof value === 'string' ? `value '${value}'` : 'bytes';
}

/** Either a packet or a DecodeError: anything else is a fault of the decoder. */
function survives(bytes: Uint8Array): void {
  try {
    for (const packet of decodeFrame(bytes)) expect(decodePacket(encodePacket(packet))).toEqual(packet);
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError);
  }
}

describe('captured VICI frames', () => {
  it('are there', () => expect(fixtures.length).toBeGreaterThanOrEqual(16));

  for (const { name, frame, annotations } of fixtures) {
    it(`${name} is read as its annotations say`, () => {
      const [packet, ...others] = decodeFrame(frame);
      expect(others).toEqual([]);
      if (packet === undefined) throw new Error('no frame');
      expect(annotations[1]?.toLowerCase().replace('cmd_', 'command-').replace('_', '-')).toBe(packet.type);
      const told = annotations.filter((text) => text.startsWith('name ') || text.startsWith('value '));
      expect([...namesAndValues(packet)]).toEqual(told.map((text) => text.replaceAll(/^(\w+) "(.*)"$/g, "$1 '$2'")));
    });

    it(`${name} is written again byte for byte`, () => {
      expect(decodeFrame(frame).map((packet) => Buffer.from(encodeFrame(encodePacket(packet))).toString('hex'))).toEqual([
        Buffer.from(frame).toString('hex'),
      ]);
    });
  }

  it('give the SA that the real daemon had', () => {
    const fixture = fixtures.find(({ name }) => name === 'list-sa-event');
    const [packet] = decodeFrame(fixture?.frame ?? new Uint8Array());
    const [ike] = packet?.type === 'event' ? readIkeSas(packet.message, 'list-sa') : [];
    expect(ike).toMatchObject({ name: 'plimsoll-host-b', state: 'ESTABLISHED', localId: 'host-a', remoteId: 'host-b', initiator: true });
    expect(ike?.children).toHaveLength(1);
    expect(ike?.children[0]).toMatchObject({
      name: 'channel',
      state: 'INSTALLED',
      mode: 'TUNNEL',
      protocol: 'ESP',
      udpEncapsulated: true,
      encryptionAlgorithm: 'AES_GCM_16',
      encryptionKeyBits: 256,
      packetsIn: 3,
      packetsOut: 3,
      localSelectors: ['10.92.0.1/32'],
      remoteSelectors: ['10.92.0.2/32'],
    });
  });
});

describe('malformed VICI frames', () => {
  for (const { code, frame, why } of malformed) {
    it(`${code}: ${why}`, () => {
      expect(() => decodeFrame(frame)).toThrow(expect.objectContaining({ name: 'DecodeError', code }) as Error);
    });
  }

  it('are typed errors, and nothing but, for any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => survives(encodeFrame(bytes))));
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => survives(bytes)));
  });

  it('are typed errors, and nothing but, for damaged captures', () => {
    const frames = [...fixtures, ...malformed].map(({ frame }) => frame);
    const damage = fc.record({
      at: fc.nat(),
      byte: fc.nat(255),
      cut: fc.nat(8),
      index: fc.nat(frames.length - 1),
      other: fc.nat(frames.length - 1),
    });
    fc.assert(
      fc.property(damage, ({ at, byte, cut, index, other }) => {
        const packet = (frames[index] ?? new Uint8Array()).subarray(4);
        const position = packet.length === 0 ? 0 : at % packet.length;
        const splice = (frames[other] ?? new Uint8Array()).subarray(4 + cut);
        survives(encodeFrame(Buffer.concat([packet.subarray(0, position), Uint8Array.of(byte), packet.subarray(position + cut)])));
        survives(encodeFrame(Buffer.concat([packet.subarray(0, position), splice])));
      }),
      { numRuns: 2_000 },
    );
  });
});
