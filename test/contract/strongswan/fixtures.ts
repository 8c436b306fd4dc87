import { readFileSync, readdirSync } from 'node:fs';

const directory = new URL('../../fixtures/strongswan/', import.meta.url);

/** One captured frame with what a person or another program wrote beside its bytes. */
export interface Fixture {
  readonly name: string;
  readonly frame: Uint8Array;
  /** Right of the bar, line by line, such as "name 'uniqueid'". */
  readonly annotations: readonly string[];
}

export function readFixtures(): readonly Fixture[] {
  return readdirSync(directory)
    .filter((file) => file.endsWith('.hex'))
    .map((file) => {
      const rows = rowsOf(file).map((line) => line.split('|'));
      const hex = rows.map(([bytes]) => bytes ?? '').join('');
      return { name: file.replace('.hex', ''), frame: bytesOf(hex), annotations: rows.map(([, text]) => (text ?? '').trim()) };
    });
}

/** One line of malformed.txt: bytes that a decoder once met or must withstand, and the error they must give. */
export interface Malformed {
  readonly code: string;
  readonly frame: Uint8Array;
  readonly why: string;
}

export function readMalformed(): readonly Malformed[] {
  return rowsOf('malformed.txt').map((line) => {
    const [code, hex, why] = line.split('|').map((part) => part.trim());
    return { code: code ?? '', frame: bytesOf(hex ?? ''), why: why ?? '' };
  });
}

function rowsOf(file: string): readonly string[] {
  const lines = readFileSync(new URL(file, directory), 'utf8').split('\n');
  return lines.filter((line) => line !== '' && !line.startsWith('#'));
}

function bytesOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}
