import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** One captured packet: bytes with a note beside each field. */
export interface Fixture {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly lines: readonly string[];
}

export const fixtureFolder = join(import.meta.dirname, '../../fixtures/libvirt');

/** Lines of `#` are remarks; of the others the first word is hexadecimal, the rest is the note. */
export function readFixtures(): readonly Fixture[] {
  const files = readdirSync(fixtureFolder).filter((file) => file.endsWith('.packet'));
  return files.toSorted().map((file) => {
    const lines = readFileSync(join(fixtureFolder, file), 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    return { name: basename(file, '.packet'), bytes: fromHexLines(lines), lines };
  });
}

/** A case of the corpus: what reads the bytes, what must come of it. */
export interface CorpusCase {
  readonly name: string;
  readonly reader: string;
  readonly outcome: string;
  readonly bytes: Uint8Array;
}

/** Files of the corpus begin with `# reader: …` and `# outcome: …`. */
export function readCorpus(): readonly CorpusCase[] {
  const folder = join(fixtureFolder, 'corpus');
  return readdirSync(folder)
    .toSorted()
    .map((file) => {
      const lines = readFileSync(join(folder, file), 'utf8').split('\n');
      const remark = (key: string): string => lines.find((line) => line.startsWith(`# ${key}: `))?.slice(key.length + 4) ?? '';
      const hex = lines.filter((line) => line !== '' && !line.startsWith('#'));
      return { name: basename(file, '.hex'), reader: remark('reader'), outcome: remark('outcome'), bytes: fromHexLines(hex) };
    });
}

function fromHexLines(lines: readonly string[]): Uint8Array {
  return Uint8Array.from(Buffer.from(lines.map((line) => /^[0-9a-f]*/u.exec(line)?.[0] ?? '').join(''), 'hex'));
}
