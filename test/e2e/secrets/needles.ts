/** The forms in which a secret could turn up somewhere. */
import { createPrivateKey } from 'node:crypto';

export interface Secret {
  readonly name: string;
  /** The secret itself, as it is used. */
  readonly bytes: Buffer;
  /** Its PEM, where it has one. */
  readonly pem?: string;
}

/** So few characters at the edges of a base64 text depend on its neighbours that what is left is still unmistakable. */
const bytesMin = 16;

/** A private key: what is secret in it is its number `d`; the rest of the file is public. */
export function keySecret(name: string, pem: string): Secret {
  const { d } = createPrivateKey(pem).export({ format: 'jwk' });
  if (d === undefined) throw new Error(`${name} has no private part`);
  return { name, bytes: Buffer.from(d, 'base64url'), pem };
}

export function formsOf({ bytes, pem }: Secret): readonly Buffer[] {
  if (bytes.length < bytesMin) throw new Error(`${bytes.length} bytes are found everywhere`);
  const hex = bytes.toString('hex');
  const texts = [
    hex,
    hex.toUpperCase(),
    hex.match(/../g)?.join(':') ?? '',
    hex.match(/../g)?.join(':').toUpperCase() ?? '',
    ...[0, 1, 2].flatMap((offset) => base64At(bytes, offset)),
    ...(pem === undefined ? [] : pemLines(pem)),
  ];
  return [bytes, ...[...new Set(texts)].map((text) => Buffer.from(text))];
}

/** Its base64 where it begins so many bytes after a multiple of three, as inside of a longer text; in both alphabets. */
function base64At(bytes: Buffer, offset: number): readonly string[] {
  const text = Buffer.concat([Buffer.alloc(offset), bytes])
    .toString('base64')
    .replace(/=+$/, '');
  // The first characters also hold bits of what is before it, the last one of what comes after it.
  const inner = text.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6));
  return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
}

/** Lines of a key file. Those after the second may hold nothing but the public part. */
function pemLines(pem: string): readonly string[] {
  const lines = pem.split('\n').filter((line) => line !== '' && !line.startsWith('-----'));
  return lines.slice(0, 2).filter((line) => line.length >= 40);
}

/** The names of the secrets that are in these bytes. */
export function foundIn(haystack: Buffer, secrets: readonly Secret[]): readonly string[] {
  return secrets.filter((secret) => formsOf(secret).some((form) => haystack.includes(form))).map(({ name }) => name);
}
