/** Reads a packet field by field and writes beside the bytes what they mean. Shares no code with the driver's decoder. */
export class NotedReader {
  readonly lines: string[] = [];
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u32(name: string, note = ''): number {
    const value = this.#bytes.readUInt32BE(this.#at);
    this.#write(4, `${name} = ${value}${note}`);
    return value;
  }

  hex32(name: string): number {
    const value = this.#bytes.readUInt32BE(this.#at);
    this.#write(4, `${name} = 0x${value.toString(16)}`);
    return value;
  }

  i32(name: string): number {
    const value = this.#bytes.readInt32BE(this.#at);
    this.#write(4, `${name} = ${value}`);
    return value;
  }

  u64(name: string): bigint {
    const value = this.#bytes.readBigUInt64BE(this.#at);
    this.#write(8, `${name} = ${value}`);
    return value;
  }

  opaque(name: string): Uint8Array {
    const lengthBytes = this.u32(`${name}, length`);
    return this.#bytes.subarray(...this.#data(lengthBytes, `${name}, bytes`));
  }

  string(name: string): string {
    const lengthBytes = this.u32(`${name}, length`);
    const text = this.#bytes.toString('utf8', this.#at, this.#at + lengthBytes);
    this.#data(lengthBytes, lengthBytes > 60 ? name : `${name} = ${JSON.stringify(text)}`);
    return text;
  }

  optional<T>(name: string, read: () => T): T | null {
    return this.u32(`${name}, present`) === 1 ? read() : null;
  }

  list<T>(name: string, read: (index: number) => T): T[] {
    const count = this.u32(`${name}, count`);
    return Array.from({ length: count }, (_, index) => read(index));
  }

  uuid(name: string): string {
    const hex = this.#bytes.toString('hex', this.#at, this.#at + 16);
    const text = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, '$1-$2-$3-$4-$5');
    this.#write(16, `${name} = ${text}`);
    return text;
  }

  #data(lengthBytes: number, note: string): [number, number] {
    const start = this.#at;
    for (let done = 0; done < lengthBytes; done += 16) {
      this.#write(Math.min(16, lengthBytes - done), done === 0 ? note : `  … from byte ${done}`);
    }
    const padding = (4 - (lengthBytes % 4)) % 4;
    if (padding > 0) this.#write(padding, '  padding');
    return [start, start + lengthBytes];
  }

  #write(count: number, note: string): void {
    const hex = this.#bytes.toString('hex', this.#at, this.#at + count);
    this.lines.push(`${hex.padEnd(34)}${note}`);
    this.#at += count;
  }
}
