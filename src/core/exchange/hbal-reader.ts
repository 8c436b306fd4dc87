/** Reads what `hbal -t FILE` reads, the columns of older versions too; the layout is of `parseData` in Ganeti's `Backend/Text.hs`. */
import type { Result } from '#core/model/result.ts';
import {
  allocations,
  type HbalCluster,
  type HbalGroup,
  type HbalInstance,
  type HbalNode,
  type HbalPolicy,
  type HbalSpec,
  type HbalUse,
  roles,
  specLength,
  statuses,
  templates,
} from './hbal-cluster.ts';
import { type Line, linesOf, Row, type TextFault, TextFaults } from './text-row.ts';

export interface Unreadable {
  /** In the order of the text, at least one. */
  readonly faults: readonly TextFault[];
}

/** hbal stands `?` for a figure that a node does not tell, and takes such a node for one that is offline and has nothing. */
const untold = '?';

/** Reads the text of a `.data` file. Duplicate names of instances are as they are; those of nodes and groups are faults. */
export function readHbalCluster(text: string): Result<{ readonly cluster: HbalCluster }, Unreadable> {
  const faults = new TextFaults();
  const sections = sectionsOf(linesOf(text, faults));
  const [groupLines = [], nodeLines = [], instanceLines = [], tagLines = [], policyLines = null] = sections;
  if (sections.length !== 4 && sections.length !== 5) {
    const found = `there ${sections.length === 1 ? 'is 1 section' : `are ${sections.length} sections`}`;
    faults.add('sections', 1, 1, `${found}: groups, nodes, instances, tags and policies are parted by exactly one empty line`);
    return { ok: false, faults: faults.found };
  }
  const rows = (lines: readonly Line[]) => lines.map((line) => new Row(line, '|', faults));
  const groups = rows(groupLines).flatMap((row) => groupOf(row) ?? []);
  const nodes = rows(nodeLines).flatMap((row) => nodeOf(row, groups) ?? []);
  const instances = rows(instanceLines).flatMap((row) => instanceOf(row) ?? []);
  const policies = policyLines && rows(policyLines).flatMap((row) => policyOf(row, groups) ?? []);
  refuseRepeated('group', groupLines, faults);
  refuseRepeated('node', nodeLines, faults);
  checkNodesOf(rows(instanceLines), new Set(nodes.map(({ name }) => name)));
  if (faults.found.length > 0) return { ok: false, faults: faults.found };
  return { ok: true, cluster: { groups, nodes, instances, tags: tagLines.map((line) => line.text), policies } };
}

/** Reads the text of a `.util` file: an instance and four figures on each line, with one blank between them. */
export function readHbalUtilisation(text: string): Result<{ readonly uses: readonly HbalUse[] }, Unreadable> {
  const faults = new TextFaults();
  const uses = linesOf(text, faults).flatMap((line) => {
    const row = new Row(line, ' ', faults);
    if (!row.hasWidth('a line of utilisation', 5, 5)) return [];
    const figure = (index: number, what: string) => row.number(index, `the use of ${what}`);
    return [
      {
        name: row.name(0, "the instance's name"),
        cpu: figure(1, 'CPU'),
        memory: figure(2, 'memory'),
        disk: figure(3, 'disk'),
        network: figure(4, 'network'),
      },
    ];
  });
  return faults.found.length > 0 ? { ok: false, faults: faults.found } : { ok: true, uses };
}

function sectionsOf(lines: readonly Line[]): readonly (readonly Line[])[] {
  const sections: Line[][] = [[]];
  for (const line of lines) {
    if (line.text === '') sections.push([]);
    else sections.at(-1)?.push(line);
  }
  return sections;
}

function groupOf(row: Row): HbalGroup | null {
  if (!row.hasWidth('a group', 4, 5)) return null;
  return {
    name: row.name(0, "the group's name"),
    uuid: row.name(1, "the group's UUID"),
    allocation: row.word(2, 'the allocation policy', allocations),
    tags: row.list(3),
    networks: row.width > 4 ? row.list(4) : null,
  };
}

function nodeOf(row: Row, groups: readonly HbalGroup[]): HbalNode | null {
  if (!row.hasWidth('a node', 9, 15)) return null;
  const groupUuid = row.text(8);
  if (!groups.some(({ uuid }) => uuid === groupUuid)) row.note('name-unknown', 8, `there is no group with UUID '${groupUuid}'`);
  const silent = [1, 2, 3, 4, 5, 6].some((index) => row.text(index) === untold);
  const number = (index: number, what: string) => (silent ? 0 : row.number(index, what));
  const integer = (index: number, what: string) => (silent ? 0 : row.integer(index, what));
  return {
    name: row.name(0, "the node's name"),
    memoryMib: number(1, "the node's memory"),
    ownMemoryMib: integer(2, 'the memory that the node itself uses'),
    freeMemoryMib: integer(3, "the node's free memory"),
    diskMib: number(4, "the node's disk"),
    freeDiskMib: integer(5, "the node's free disk"),
    cpus: number(6, "the node's CPUs"),
    role: silent ? 'Y' : row.word(7, "the node's role", roles),
    groupUuid,
    spindles: row.width > 9 ? integer(9, 'the spindles') : null,
    tags: row.width > 10 ? row.list(10) : null,
    exclusiveStorage: row.width > 11 ? row.yes(11, 'exclusive storage') : null,
    freeSpindles: row.width > 12 ? integer(12, 'the free spindles') : null,
    ownCpus: row.width > 13 ? integer(13, 'the CPUs that the node itself uses') : null,
    cpuSpeed: row.width > 14 ? row.number(14, 'the CPU speed') : null,
  };
}

function instanceOf(row: Row): HbalInstance | null {
  if (!row.hasWidth('an instance', 10, 13)) return null;
  const secondary = row.text(7);
  const spindles = () => (row.text(11) === '-' ? '-' : row.integer(11, 'the spindles'));
  return {
    name: row.name(0, "the instance's name"),
    memoryMib: row.integer(1, "the instance's memory"),
    diskMib: row.integer(2, "the instance's disk"),
    vcpus: row.integer(3, "the instance's virtual CPUs"),
    status: row.word(4, "the instance's status", statuses),
    autoBalance: row.yes(5, 'auto-balance'),
    primary: row.text(6),
    secondary: secondary === '' ? null : secondary,
    template: row.word(8, 'the disk template', templates),
    tags: row.list(9),
    spindleUse: row.width > 10 ? row.integer(10, 'the spindle use') : null,
    spindles: row.width > 11 ? spindles() : null,
    forthcoming: row.width > 12 ? row.yes(12, 'forthcoming') : null,
  };
}

function checkNodesOf(rows: readonly Row[], nodes: ReadonlySet<string>): void {
  for (const row of rows.filter(({ width }) => width >= 10 && width <= 13)) {
    const [primary, secondary] = [row.text(6), row.text(7)];
    if (!nodes.has(primary)) row.note('name-unknown', 6, `there is no node '${primary}'`);
    if (secondary !== '' && !nodes.has(secondary)) row.note('name-unknown', 7, `there is no node '${secondary}'`);
    if (secondary !== '' && secondary === primary) row.note('secondary-same', 7, 'the secondary node is the primary one');
  }
}

function policyOf(row: Row, groups: readonly HbalGroup[]): HbalPolicy | null {
  if (!row.hasWidth('a policy', 6, 6)) return null;
  const owner = row.text(0);
  if (owner !== '' && !groups.some(({ name }) => name === owner)) row.note('name-unknown', 0, `there is no group '${owner}'`);
  const bounds = row.inner(2, ';');
  if (bounds.width % 2 !== 0) row.note('columns', 2, 'the least and the most have to come in pairs');
  const allowed = row.inner(3, ',');
  return {
    owner,
    standard: specOf(row.inner(1, ',')),
    bounds: Array.from({ length: bounds.width }, (_, index) => specOf(bounds.inner(index, ','))),
    templates:
      row.text(3) === '' ? [] : Array.from({ length: allowed.width }, (_, index) => allowed.word(index, 'a disk template', templates)),
    vcpuRatio: row.number(4, 'the ratio of virtual CPUs'),
    spindleRatio: row.number(5, 'the ratio of spindles'),
  };
}

function specOf(row: Row): HbalSpec {
  if (!row.hasWidth('a specification', specLength, specLength)) return [];
  return Array.from({ length: specLength }, (_, index) => row.integer(index, 'a part of a specification'));
}

function refuseRepeated(what: 'group' | 'node', lines: readonly Line[], faults: TextFaults): void {
  const seen = new Map<string, number>();
  for (const { number, text } of lines) {
    const name = text.split('|', 1)[0] ?? '';
    const before = seen.get(name);
    if (before === undefined) seen.set(name, number);
    else faults.add('name-repeated', number, 1, `the ${what} ${name} is in line ${before} already`);
  }
}
