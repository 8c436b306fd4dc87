import { XMLParser } from 'fast-xml-parser';

import { PlimsollError } from '#core/model/result.ts';

/** A definition of a VM with a hundred disks is about 100 KiB; a host's capabilities with every emulator of Debian are 350. */
const charactersMax = 512 * 1024;
/** Opening ones and closing ones; that VM has about 3,000. The process does nothing else while it reads, for up to a second. */
const tagsMax = 20_000;
/** Images on images on images: a backing chain nests an element per image, and libxml2 stops at 256. */
const depthMax = 256;

const predefined: ReadonlyMap<string, string> = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
]);

/** An element of libvirt's XML. Attributes and texts are decoded; comments and text beside elements are left out. */
export interface Element {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly Element[];
  readonly text: string;
}

/** Why a text is not read. The text itself is not repeated: it may hold passwords, and anything else. */
class Unreadable extends Error {}

export function refuseDefinition(what: string): PlimsollError {
  return refuseXml('domain', what);
}

function refuseXml(rootName: string, what: string): PlimsollError {
  const [subject, advice] =
    rootName === 'domain' ? ['definition of the VM', 'look at it with virsh dumpxml'] : [`<${rootName}>`, 'check the version of libvirt'];
  return new PlimsollError('hypervisor-failed', `libvirt's ${subject} cannot be read: ${what}; ${advice}`);
}

/**
 * Reads XML of libvirt whose only root is `rootName`. The parser is told to leave entities alone and any declaration of one is
 * refused, so that nothing can be expanded (XML 1.0 section 4.1); the five predefined ones and character references are decoded
 * here. Throws PlimsollError `hypervisor-failed` for anything else than one such root within the limits above.
 */
export function readTree(xml: string, rootName: string): Element {
  try {
    if (xml.length > charactersMax) throw new Unreadable(`it has ${xml.length} characters, more than ${charactersMax}`);
    if (xml.split('<', tagsMax + 2).length > tagsMax + 1) throw new Unreadable(`it has more than ${tagsMax} tags`);
    if (/<!(?!--|\[CDATA\[)/u.test(xml)) throw new Unreadable('it declares a document type or an entity');
    const roots = elementsOf(parse(xml, rootName));
    const [root] = roots;
    if (root === undefined || roots.length > 1 || root.name !== rootName) throw new Unreadable(`it is not one <${rootName}>`);
    return root;
  } catch (error) {
    throw error instanceof Unreadable ? refuseXml(rootName, error.message) : error;
  }
}

function parse(xml: string, rootName: string): unknown {
  try {
    return new XMLParser({
      preserveOrder: true,
      ignoreAttributes: false,
      attributeNamePrefix: '',
      parseTagValue: false,
      parseAttributeValue: false,
      processEntities: false,
      ignoreDeclaration: true,
      ignorePiTags: true,
      maxNestedTags: depthMax,
      // What others keep with the VM: any element of any namespace, and nothing of ours.
      stopNodes: [`${rootName}.metadata`],
    }).parse(xml, true);
  } catch (error) {
    // Of what the parser says, only the place is told: the rest quotes the text.
    const place = /:(\d+):\d+$/u.exec(error instanceof Error ? error.message : '');
    throw new Unreadable(`it is not well-formed XML${place === null ? '' : ` (line ${place[1]})`}`);
  }
}

/** The parser's ordered form: a list of `{ name: children, ':@': attributes }` and `{ '#text': text }`. */
function elementsOf(nodes: unknown): readonly Element[] {
  if (!Array.isArray(nodes)) throw new Unreadable('it is not well-formed XML');
  return nodes.flatMap((node: unknown) => {
    if (!isRecord(node)) throw new Unreadable('it is not well-formed XML');
    const name = Object.keys(node).find((key) => key !== ':@' && key !== '#text');
    return name === undefined ? [] : [elementOf(name, node[name], node[':@'])];
  });
}

function elementOf(name: string, content: unknown, attributes: unknown): Element {
  const pairs = Object.entries(isRecord(attributes) ? attributes : {});
  // Not looked into, so not refused for what it holds either.
  if (name === 'metadata') return { name, attributes: new Map(), children: [], text: '' };
  return {
    name,
    attributes: new Map(pairs.map(([key, value]) => [key, decode(typeof value === 'string' ? value : '')])),
    children: elementsOf(content),
    text: decode(textOf(content)).trim(),
  };
}

function textOf(content: unknown): string {
  if (!Array.isArray(content)) return '';
  const texts: readonly unknown[] = content.map((node: unknown) => (isRecord(node) ? node['#text'] : undefined));
  return texts.filter((text) => typeof text === 'string').join('');
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function decode(text: string): string {
  const decoded = text.includes('&') ? text.replace(/&([^;&]{0,16});?/gu, (whole, name: string) => character(whole, name)) : text;
  // Names and paths end in sentences, logs and terminals; libvirt itself allows no line break in a name.
  if (/[^\P{Cc}\n\r\t]/u.test(decoded)) throw new Unreadable('it contains control characters');
  return decoded;
}

function character(whole: string, name: string): string {
  const known = predefined.get(name);
  if (known !== undefined && whole.endsWith(';')) return known;
  const reference = /^#(?:x([0-9a-f]{1,6})|(\d{1,7}))$/iu.exec(name);
  const code = reference === null ? Number.NaN : Number.parseInt(reference[1] ?? reference[2] ?? '', reference[1] === undefined ? 10 : 16);
  const isCharacter = code >= 0x20 && code <= 0x10_ff_ff && !(code >= 0xd8_00 && code <= 0xdf_ff);
  if (!whole.endsWith(';') || !isCharacter) throw new Unreadable('it uses an entity that XML does not predefine');
  return String.fromCodePoint(code);
}
