/** Writes what hbal writes with `-S`: the layout is of `serializeCluster` in Ganeti's `Backend/Text.hs`. */
import type { HbalCluster, HbalGroup, HbalInstance, HbalNode, HbalPolicy, HbalUse } from './hbal-cluster.ts';

/** The text of a `.data` file. What was read from a file that hbal wrote is written as it was, byte for byte. */
export function writeHbalCluster({ groups, nodes, instances, tags, policies }: HbalCluster): string {
  const sections = [groups.map(groupLine), nodes.map(nodeLine), instances.map(instanceLine), tags];
  return [...sections, ...(policies === null ? [] : [policies.map(policyLine)])].map(unlines).join('\n');
}

/** The text of a `.util` file. */
export function writeHbalUtilisation(uses: readonly HbalUse[]): string {
  return unlines(uses.map(({ name, cpu, memory, disk, network }) => [name, cpu, memory, disk, network].join(' ')));
}

function unlines(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

function groupLine({ name, uuid, allocation, tags, networks }: HbalGroup): string {
  return columns([name, uuid, allocation, tags.join(','), networks && networks.join(',')]);
}

function nodeLine(node: HbalNode): string {
  const { spindles, tags, exclusiveStorage, freeSpindles, ownCpus, cpuSpeed } = node;
  return columns([
    node.name,
    String(node.memoryMib),
    String(node.ownMemoryMib),
    String(node.freeMemoryMib),
    String(node.diskMib),
    String(node.freeDiskMib),
    String(node.cpus),
    node.role,
    node.groupUuid,
    spindles === null ? null : String(spindles),
    tags && tags.join(','),
    exclusiveStorage === null ? null : yesOrNo(exclusiveStorage),
    freeSpindles === null ? null : String(freeSpindles),
    ownCpus === null ? null : String(ownCpus),
    cpuSpeed === null ? null : decimalText(cpuSpeed),
  ]);
}

function instanceLine(instance: HbalInstance): string {
  const { spindleUse, spindles, forthcoming } = instance;
  return columns([
    instance.name,
    String(instance.memoryMib),
    String(instance.diskMib),
    String(instance.vcpus),
    instance.status,
    yesOrNo(instance.autoBalance),
    instance.primary,
    instance.secondary ?? '',
    instance.template,
    instance.tags.join(','),
    spindleUse === null ? null : String(spindleUse),
    spindles === null ? null : String(spindles),
    forthcoming === null ? null : yesOrNo(forthcoming),
  ]);
}

function policyLine({ owner, standard, bounds, templates, vcpuRatio, spindleRatio }: HbalPolicy): string {
  const spec = (figures: readonly number[]) => figures.join(',');
  return columns([owner, spec(standard), bounds.map(spec).join(';'), templates.join(','), shownText(vcpuRatio), shownText(spindleRatio)]);
}

/** Up to the first column that is not there. */
function columns(cells: readonly (string | null)[]): string {
  const end = cells.indexOf(null);
  return cells.slice(0, end === -1 ? cells.length : end).join('|');
}

function yesOrNo(value: boolean): string {
  return value ? 'Y' : 'N';
}

/** As Haskell's `printf "%f"`: the shortest digits, with at least one after the point. */
function decimalText(value: number): string {
  return Number.isInteger(value) && Math.abs(value) < 1e21 ? `${value}.0` : String(value);
}

/** As Haskell's `show` of a Double: with an exponent below 0.1 and from ten million on. */
function shownText(value: number): string {
  const size = Math.abs(value);
  if (size === 0 || (size >= 0.1 && size < 1e7)) return decimalText(value);
  const [digits = '', exponent = ''] = value.toExponential().replace('e+', 'e').split('e');
  return `${digits.includes('.') ? digits : `${digits}.0`}e${exponent}`;
}
