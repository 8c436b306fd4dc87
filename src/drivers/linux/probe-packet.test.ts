import { describe, expect, it } from 'vitest';
import { decodeProbe, encodeProbe, probeBytesMin } from './probe-packet.ts';

describe('the datagram of a probe', () => {
  it('has the documented form', () => {
    const packet = encodeProbe({ kind: 'ask', sequence: 258 }, 'abc', 20);
    expect(packet.toString('hex')).toBe(`${Buffer.from('PLMP').toString('hex')}0101000300000102616263${'00'.repeat(5)}`);
  });

  it('comes back as it was sent, at every allowed size', () => {
    for (const sizeBytes of [probeBytesMin('nonce'), 1200, 65_507]) {
      const packet = encodeProbe({ kind: 'answer', sequence: 7 }, 'nonce', sizeBytes);
      expect(packet.length).toBe(sizeBytes);
      expect(decodeProbe(packet, 'nonce')).toEqual({ kind: 'answer', sequence: 7 });
    }
  });

  it('is nothing with another nonce, cut short, or with any head byte changed', () => {
    const packet = encodeProbe({ kind: 'ask', sequence: 0 }, 'nonce', probeBytesMin('nonce'));
    expect(decodeProbe(packet, 'other')).toBeNull();
    expect(decodeProbe(packet, 'nonc')).toBeNull();
    for (let length = 0; length < packet.length; length += 1) expect(decodeProbe(packet.subarray(0, length), 'nonce')).toBeNull();
    for (const index of [0, 1, 2, 3, 4, 5, 6, 7, 12, 16]) {
      const changed = Buffer.from(packet);
      changed.writeUInt8(changed.readUInt8(index) ^ 0x80, index);
      expect(decodeProbe(changed, 'nonce'), `byte ${index}`).toBeNull();
    }
  });

  it('cannot be made with no nonce, an over-long one, or a size it does not fit into', () => {
    expect(() => encodeProbe({ kind: 'ask', sequence: 0 }, '', 100)).toThrow(RangeError);
    expect(() => encodeProbe({ kind: 'ask', sequence: 0 }, 'n'.repeat(257), 1000)).toThrow(RangeError);
    expect(() => encodeProbe({ kind: 'ask', sequence: 0 }, 'nonce', 16)).toThrow(RangeError);
    expect(() => encodeProbe({ kind: 'ask', sequence: 0 }, 'nonce', 65_508)).toThrow(RangeError);
  });
});
