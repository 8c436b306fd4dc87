/** DER (X.690) for what the X.509 library does not write well: lists of thousands of entries, and integers over 32 bits. */

export const derTag = { integer: 0x02, bitString: 0x03, octetString: 0x04, utcTime: 0x17, generalizedTime: 0x18, sequence: 0x30 } as const;

export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  const length = bytes < 0x80 ? [bytes] : longLength(bytes);
  const element = new Uint8Array(1 + length.length + bytes);
  element.set([tag, ...length]);
  let at = 1 + length.length;
  for (const part of parts) {
    element.set(part, at);
    at += part.length;
  }
  return element;
}

/** Section 8.1.3.5: the number of the bytes that hold the length, then those. */
function longLength(length: number): readonly number[] {
  const digits = Buffer.from(evenHex(length.toString(16)), 'hex');
  return [0x80 | digits.length, ...digits];
}

/** A non-negative INTEGER from its hex digits: the shortest form, with a zero byte where the first bit would be a sign. */
export function derInteger(hex: string): Uint8Array<ArrayBuffer> {
  const digits = evenHex(hex.replace(/^0+(?=.)/, ''));
  return der(derTag.integer, Buffer.from(/^[89a-f]/i.test(digits) ? `00${digits}` : digits, 'hex'));
}

/** UTCTime up to 2049 and GeneralizedTime from 2050 (RFC 5280 section 4.1.2.5), in whole seconds. */
export function derTime(atMs: number): Uint8Array<ArrayBuffer> {
  const text = `${new Date(atMs).toISOString().slice(0, 19).replaceAll(/[-T:]/g, '')}Z`;
  const short = text < '2050';
  return der(short ? derTag.utcTime : derTag.generalizedTime, Buffer.from(short ? text.slice(2) : text, 'latin1'));
}

/** The value of an INTEGER of at most 20 bytes. Throws a TypeError for what is none. */
export function readDerInteger(element: Uint8Array): bigint {
  const length = element[1] ?? 0;
  if (element[0] !== derTag.integer || length < 1 || length > 20 || element.length !== length + 2) throw new TypeError('no integer');
  return BigInt(`0x${Buffer.from(element.subarray(2)).toString('hex')}`);
}

const evenHex = (hex: string): string => (hex.length % 2 === 0 ? hex : `0${hex}`);
