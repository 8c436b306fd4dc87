import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { authorityIdOf } from './authority-id.ts';

const id = '00112233445566778899aabbccddeeff00112233';

/** One DER element; long form of the length where it is needed. */
function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts);
  const length = content.length < 0x80 ? [content.length] : [0x82, content.length >> 8, content.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

const bytes = (hex: string): Uint8Array => Buffer.from(hex, 'hex');
const extension = (oid: string, value: Uint8Array): Uint8Array => der(0x30, der(0x06, bytes(oid)), der(0x04, value));

/** As much of a certificate as is looked at. `key` stands where the holder's public key does. */
function certificate(key: Uint8Array, ...extensions: readonly Uint8Array[]): Uint8Array {
  return der(0x30, der(0x30, der(0x02, bytes('01')), der(0x30, der(0x03, key)), der(0xa3, der(0x30, ...extensions))), der(0x03));
}

const authority = extension('551d23', der(0x30, der(0x80, bytes(id))));

describe('the identifier of the CA that signed a certificate', () => {
  it('is read from its extension', () => {
    expect(authorityIdOf(certificate(bytes('04'), extension('551d0e', der(0x04, bytes('ff'))), authority))).toBe(id);
  });

  it('is not taken from what the holder has put into its key', () => {
    expect(authorityIdOf(certificate(extension('551d23', der(0x30, der(0x80, bytes('ee'.repeat(20))))), authority))).toBe(id);
  });

  it('is empty where there is none', () => {
    expect(authorityIdOf(certificate(bytes('04')))).toBe('');
    expect(authorityIdOf(new Uint8Array())).toBe('');
  });

  it('is an answer, and never an error, for whatever bytes there are', () => {
    const good = certificate(bytes('04'), authority);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (data) => typeof authorityIdOf(data) === 'string'));
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (at, value) => {
        const damaged = Uint8Array.from(good).with(at, value);
        return /^[0-9a-f]*$/.test(authorityIdOf(damaged));
      }),
    );
  });
});
