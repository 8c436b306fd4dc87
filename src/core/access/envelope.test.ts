import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { parseEnvelope, preAuthenticationEncoding } from './envelope.ts';

describe('the pre-authentication encoding', () => {
  it("gives the DSSE specification's own example", () => {
    const encoded = preAuthenticationEncoding('http://example.com/HelloWorld', new TextEncoder().encode('hello world'));
    expect(new TextDecoder().decode(encoded)).toBe('DSSEv1 29 http://example.com/HelloWorld 11 hello world');
  });

  it('counts bytes, not characters', () => {
    const encoded = preAuthenticationEncoding('é', new TextEncoder().encode('ü'));
    expect(new TextDecoder().decode(encoded)).toBe('DSSEv1 2 é 2 ü');
  });
});

describe('base64', () => {
  it('round-trips any bytes and agrees with the platform', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (data) => {
        expect(encodeBase64(data)).toBe(Buffer.from(data).toString('base64'));
        expect(decodeBase64(encodeBase64(data))).toEqual(data);
      }),
    );
  });

  it.each(['a', 'ab=c', 'a===', 'ab c', 'abcd=', '____', 'QR==', 'QUJ='])('refuses %j', (text) => {
    expect(decodeBase64(text)).toBeNull();
  });
});

describe('a stored envelope', () => {
  const envelope = { payloadType: 't', payload: 'AAAA', signatures: [{ keyid: 'k', sig: 'AAAA' }] };

  it('is read as it was written', () => {
    expect(parseEnvelope(JSON.stringify(envelope))).toEqual(envelope);
  });

  const none = ['null', '7', '[]', '{}', { ...envelope, payload: 7 }, { ...envelope, signatures: {} }, { ...envelope, signatures: [null] }];

  it.each(none)('is none: %j', (value) => {
    expect(parseEnvelope(typeof value === 'string' ? value : JSON.stringify(value))).toBeNull();
  });
});
