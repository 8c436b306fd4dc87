import type { HostOffer } from '#core/model/definition.ts';
import type { Method } from '#core/model/method.ts';
import { noteOf, pass, refuse, unknown, warn, type Note } from './preflight-note.ts';
import type { HypervisorVersions, Pair, PreflightInput } from './preflight-input.ts';

/**
 * libvirt turns QEMU's return path on for every migration but a tunnelled one, if both ends can (`return-path` in the list of
 * capabilities of src/qemu/qemu_migration_params.c). There it stands before `zero-copy-send`, which NEWS dates to 8.5.0: the first
 * release that is known to have it. Without a return path the source calls a migration complete before the destination has the VM.
 */
const libvirtVersionMin = 8_005_000;

/** `return-path` of migrate-set-capabilities: since 2.10 (qapi/migration.json). */
const qemuVersionMin = 2_010_000;

/** Methods that send memory while the VM writes it. */
const liveMethods: ReadonlySet<Method | 'auto'> = new Set(['auto', 'pre-copy', 'hybrid', 'post-copy']);

export function isQemu({ definition }: Pick<Pair, 'definition'>): boolean {
  return definition.type === 'qemu' || definition.type === 'kvm';
}

export function judgeVersions(pair: Pair): readonly Note[] {
  const { input, offer } = pair;
  const source = input.sourceVersions;
  const notes = [...tooOld(pair, input.hostId, offer), ...(source === null ? [] : tooOld(pair, input.sourceHostId, source))];
  if (notes.some((note) => note.verdict === 'refuse')) return notes;
  if (source === null)
    return [...notes, unknown(`the versions on ${input.sourceHostId} are not known, so ${input.hostId} is not compared`)];
  const all = [...notes, ...olderQemu(pair, source), ...olderLibvirt(pair, source)];
  if (all.length > 0) return all;
  const hypervisor = offer.qemuVersion > 0 ? ` and hypervisor ${dotted(offer.qemuVersion)}` : '';
  return [pass(`${input.hostId} has libvirt ${dotted(offer.libvirtVersion)}${hypervisor}, not older than those of ${input.sourceHostId}`)];
}

function tooOld(pair: Pair, hostId: string, versions: HypervisorVersions): readonly Note[] {
  if (!isQemu(pair)) return [];
  const check = (name: string, version: number, versionMin: number): readonly Note[] => {
    if (!(version > 0)) return [unknown(`the version of ${name} on ${hostId} is not known`)];
    if (version >= versionMin) return [];
    const why = `only from ${dotted(versionMin)} on is a return path known to be used, and without it an interrupted migration can lose the VM`;
    return [refuse('version-unsupported', `${hostId} has ${name} ${dotted(version)}: ${why}: upgrade it`)];
  };
  return [...check('libvirt', versions.libvirtVersion, libvirtVersionMin), ...check('QEMU', versions.qemuVersion, qemuVersionMin)];
}

/**
 * From newer to older works only with a machine type that the older one knows, and only as far as QEMU's developers kept it
 * working (docs/devel/migration/compatibility.rst, case 5). Stable releases of one version count as the same.
 */
function olderQemu({ input, definition, offer }: Pair, source: HypervisorVersions): readonly Note[] {
  if (!isOlder(offer.qemuVersion, source.qemuVersion)) return [];
  const versions = `${input.hostId} has hypervisor ${dotted(offer.qemuVersion)}, older than ${dotted(source.qemuVersion)} on ${input.sourceHostId}`;
  const machine = definition.machine === null ? '' : ` (the VM has ${definition.machine})`;
  return [warn(`${versions}: from newer to older works only with a machine type that both know${machine}`)];
}

function olderLibvirt({ input, offer }: Pair, source: HypervisorVersions): readonly Note[] {
  if (!isOlder(offer.libvirtVersion, source.libvirtVersion)) return [];
  const versions = `${dotted(offer.libvirtVersion)}, older than ${dotted(source.libvirtVersion)} on ${input.sourceHostId}`;
  return [warn(`${input.hostId} has libvirt ${versions}: it refuses a VM with anything in its definition that it does not know`)];
}

function isOlder(version: number, other: number): boolean {
  return version > 0 && other > 0 && Math.floor(version / 1000) < Math.floor(other / 1000);
}

export function dotted(version: number): string {
  return `${Math.floor(version / 1_000_000)}.${Math.floor(version / 1000) % 1000}.${version % 1000}`;
}

/** The method's own fault, and QEMU's emulator: it corrupts a guest that writes memory during a live copy (measured with 7.2.22). */
export function judgeMethod(input: PreflightInput): readonly Note[] {
  const { hostId, sourceHostId, method, definition, vm } = input;
  const name = method === 'auto' ? 'the method that will be chosen' : method;
  const note = noteOf(input.methodFault, hostId, {
    fine: `${sourceHostId} and ${hostId} can do ${name}`,
    notLookedAt: `whether ${sourceHostId} and ${hostId} can do ${name} was not looked at`,
  });
  if (definition?.type !== 'qemu' || !liveMethods.has(method)) return [note];
  const fault = 'and QEMU corrupts emulated guests that write memory while it is copied';
  const advice = `use KVM, or move it from ${sourceHostId} by stop-and-copy`;
  return [note, warn(`${vm.name} is emulated (domain type qemu), ${fault}: ${advice}`)];
}

/**
 * A processor that is passed through must be the same on both hosts: libvirt calls anything else dangerous, `the guest may hang or
 * crash` (formatdomain, host-passthrough), and QEMU's compatibility.rst says of a destination with more features that it
 * `sometimes` works. `maximum` is the same under KVM; emulated, it needs the same version of QEMU.
 */
export function judgeCpu(pair: Pair): Note {
  const { definition } = pair;
  if (definition.type === 'qemu') return emulatedCpu(pair);
  const isPassed = definition.cpuMode === 'host-passthrough' || definition.cpuMode === 'maximum';
  return isPassed ? passedCpu(pair) : modelledCpu(pair);
}

function modelledCpu({ input, definition, offer }: Pair): Note {
  const { hostId } = input;
  const cpu = definition.cpuModel ?? definition.cpuMode ?? 'default';
  const notes: Readonly<Record<HostOffer['cpu'], Note>> = {
    identical: pass(`the processor of ${hostId} is the same as the VM's (${cpu})`),
    superset: pass(`the processor of ${hostId} can do all that the VM's (${cpu}) can, and more`),
    incompatible: incompatible(hostId, cpu, offer.cpuDetail),
    unknown: unknown(`${hostId} does not tell whether its processor can do what the VM's (${cpu}) can${detail(offer.cpuDetail)}`),
  };
  return notes[offer.cpu];
}

function incompatible(hostId: string, cpu: string, said: string | null): Note {
  const advice = 'choose another host, or give the VM a CPU model that all hosts have and start it anew';
  return refuse('cpu-incompatible', `the processor of ${hostId} cannot do what the VM's (${cpu}) can${detail(said)}: ${advice}`);
}

function passedCpu({ input, definition, offer }: Pair): Note {
  const { hostId, sourceHostId, sourceVersions } = input;
  const mode = definition.cpuMode ?? 'host-passthrough';
  if (offer.cpu === 'incompatible') return incompatible(hostId, mode, offer.cpuDetail);
  const sees = `the VM sees the processor of ${sourceHostId} itself (${mode})`;
  const said = detail(offer.cpuDetail);
  if (offer.cpu === 'superset') {
    const advice = 'give the VM a CPU model (host-model) and start it anew, then it can move';
    return refuse('cpu-incompatible', `${sees}, and that of ${hostId} differs${said}: it could hang or crash there: ${advice}`);
  }
  if (offer.cpu === 'unknown') {
    const advice = 'make sure that hardware and microcode are equal, or the VM can hang or crash';
    return warn(`${sees}, and ${hostId} does not tell whether its own is the same${said}: ${advice}`);
  }
  if (sourceVersions !== null && sourceVersions.qemuVersion !== offer.qemuVersion) {
    const versions = `${dotted(sourceVersions.qemuVersion)} and ${dotted(offer.qemuVersion)} on ${hostId}`;
    return warn(`${sees}, and the hypervisors' versions differ (${versions}): let them be equal, or the VM can hang or crash`);
  }
  return pass(`the processor of ${hostId} is the same as that of ${sourceHostId}, which the VM sees itself (${mode})`);
}

/** What an emulated VM sees does not come from the host's processor. */
function emulatedCpu({ input, definition, offer }: Pair): Note {
  const { hostId, sourceHostId, sourceVersions } = input;
  const cpu = definition.cpuModel ?? definition.cpuMode ?? 'default';
  if (offer.cpu === 'incompatible') return incompatible(hostId, cpu, offer.cpuDetail);
  const known = sourceVersions !== null && sourceVersions.qemuVersion > 0 && offer.qemuVersion > 0;
  const isEqual = known && Math.floor(sourceVersions.qemuVersion / 1000) === Math.floor(offer.qemuVersion / 1000);
  if (isEqual) return pass(`${hostId} emulates the VM's processor (${cpu}) with the same version of QEMU`);
  const mayDiffer = definition.cpuMode === 'maximum' || definition.cpuMode === 'host-passthrough';
  if (known && mayDiffer) {
    const versions = `${dotted(sourceVersions.qemuVersion)} on ${sourceHostId}, ${dotted(offer.qemuVersion)} on ${hostId}`;
    return refuse(
      'cpu-incompatible',
      `the VM's processor (${cpu}) is what its QEMU can emulate, and they differ (${versions}): name a CPU model`,
    );
  }
  if (offer.cpu === 'unknown')
    return unknown(`${hostId} does not tell whether it can emulate the VM's processor (${cpu})${detail(offer.cpuDetail)}`);
  return pass(`${hostId} can emulate the VM's processor (${cpu})`);
}

function detail(text: string | null): string {
  return text === null || text.trim() === '' ? '' : ` (libvirt: ${text.trim()})`;
}

export function judgeMachine({ input, definition, offer }: Pair): readonly Note[] {
  const { hostId } = input;
  const notes: Note[] = [];
  if (offer.emulatorPresent === false) {
    const emulator = definition.emulator ?? 'the emulator';
    notes.push(refuse('machine-unsupported', `${emulator} is not on ${hostId}: install it there`));
  }
  for (const file of offer.filesMissing ?? []) {
    notes.push(refuse('machine-unsupported', `${file}, which the VM's emulator opens when it starts, is not on ${hostId}: put it there`));
  }
  return [...notes, machineNote(hostId, definition.machine, offer.machines)];
}

function machineNote(hostId: string, machine: string | null, machines: readonly string[]): Note {
  if (machine === null) return unknown(`the definition names no machine type, so ${hostId} is not asked for it`);
  if (machines.length === 0) return unknown(`${hostId} does not tell which machine types it knows (the VM has ${machine})`);
  if (machines.includes(machine)) return pass(`${hostId} knows machine type ${machine}`);
  const advice = 'upgrade its hypervisor, or start the VM anew with a machine type that both hosts know';
  return refuse('machine-unsupported', `${hostId} does not know machine type ${machine}: ${advice}`);
}
