/**
 * VICI messages: a tree of sections, key/values and lists.
 * Protocol: strongSwan's src/libcharon/plugins/vici/README.md, "Message format".
 */

/** A value on the wire is any bytes; it is text here when it is valid UTF-8, else the bytes (DER data, for one). */
export type Value = string | Uint8Array;

/** Sections never have a prototype, so a peer's key named "__proto__" is an ordinary key. */
export interface Section {
  readonly [key: string]: Element;
}

export type Element = Value | readonly Value[] | Section;

/** Element types on the wire. */
export const elementType = { sectionStart: 1, sectionEnd: 2, keyValue: 3, listStart: 4, listItem: 5, listEnd: 6 } as const;

/** charon refuses longer messages (VICI_MESSAGE_SIZE_MAX), so longer ones are not VICI to us either. */
export const messageBytesMax = 512 * 1024;

/** Names carry an 8-bit length, values a 16-bit one. */
export const nameBytesMax = 0xff;
export const valueBytesMax = 0xffff;

/** Ours: deep enough for every documented message (list-conns needs 4), shallow enough for any stack. */
export const depthMax = 32;

/** Ours: bounds the objects that one 512 KiB message can make us allocate. */
export const elementsMax = 65_536;

export function isList(element: Element): element is readonly Value[] {
  return Array.isArray(element);
}

export function isSection(element: Element | undefined): element is Section {
  return typeof element === 'object' && !Array.isArray(element) && !(element instanceof Uint8Array);
}
