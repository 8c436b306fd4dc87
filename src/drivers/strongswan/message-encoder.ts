import { EncodeError } from './errors.ts';
import { type Element, type Section, type Value, depthMax, elementType, elementsMax, isList, isSection } from './message.ts';
import { messageBytesMax, nameBytesMax, valueBytesMax } from './message.ts';

/**
 * A section as the bytes of a VICI message, keys in their insertion order (charon takes authentication rounds in order).
 * Throws EncodeError when a name, a value, the depth or the whole is over the protocol's limits.
 */
export function encodeMessage(root: Section): Uint8Array {
  const writer = new Writer();
  writer.section(root, 0);
  return writer.bytes();
}

class Writer {
  readonly #parts: Uint8Array[] = [];
  #byteCount = 0;
  #elementCount = 0;

  bytes(): Uint8Array {
    return Buffer.concat(this.#parts, this.#byteCount);
  }

  section(section: Section, depth: number): void {
    for (const [name, element] of Object.entries(section)) this.#element(name, element, depth);
  }

  #element(name: string, element: Element, depth: number): void {
    if (isList(element)) {
      this.#named(elementType.listStart, name);
      for (const item of element) {
        this.#type(elementType.listItem, name);
        this.#value(item, name);
      }
      this.#type(elementType.listEnd, name);
    } else if (isSection(element)) {
      if (depth + 1 > depthMax) throw new EncodeError('too-deep', name);
      this.#named(elementType.sectionStart, name);
      this.section(element, depth + 1);
      this.#type(elementType.sectionEnd, name);
    } else {
      this.#named(elementType.keyValue, name);
      this.#value(element, name);
    }
  }

  #type(type: number, name: string): void {
    this.#elementCount += 1;
    if (this.#elementCount > elementsMax) throw new EncodeError('too-many-elements', name);
    this.#push(Uint8Array.of(type), name);
  }

  #named(type: number, name: string): void {
    this.#type(type, name);
    this.#push(encodeName(name), name);
  }

  #value(value: Value, name: string): void {
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
    if (bytes.length > valueBytesMax) throw new EncodeError('value-too-long', name);
    this.#push(Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), name);
    this.#push(bytes, name);
  }

  #push(bytes: Uint8Array, name: string): void {
    this.#byteCount += bytes.length;
    if (this.#byteCount > messageBytesMax) throw new EncodeError('oversized-message', name);
    this.#parts.push(bytes);
  }
}

/** A name with its 8-bit length, as used for elements, commands and events. */
export function encodeName(name: string): Uint8Array {
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.length > nameBytesMax) throw new EncodeError('name-too-long', name);
  // A lone surrogate would silently become U+FFFD, and charon reads a NUL as the end of the name.
  if (!name.isWellFormed() || name.includes('\0')) throw new EncodeError('invalid-name', name);
  return Buffer.concat([Uint8Array.of(bytes.length), bytes]);
}
