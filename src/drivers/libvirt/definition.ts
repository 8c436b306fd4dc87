import type { VmDefinition, VmDisk, VmInterface, VmLease } from '#core/model/definition.ts';
import { bytes, type Bytes } from '#core/model/units.ts';

import { hostOnlyDevices } from './definition-devices.ts';
import { readTree, refuseDefinition, type Element } from './definition-tree.ts';
import { at, attribute, child, childrenOf, childText } from './definition-query.ts';

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/u;

/** virScaleInteger of libvirt: a bare letter and `KiB` are powers of 1024, `KB` of 1000; without a unit it is KiB. */
const unitBytes: ReadonlyMap<string, number> = new Map([
  ['b', 1],
  ['byte', 1],
  ['bytes', 1],
  ...['k', 'm', 'g', 't', 'p', 'e'].flatMap((letter, index): [string, number][] => [
    [letter, 1024 ** (index + 1)],
    [`${letter}ib`, 1024 ** (index + 1)],
    [`${letter}b`, 1000 ** (index + 1)],
  ]),
]);

/**
 * Reads libvirt's domain XML (formatdomain), of a running VM: what decides where it can run, and nothing else. `persistent` is not
 * in the XML. Throws PlimsollError `hypervisor-failed` for what is no such definition: no well-formed XML, more than 512 Ki
 * characters, 20,000 tags or 256 levels, a document type, unknown entities, control characters, or without name, UUID, memory or vCPUs.
 */
export function readDefinition(xml: string, persistent: boolean): VmDefinition {
  const domain = readTree(xml, 'domain');
  const devices = child(domain, 'devices');
  const type = at(domain, 'os', 'type');
  const cpu = child(domain, 'cpu');
  const cpuModel = childText(cpu, 'model');
  return {
    vmId: uuidOf(domain),
    name: required(childText(domain, 'name'), 'name'),
    type: required(attribute(domain, 'type'), 'type'),
    architecture: attribute(type, 'arch') ?? '',
    machine: attribute(type, 'machine'),
    emulator: childText(devices, 'emulator'),
    vcpus: vcpusOf(domain),
    memoryBytes: memoryOf(domain),
    // Without the attribute it is `custom`, as soon as there is a model (formatdomain, CPU model and topology).
    cpuMode: attribute(cpu, 'mode') ?? (cpuModel === null ? null : 'custom'),
    cpuModel,
    interfaces: childrenOf(devices, 'interface').map(interfaceOf),
    disks: childrenOf(devices, 'disk').map(diskOf),
    leases: childrenOf(devices, 'lease').map(leaseOf),
    hostOnly: hostOnlyDevices(domain),
    files: filesOf(domain),
    persistent,
  };
}

function required(value: string | null, what: string): string {
  if (value === null) throw refuseDefinition(`it has no ${what}`);
  return value;
}

function uuidOf(domain: Element): string {
  const uuid = required(childText(domain, 'uuid'), 'UUID').toLowerCase();
  if (!uuidPattern.test(uuid)) throw refuseDefinition('its UUID is not one');
  return uuid;
}

/** Of those it may have, those it has now. */
function vcpusOf(domain: Element): number {
  const vcpu = child(domain, 'vcpu');
  const vcpus = wholeNumber(attribute(vcpu, 'current') ?? required(childText(domain, 'vcpu'), 'number of vCPUs'), 'number of vCPUs');
  if (vcpus < 1) throw refuseDefinition('its number of vCPUs is 0');
  return vcpus;
}

/** The most it may use: a balloon can be let out at any time, and the destination has to have room for it then. */
function memoryOf(domain: Element): Bytes {
  const memory = child(domain, 'memory');
  const unit = unitBytes.get((attribute(memory, 'unit') ?? 'KiB').toLowerCase());
  if (unit === undefined) throw refuseDefinition('its memory has an unknown unit');
  const size = wholeNumber(required(childText(domain, 'memory'), 'memory'), 'memory') * unit;
  if (!Number.isSafeInteger(size) || size === 0) throw refuseDefinition('its memory is no possible amount');
  return bytes(size);
}

function wholeNumber(text: string, what: string): number {
  if (!/^\d{1,15}$/u.test(text)) throw refuseDefinition(`its ${what} is not a number`);
  return Number(text);
}

/** A bridge or a network card that libvirt took from one of its networks is that network: its name is what the destination looks up. */
function interfaceOf(element: Element): VmInterface {
  const type = attribute(element, 'type') ?? '';
  const source = child(element, 'source');
  const network = attribute(source, 'network');
  const mac = (attribute(child(element, 'mac'), 'address') ?? '').toLowerCase();
  if (network !== null && (type === 'bridge' || type === 'direct')) return { kind: 'network', source: network, mac };
  const names: Readonly<Record<string, string | null>> = {
    bridge: attribute(source, 'bridge'),
    network,
    direct: attribute(source, 'dev'),
    ethernet: attribute(child(element, 'target'), 'dev'),
    vdpa: attribute(source, 'dev'),
    vhostuser: attribute(source, 'path'),
    internal: attribute(source, 'name'),
  };
  return { kind: type, source: Object.hasOwn(names, type) ? (names[type] ?? null) : null, mac };
}

function diskOf(element: Element): VmDisk {
  const device = attribute(element, 'device') ?? 'disk';
  const kind = attribute(element, 'type') ?? '';
  const cache = attribute(child(element, 'driver'), 'cache');
  const source = child(element, 'source');
  return {
    target: required(attribute(child(element, 'target'), 'dev'), 'name for one of its disks'),
    device,
    startupPolicy: attribute(source, 'startupPolicy'),
    kind,
    source: diskSource(kind, source),
    // libvirt marks every CD-ROM drive as read-only, but only where it wrote the definition itself.
    readOnly: child(element, 'readonly') !== null || device === 'cdrom',
    shareable: child(element, 'shareable') !== null,
    cache: cache === 'default' ? null : cache,
  };
}

function diskSource(kind: string, source: Element | null): string | null {
  if (source === null) return null;
  switch (kind) {
    case 'file':
      return attribute(source, 'file');
    case 'block':
    case 'vhostvdpa':
      return attribute(source, 'dev');
    case 'dir':
      return attribute(source, 'dir');
    case 'volume':
      return joined(attribute(source, 'pool'), '/', attribute(source, 'volume'));
    case 'network':
      return joined(attribute(source, 'protocol'), ':', attribute(source, 'name') ?? attribute(child(source, 'host'), 'name'));
    case 'nvme':
      return joined('namespace', ' ', attribute(source, 'namespace'));
    case 'vhostuser':
      return attribute(source, 'path');
    default:
      // A kind that libvirt has learned since: there is something in the drive, and nobody can look for it.
      return kind;
  }
}

function joined(first: string | null, separator: string, second: string | null): string | null {
  return first === null || second === null ? (first ?? second) : `${first}${separator}${second}`;
}

function leaseOf(element: Element): VmLease {
  return {
    lockspace: childText(element, 'lockspace') ?? '',
    key: required(childText(element, 'key'), 'key for one of its leases'),
    path: attribute(child(element, 'target'), 'path') ?? '',
  };
}

/** Firmware, the template of its variables, and a kernel that is started without a boot loader. */
function filesOf(domain: Element): readonly string[] {
  const os = child(domain, 'os');
  const files = [
    childText(os, 'loader'),
    attribute(child(os, 'nvram'), 'template'),
    childText(os, 'kernel'),
    childText(os, 'initrd'),
    childText(os, 'dtb'),
  ];
  return files.filter((file) => file !== null);
}
