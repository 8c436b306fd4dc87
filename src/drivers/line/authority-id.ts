/** DER (X.690) as far as it takes to find one extension; node does not show it, nor the peer's CAs to a server. */

interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
}

const sequenceTag = 0x30;
/** `[3]` of TBSCertificate, RFC 5280 section 4.1. */
const extensionsTag = 0xa3;
/** `[0] keyIdentifier` of AuthorityKeyIdentifier, RFC 5280 section 4.2.1.1. */
const keyIdentifierTag = 0x80;
/** 2.5.29.35, encoded. */
const authorityKeyIdentifierOid = '551d23';

/** The key identifier of the CA that signed a certificate (DER), hex; empty when the certificate does not say. */
export function authorityIdOf(certificateDer: Uint8Array): string {
  const [certificate] = elementsOf(certificateDer);
  const [signedPart] = elementsOf(certificate?.content);
  const wrapped = elementsOf(signedPart?.content).find(({ tag }) => tag === extensionsTag);
  const [extensions] = elementsOf(wrapped?.content);
  for (const extension of elementsOf(extensions?.content)) {
    const parts = elementsOf(extension.content);
    if (extension.tag !== sequenceTag || hexOf(parts[0]) !== authorityKeyIdentifierOid) continue;
    // The value is the last part: `critical` may stand before it.
    const [value] = elementsOf(parts.at(-1)?.content);
    return hexOf(elementsOf(value?.content).find(({ tag }) => tag === keyIdentifierTag));
  }
  return '';
}

/** The elements that follow one another; stops at what is cut short. */
function elementsOf(der: Uint8Array = new Uint8Array()): readonly Element[] {
  const elements: Element[] = [];
  for (let at = 0; at + 2 <= der.length;) {
    const tag = der[at] ?? 0;
    const first = der[at + 1] ?? 0;
    // Below 0x80 the length itself, else the number of bytes that hold it.
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
    if (lengthBytes > 3) break;
    const length = lengthBytes === 0 ? first : Number.parseInt(hex(der.subarray(at + 2, at + 2 + lengthBytes)), 16);
    const start = at + 2 + lengthBytes;
    if (!(start + length <= der.length)) break;
    elements.push({ tag, content: der.subarray(start, start + length) });
    at = start + length;
  }
  return elements;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const hexOf = (element: Element | undefined): string => (element === undefined ? '' : hex(element.content));
