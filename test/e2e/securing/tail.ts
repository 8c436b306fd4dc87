import { open, stat } from 'node:fs/promises';

/** What is written to a log from its making on; each look reads only what is new. */
export class Tail {
  readonly #path: string;
  #readBytes: number;
  #text = '';

  private constructor(path: string, fromByte: number) {
    this.#path = path;
    this.#readBytes = fromByte;
  }

  static async from(path: string): Promise<Tail> {
    return new Tail(path, (await stat(path)).size);
  }

  async text(): Promise<string> {
    const file = await open(this.#path);
    try {
      const newBytes = (await file.stat()).size - this.#readBytes;
      if (newBytes <= 0) return this.#text;
      const { bytesRead, buffer } = await file.read(Buffer.alloc(newBytes), 0, newBytes, this.#readBytes);
      this.#readBytes += bytesRead;
      this.#text += buffer.toString('latin1', 0, bytesRead);
      return this.#text;
    } finally {
      await file.close();
    }
  }
}
