/** VMs as files: what libvirt saves and restores, and what the disks of two hosts keep of it while their agents come and go. */
import type { Progress } from '#core/model/migration.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import type { ImageDigest, ImageOffer, IncomingImages, KeptImages, RestoreVerdict } from '#core/transports.ts';
import { noSpace } from './disk.ts';
import { Copy, type Guest } from './guest.ts';
import type { SimHost } from './host.ts';
import type { World } from './world.ts';

const callMs = 2;
const callDeadlineMs = 10_000;
const stretchMs = 250;
/** What a disk writes and reads. */
const diskBytesPerSecond = 500 * 2 ** 20;

/** What is on a host's disk. */
export class ImageShelf {
  /** Saved here and not forgotten. */
  readonly kept = new Map<VmId, { readonly guest: Guest; standing: 'kept' | 'given' }>();
  /** Restores that an agent has begun and nobody has ended. */
  readonly begun = new Set<VmId>();
}

/** The source's end of one agent's process. */
export class SimKeptImages implements KeptImages {
  readonly #world: World;
  readonly #host: SimHost;

  constructor(world: World, host: SimHost) {
    this.#world = world;
    this.#host = host;
  }

  standings(): Promise<ReadonlyMap<VmId, 'kept' | 'given'>> {
    return Promise.resolve(new Map([...this.#host.images.kept].map(([vmId, { standing }]) => [vmId, standing])));
  }

  async save(vmId: VmId, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<void> {
    await this.#call(signal);
    const copy = this.#host.copy(vmId);
    if (copy?.state !== 'running') throw new PlimsollError('vm-not-running', `VM ${vmId} does not run on ${this.#host.hostId}`);
    this.#host.images.kept.set(vmId, { guest: copy.guest, standing: 'kept' });
    this.#host.change(() => {
      [copy.state, copy.jobActive] = ['paused', true];
    });
    const back = () => {
      this.#host.change(() => {
        [copy.state, copy.jobActive] = ['running', false];
      });
    };
    let written = 0;
    for (; written < copy.guest.memoryBytes; written += (diskBytesPerSecond * stretchMs) / 1000) {
      onProgress(progressOf(copy.guest, written));
      await this.#world.time.sleep(stretchMs);
      mustBeThere(this.#host, copy, 'saved');
      const isFull = this.#world.disk(this.#host.hostId).condition === 'full';
      if (!signal.aborted && this.#host.libvirtd.alive && !isFull) continue;
      back();
      if (isFull && !signal.aborted) throw new PlimsollError('hypervisor-failed', 'No space left on device');
      throw new PlimsollError(signal.aborted ? 'aborted' : 'hypervisor-unavailable', 'saving has ended; the VM runs here');
    }
    onProgress(progressOf(copy.guest, copy.guest.memoryBytes));
    this.#host.remove(copy);
    this.#host.add(new Copy(copy.guest, 'shut-off'));
    this.#world.act(`${copy.guest.name}: saved on ${this.#host.hostId}`);
  }

  async send(vmId: VmId, offer: ImageOffer, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<ImageDigest> {
    const kept = this.#host.images.kept.get(vmId);
    const peer = this.#world.hosts.find(({ spec: { addresses } }) => [addresses.underlay, addresses.protected].includes(offer.address));
    if (!kept || !peer) throw new PlimsollError('internal', `there is no image of ${vmId} to send, or nobody to send it to`);
    const { memoryBytes } = kept.guest;
    const linkMax = this.#world.network.link(this.#host.hostId, peer.hostId)?.streamBytesPerSecond ?? Number.POSITIVE_INFINITY;
    const bytesPerSecond = Math.min(this.#host.spec.linkBytesPerSecond, peer.spec.linkBytesPerSecond, linkMax);
    const stretchBytes = (bytesPerSecond * stretchMs) / 1000;
    for (let sent = 0; sent < memoryBytes; sent += stretchBytes) {
      onBytes(sent);
      await this.#world.time.sleep(stretchMs, signal);
      if (!this.#crosses(peer, Math.min(stretchBytes, memoryBytes - sent), offer.address))
        throw new PlimsollError('channel-failed', 'the sealed image could not be sent: no progress');
    }
    onBytes(memoryBytes);
    return { sha256: 'ab'.repeat(32), bytes: memoryBytes };
  }

  /** To the address inside the channel it goes through IPsec; its seal is what protects it to any other. */
  #crosses(peer: SimHost, bytes: number, address: string): boolean {
    if (address === peer.spec.addresses.protected) return this.#world.carry(this.#host, peer, bytes, address) === 'carried';
    return this.#world.network.reaches(this.#host.hostId, peer.hostId);
  }

  async giveAway(vmId: VmId, signal: AbortSignal): Promise<void> {
    await this.#call(signal);
    const copy = this.#host.copy(vmId);
    const kept = this.#host.images.kept.get(vmId);
    if (copy?.state !== 'shut-off' || !kept) throw new PlimsollError('vm-busy', 'the VM was started here: it stays');
    this.#host.remove(copy);
    kept.standing = 'given';
    this.#world.act(`${kept.guest.name}: given away by ${this.#host.hostId}`);
    await this.#world.time.sleep(callMs);
  }

  async takeBack(vmId: VmId, signal: AbortSignal): Promise<void> {
    await this.#call(signal);
    const kept = this.#host.images.kept.get(vmId);
    if (!kept) throw new PlimsollError('vm-unknown', `VM ${vmId} is not on this host and was not given away by it`);
    const copy = this.#host.copy(vmId);
    if (copy === undefined || copy.state === 'shut-off') {
      if (copy !== undefined) this.#host.remove(copy);
      await start(this.#world, this.#host, kept.guest);
      this.#world.act(`${kept.guest.name}: started on ${this.#host.hostId} again, from its image`);
    } else if (copy.jobActive) throw new PlimsollError('vm-busy', 'libvirt still works on the VM');
    this.#host.images.kept.delete(vmId);
  }

  async forget(vmId: VmId, signal: AbortSignal): Promise<void> {
    await this.#world.time.sleep(callMs, signal);
    this.#host.images.kept.delete(vmId);
  }

  async #call(signal: AbortSignal): Promise<void> {
    await this.#world.time.sleep(callMs, signal);
    await this.#host.libvirtd.standstill.over(this.#world.time, callDeadlineMs, signal);
    if (!this.#host.libvirtd.runs) throw new PlimsollError('hypervisor-unavailable', 'libvirtd does not answer: start it');
  }
}

/** The destination's end of one agent's process: what it was offered dies with it. */
export class SimIncomingImages implements IncomingImages {
  readonly #world: World;
  readonly #host: SimHost;
  readonly #stages = new Map<VmId, 'offered' | 'opened' | 'restoring'>();

  constructor(world: World, host: SimHost) {
    this.#world = world;
    this.#host = host;
  }

  sweep(): Promise<void> {
    return Promise.resolve();
  }

  standing(vmId: VmId): Promise<'offered' | 'opened' | 'restoring' | 'begun' | null> {
    const stage = this.#stages.get(vmId) ?? null;
    return Promise.resolve(stage !== 'restoring' && this.#host.images.begun.has(vmId) ? 'begun' : stage);
  }

  async offer(vmId: VmId, signal: AbortSignal, at: string | null = null): Promise<ImageOffer> {
    const { underlay, protected: inside } = this.#host.spec.addresses;
    const address = at ?? underlay;
    if (address !== underlay && address !== inside)
      throw new PlimsollError('channel-failed', `this host does not have the address ${address}`);
    await this.discard(vmId, signal);
    if (this.#host.copy(vmId) !== undefined) throw new PlimsollError('destination-has-vm', 'the destination has this VM already');
    this.#stages.set(vmId, 'offered');
    return { address, port: 49_220, token: 'ab'.repeat(32), recipient: `age1${'q'.repeat(58)}` };
  }

  async open(vmId: VmId, sent: ImageDigest, signal: AbortSignal): Promise<void> {
    if (!this.#stages.has(vmId)) throw new PlimsollError('channel-failed', 'this host expects no image of this VM');
    if (this.#world.disk(this.#host.hostId).condition === 'full') throw new Error(noSpace);
    await this.#world.time.sleep((sent.bytes / diskBytesPerSecond) * 1000, signal);
    this.#stages.set(vmId, 'opened');
  }

  async restore(vmId: VmId, signal: AbortSignal): Promise<RestoreVerdict> {
    const { images } = this.#host;
    const isBegun = images.begun.has(vmId);
    const isOpened = this.#stages.get(vmId) === 'opened';
    try {
      const guest = this.#world.guests.find((candidate) => candidate.vmId === vmId);
      if (!isOpened || isBegun || !guest) throw new PlimsollError('channel-failed', 'this host has no opened image of this VM');
      this.#stages.set(vmId, 'restoring');
      images.begun.add(vmId);
      await this.#world.time.sleep(callMs, signal);
      await start(this.#world, this.#host, guest);
      this.#world.act(`${guest.name}: started on ${this.#host.hostId} from its image`);
    } catch (error) {
      if (this.#stages.get(vmId) === 'restoring') this.#stages.set(vmId, 'opened');
      const refusal = refusalOf(error);
      const copy = this.#host.copy(vmId);
      if (copy === undefined ? isBegun : copy.state !== 'running') throw new PlimsollError('truth-unknown', refusal.message);
      if (copy === undefined) return this.#ended(vmId, { kind: 'refused', refusal });
    }
    return this.#ended(vmId, { kind: 'running' });
  }

  async discard(vmId: VmId, signal: AbortSignal): Promise<void> {
    await this.#world.time.sleep(callMs, signal);
    if (this.#stages.get(vmId) === 'restoring') throw new PlimsollError('vm-busy', 'this host is starting the VM from its image');
    this.#ended(vmId, null);
  }

  #ended<Verdict>(vmId: VmId, verdict: Verdict): Verdict {
    this.#stages.delete(vmId);
    this.#host.images.begun.delete(vmId);
    return verdict;
  }
}

/** libvirt's own work: it goes on when its caller dies, and fails with its daemon. */
async function start(world: World, host: SimHost, guest: Guest): Promise<void> {
  if (!host.libvirtd.alive) throw new PlimsollError('hypervisor-unavailable', 'libvirtd does not answer: start it');
  const copy = new Copy(guest, 'incoming');
  host.add(copy);
  await world.time.sleep((guest.memoryBytes / diskBytesPerSecond) * 1000);
  mustBeThere(host, copy, 'restored');
  host.change(() => {
    [copy.state, copy.jobActive, copy.residentBytes] = ['running', false, guest.memoryBytes];
  });
}

/** Its host may have lost its power, or somebody may have ended its process: what libvirt was at work on is not alive again for that. */
function mustBeThere(host: SimHost, copy: Copy, work: 'saved' | 'restored'): void {
  if (host.copy(copy.guest.vmId) === copy && copy.state !== 'shut-off') return;
  throw new PlimsollError('hypervisor-failed', `${copy.guest.name} has ended while it was ${work}`);
}

function progressOf(guest: Guest, written: number): Progress {
  return {
    elapsedMs: (written / diskBytesPerSecond) * 1000,
    memoryTotalBytes: guest.memoryBytes,
    memoryRemainingBytes: Math.max(0, guest.memoryBytes - written),
    memorySentBytes: written,
    bandwidthBytesPerSecond: diskBytesPerSecond,
    dirtyPagesPerSecond: 0,
    pageSizeBytes: 4096,
    iteration: 1,
    expectedDowntimeMs: null,
    stage: 'stopped',
    throttlePercent: null,
  };
}
