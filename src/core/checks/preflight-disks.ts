import type { DiskReach, VmDisk } from '#core/model/definition.ts';
import { dotted, isQemu } from './preflight-hypervisor.ts';
import { few, pass, refuse, unknown, warn, type Note } from './preflight-note.ts';
import type { Pair } from './preflight-input.ts';

/** `drop-cache` of BlockdevOptionsFile: since 4.0 (qapi/block-core.json). */
const dropCacheVersionMin = 4_000_000;

const removable: ReadonlySet<string> = new Set(['cdrom', 'floppy']);

/** A disk with something in it that the VM can write. */
function isWritten(disk: VmDisk): boolean {
  return disk.source !== null && !disk.readOnly;
}

export function judgeDisks(pair: Pair): readonly Note[] {
  const disks = pair.definition.disks.filter((disk) => disk.source !== null);
  if (disks.length === 0) return [pass(`the VM has no disk that ${pair.input.hostId} must reach`)];
  return disks.flatMap((disk) => {
    const reach = pair.offer.disks.find((other) => other.target === disk.target);
    const notes = reachNotes(pair, disk, reach);
    return notes.some((note) => note.verdict === 'refuse') ? notes : [...notes, ...cacheNotes(pair, disk)];
  });
}

function reachNotes({ input }: Pair, disk: VmDisk, reach: DiskReach | undefined): readonly Note[] {
  const { hostId } = input;
  const name = nameOf(disk);
  const why = reach?.why ?? null;
  const because = why === null || why.trim() === '' ? '' : ` (${why.trim()})`;
  if (reach === undefined || reach.reachable === null)
    return [unknown(`whether ${hostId} reaches ${name} could not be looked at${because}`)];
  if (!reach.reachable) return [missing(hostId, disk, because)];
  if (disk.kind === 'block' && isWritten(disk)) {
    // libvirt takes every block device for shared; a volume group of the same name on both hosts would be two disks.
    return [warn(`${name} is a block device, and ${hostId} has one of this name: make sure that it is the same storage, not a local disk`)];
  }
  return [pass(`${hostId} reaches ${name}`)];
}

function missing(hostId: string, disk: VmDisk, because: string): Note {
  const name = nameOf(disk);
  if (removable.has(disk.device ?? 'disk')) {
    if (disk.startupPolicy === 'optional' || disk.startupPolicy === 'requisite') {
      return warn(`${hostId} does not have ${name}${because}: its startup policy lets the VM arrive there with an empty drive`);
    }
    return refuse('disk-unreachable', `${hostId} does not have ${name}${because}: eject it, or put it on storage that both hosts share`);
  }
  if (disk.kind === 'network') {
    return refuse('disk-unreachable', `${hostId} does not reach ${name}${because}: mend its way to the storage`);
  }
  return refuse('disk-not-shared', `${hostId} does not see ${name}${because}: move it to storage that both hosts share`);
}

/**
 * The rule of libvirt (qemuMigrationSrcIsSafe): a disk that is not read-only, not shareable and not a network disk may move with
 * `none` and `directsync`, and with any other cache mode only where QEMU drops the host's cache on arrival. `unsafe` is refused
 * in any case, which libvirt does not do: QEMU then leaves out the flush that brings the last writes to the storage.
 */
function cacheNotes({ input, offer, ...pair }: Pair, disk: VmDisk): readonly Note[] {
  const isLocalCache = isWritten(disk) && disk.kind !== 'network' && disk.cache !== 'none' && disk.cache !== 'directsync';
  if (!isQemu(pair) || !isLocalCache) return [];
  const { hostId, sourceHostId, sourceVersions } = input;
  const mode = disk.cache ?? "the hypervisor's default";
  const what = `${nameOf(disk)} has cache mode ${mode}`;
  const advice = "set cache='none' and start the VM anew";
  if (disk.cache === 'unsafe') {
    return [
      refuse('disk-not-shared', `${what}: its last writes stay in the memory of ${sourceHostId} and may never reach ${hostId}: ${advice}`),
    ];
  }
  if (disk.shareable) return [];
  const oldest = Math.min(offer.qemuVersion, sourceVersions?.qemuVersion ?? offer.qemuVersion);
  if (oldest > 0 && oldest < dropCacheVersionMin) {
    const why = `QEMU ${dotted(oldest)} does not drop old contents from the cache of ${hostId}, which corrupts data`;
    return [refuse('disk-not-shared', `${what}, and ${why}: ${advice}, or upgrade`)];
  }
  return [warn(`${what}: it is safe only as far as QEMU gets old contents out of the cache of ${hostId}: better ${advice}`)];
}

/** Whether anything stops the VM from being started twice, on the source and on the destination. */
export function judgeLocks({ input, definition, offer }: Pair): Note {
  const { hostId } = input;
  if (offer.leasesMissing.length > 0) {
    const leases = few(offer.leasesMissing);
    return refuse(
      'lock-missing',
      `${hostId} does not have lease ${leases}: mount the storage of its lockspace, and create the lease's file`,
    );
  }
  if (definition.leases.length > 0) {
    const leases = few(definition.leases.map((lease) => `${lease.lockspace}/${lease.key}`));
    return pass(`the VM holds lease ${leases}, which ${hostId} has too`);
  }
  const written = definition.disks.filter(isWritten);
  // QEMU locks an image that is not shareable, and so the whole VM (docs/system/qemu-block-drivers, disk image file locking).
  const locked = written.find((disk) => disk.kind === 'file' && !disk.shareable);
  const danger = `nothing stops this VM from being started twice, on ${input.sourceHostId} and on ${hostId}: give it a lease`;
  if (locked !== undefined) return pass(`QEMU locks the image of ${nameOf(locked)}, so the VM is not started twice, on ${hostId} either`);
  return warn(
    written.length === 0 ? `without a disk that could be locked ${danger}` : `no lock protects ${few(written.map(nameOf))}: ${danger}`,
  );
}

function nameOf(disk: VmDisk): string {
  return `${removable.has(disk.device ?? 'disk') ? 'the medium in' : 'disk'} ${disk.target} (${disk.source ?? 'empty'})`;
}
