import { isUtf8 } from 'node:buffer';
import { DecodeError } from './errors.ts';
import { type Element, type Section, type Value, depthMax, elementType, elementsMax, messageBytesMax } from './message.ts';

type MutableSection = Record<string, Element>;

/**
 * The bytes of a VICI message as a section. Throws DecodeError for everything that is not exactly one balanced message
 * within the limits of message.ts; nothing of the input is kept by reference.
 */
export function decodeMessage(bytes: Uint8Array): Section {
  if (bytes.length > messageBytesMax) throw new DecodeError('oversized-message', messageBytesMax);
  return new MessageReader(bytes).read();
}

class MessageReader {
  readonly #cursor: Cursor;
  readonly #open: MutableSection[] = [];
  #section: MutableSection = emptySection();
  #list: Value[] | undefined;
  #elementCount = 0;

  constructor(bytes: Uint8Array) {
    this.#cursor = new Cursor(bytes);
  }

  read(): Section {
    while (!this.#cursor.atEnd) this.#element();
    if (this.#list !== undefined) throw this.#cursor.error('list-not-closed');
    if (this.#open.length > 0) throw this.#cursor.error('section-not-closed');
    return this.#section;
  }

  #element(): void {
    this.#elementCount += 1;
    if (this.#elementCount > elementsMax) throw this.#cursor.error('too-many-elements');
    const at = this.#cursor.offset;
    const type = this.#cursor.byte();
    if (this.#list !== undefined) this.#listElement(type, this.#list, at);
    else this.#sectionElement(type, at);
  }

  #listElement(type: number, list: Value[], at: number): void {
    if (type === elementType.listItem) list.push(this.#cursor.value());
    else if (type === elementType.listEnd) this.#list = undefined;
    else throw new DecodeError(isKnown(type) ? 'element-inside-list' : 'unknown-element-type', at);
  }

  #sectionElement(type: number, at: number): void {
    switch (type) {
      case elementType.keyValue:
        this.#add(this.#cursor.name(), this.#cursor.value(), at);
        return;
      case elementType.listStart:
        this.#list = [];
        this.#add(this.#cursor.name(), this.#list, at);
        return;
      case elementType.sectionStart:
        this.#startSection(at);
        return;
      case elementType.sectionEnd:
        this.#endSection(at);
        return;
      case elementType.listItem:
        throw new DecodeError('list-item-outside-list', at);
      case elementType.listEnd:
        throw new DecodeError('list-end-without-start', at);
      default:
        throw new DecodeError('unknown-element-type', at);
    }
  }

  #startSection(at: number): void {
    const section = emptySection();
    this.#add(this.#cursor.name(), section, at);
    this.#open.push(this.#section);
    if (this.#open.length > depthMax) throw new DecodeError('too-deep', at);
    this.#section = section;
  }

  #endSection(at: number): void {
    const outer = this.#open.pop();
    if (outer === undefined) throw new DecodeError('section-end-without-start', at);
    this.#section = outer;
  }

  /** Two values for one key could be read differently by two readers: refused, as the protocol says they are unique. */
  #add(name: string, element: Element, at: number): void {
    if (name in this.#section) throw new DecodeError('duplicate-name', at);
    this.#section[name] = element;
  }
}

/** Bounded reads over bytes; shared by the message and the packet layer. */
export class Cursor {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get offset(): number {
    return this.#offset;
  }

  get atEnd(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  error(code: DecodeError['code']): DecodeError {
    return new DecodeError(code, this.#offset);
  }

  byte(): number {
    const byte = this.#bytes[this.#offset];
    if (byte === undefined) throw this.error('truncated');
    this.#offset += 1;
    return byte;
  }

  /** The protocol says ASCII; an operator's connection name may be UTF-8 all the same, a NUL or broken UTF-8 never. */
  name(): string {
    const at = this.#offset;
    const bytes = this.#take(this.byte());
    if (!isUtf8(bytes) || bytes.includes(0)) throw new DecodeError('invalid-name', at);
    return asText(bytes);
  }

  value(): Value {
    const bytes = this.#take(this.byte() * 256 + this.byte());
    return isUtf8(bytes) ? asText(bytes) : Uint8Array.from(bytes);
  }

  rest(): Uint8Array {
    return this.#take(this.#bytes.length - this.#offset);
  }

  #take(byteCount: number): Uint8Array {
    const end = this.#offset + byteCount;
    if (end > this.#bytes.length) throw this.error('truncated');
    const taken = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return taken;
  }
}

function asText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

function emptySection(): MutableSection {
  return Object.create(null) as MutableSection;
}

function isKnown(type: number): boolean {
  return type >= elementType.sectionStart && type <= elementType.listEnd;
}
