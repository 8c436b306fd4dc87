/** The guard's table as `nft list table` prints it (nft 1.0.6): what the rules are, apart from what changes while they stay. */
import { isIP } from 'node:net';
import { guardSets } from '#core/channel/guard-rules.ts';

export interface Exemptions {
  readonly peers: readonly string[];
  /** False when somebody put in an element that never ends. */
  readonly allEnd: boolean;
}

export interface GuardListing {
  /** The table without counts, seal and what the sets contain: equal texts are equal rules. */
  readonly rules: string;
  /** What `install` wrote down; null when the seal is missing. */
  readonly seal: { readonly spec: string; readonly rules: string } | null;
  /** By counter. */
  readonly packets: ReadonlyMap<string, number>;
  readonly exemptions: Exemptions;
  /** Names of its sets. */
  readonly sets: readonly string[];
}

/** An empty set whose comment holds the two fingerprints: the table carries its own proof across restarts. */
const sealSet = /\n\tset seal \{\n\t\ttype mark\n\t\tcomment "([0-9a-f]{32}):([0-9a-f]{32})"\n\t\}\n/;
const counter = /^\tcounter (\S+) \{\n\t\tpackets (\d+) bytes \d+\n\t\}$/gm;
const set = /^\tset (\S+) \{\n((?:\t\t.*\n)*?)\t\}$/gm;
/** Elements may go over many lines. Braces inside (a comment) are not expected: then the text stays and the rules count as changed. */
const elements = /^\t\telements = \{ ([^{}]*) \}\n/m;

export function readGuardListing(text: string): GuardListing {
  const [block, spec, sealed] = sealSet.exec(text) ?? [];
  const packets = new Map([...text.matchAll(counter)].map(([, name, count]) => [name ?? '', Number(count)]));
  const sets = [...text.matchAll(set)].map(([, name = '', body = '']) => ({ name, elements: elements.exec(body)?.[1] ?? '' }));
  return {
    rules: withoutState(text.replace(block ?? '', '\n')),
    seal: spec === undefined || sealed === undefined ? null : { spec, rules: sealed },
    packets,
    exemptions: exemptionsIn(
      sets.filter(({ name }) => name === guardSets.exempt4 || name === guardSets.exempt6).map((one) => one.elements),
    ),
    sets: sets.map(({ name }) => name),
  };
}

function withoutState(text: string): string {
  const stateless = text
    .replaceAll(counter, (_, name: string) => `\tcounter ${name} {\n\t}`)
    .replaceAll(set, (whole) => whole.replace(elements, ''));
  // Blank lines separate the table's parts and come and go with the seal.
  return stateless
    .split('\n')
    .filter((line) => line.trim() !== '')
    .join('\n');
}

/** Such as `10.0.0.2 timeout 1h expires 59m59s952ms, 10.0.0.3`; the last one never ends. */
function exemptionsIn(texts: readonly string[]): Exemptions {
  const all = texts.flatMap((text) => text.split(',').map((part) => part.trim().split(/\s+/))).filter(([first]) => first !== '');
  const peers = all.flatMap(([address = '']) => (isIP(address) === 0 ? [] : [address]));
  return { peers, allEnd: all.every(([address = '', word]) => isIP(address) !== 0 && word === 'timeout') };
}
