/** Everything outside Plimsoll: machines, guests, the network between them, and what flows there. */
import type { HostId } from '#core/model/host.ts';
import type { VmStanding } from '#core/model/recovery.ts';
import type { VmId } from '#core/model/vm.ts';
import { mirrored, type SaEnd, type SaSpis } from './charon.ts';
import { type Copy, type Guest } from './guest.ts';
import { SimHost, type HostSpec } from './host.ts';
import type { MigrationJob, Stage } from './migration-job.ts';
import { Network } from './network.ts';
import { PacketSizes, type PathSpec } from './packet-sizes.ts';
import { hash } from './random.ts';
import type { VirtualTime } from './virtual-time.ts';

/** How a stretch of a migration stream fared. */
export type Carriage = 'carried' | 'unreachable' | 'dropped';

const packetBytes = 1400;
/** ESP in UDP in tunnel mode: outer IPv4 20, UDP 8, ESP header 8, IV 8, padding and trailer about 4, ICV 16. */
const espOverheadBytes = 64;

export class World {
  readonly time: VirtualTime;
  readonly network = new Network();
  readonly guests: readonly Guest[];
  readonly hosts: readonly SimHost[];
  readonly jobs = new Set<MigrationJob>();
  /** Post-copies that have lost their connection: nobody is at work on them. */
  readonly broken = new Set<MigrationJob>();
  /** VMs that died with a process that held them, or half of their memory: through no fault of those who move them. */
  readonly casualties = new Set<VmId>();
  readonly sizes: PacketSizes;
  readonly #changeListeners = new Set<() => void>();
  readonly #actListeners: ((sentence: string) => void)[] = [];
  readonly #stageListeners: ((job: MigrationJob, stage: Stage) => void)[] = [];
  #plainBytes = 0;
  #exemptBytes = 0;
  #revision = 0;

  constructor(time: VirtualTime, hosts: readonly HostSpec[], guests: readonly Guest[], paths: readonly PathSpec[] = []) {
    this.time = time;
    this.sizes = new PacketSizes(new Map(hosts.map(({ hostId, mtuBytes }) => [hostId, mtuBytes])), paths);
    this.hosts = hosts.map((spec) => new SimHost(spec, time, () => this.touch()));
    this.guests = guests;
  }

  /** Grows with each change, so that a watcher can tell whether there is anything new to look at. */
  get revision(): number {
    return this.#revision;
  }

  touch(): void {
    this.#revision += 1;
    for (const listener of Array.from(this.#changeListeners)) listener();
  }

  /** Called after each change of what runs where, or of who reaches whom. Returns the way to stop. */
  onChange(listener: () => void): () => void {
    this.#changeListeners.add(listener);
    const unwatch = this.network.onChange(listener);
    return () => {
      this.#changeListeners.delete(listener);
      unwatch();
    };
  }

  /** Bytes of VM memory that a bystander on the network could read, and nobody has allowed. */
  get plainBytes(): number {
    return this.#plainBytes;
  }

  /** The same, where the guards of both ends had been told to let them through. */
  get exemptBytes(): number {
    return this.#exemptBytes;
  }

  host(hostId: HostId): SimHost {
    const host = this.hosts.find((candidate) => candidate.hostId === hostId);
    if (!host) throw new RangeError(`the cluster has no host ${hostId}`);
    return host;
  }

  guest(name: string): Guest {
    const guest = this.guests.find((candidate) => candidate.name === name);
    if (!guest) throw new RangeError(`the cluster has no VM ${name}`);
    return guest;
  }

  copiesOf(vmId: VmId): readonly { readonly host: SimHost; readonly copy: Copy }[] {
    return this.hosts.flatMap((host) => {
      const copy = host.copy(vmId);
      return copy ? [{ host, copy }] : [];
    });
  }

  jobOf(vmId: VmId): MigrationJob | undefined {
    return [...this.jobs].find((job) => job.guest.vmId === vmId);
  }

  brokenJobOf(vmId: VmId): MigrationJob | undefined {
    return [...this.broken].find((job) => job.guest.vmId === vmId);
  }

  /** The process of a copy dies, and with it a migration that it takes part in. Nobody can run the VM but by starting it anew. */
  killCopy(host: SimHost, copy: Copy, ended: VmStanding): void {
    const { vmId } = copy.guest;
    const job = this.jobOf(vmId) ?? this.brokenJobOf(vmId);
    const isLast = !this.copiesOf(vmId).some((other) => other.copy !== copy && other.copy.state === 'running');
    if (isLast) this.casualties.add(vmId);
    const death = job?.source === host ? job.killSource() : job?.destination === host ? job.killDestination() : undefined;
    if (death === 'fatal') this.casualties.add(vmId);
    if (host.copy(vmId) === copy && copy.state !== 'shut-off') host.change(() => copy.die(ended));
  }

  /** What a hypervisor did to a copy outside a migration job. */
  onAct(listener: (sentence: string) => void): void {
    this.#actListeners.push(listener);
  }

  act(sentence: string): void {
    for (const listener of this.#actListeners) listener(sentence);
  }

  onStage(listener: (job: MigrationJob, stage: Stage) => void): void {
    this.#stageListeners.push(listener);
  }

  enterStage(job: MigrationJob, stage: Stage): void {
    this.touch();
    for (const listener of this.#stageListeners) listener(job, stage);
  }

  /**
   * Bytes of a migration stream from one host to an address of another: inside ESP when the source has an SA to that address,
   * else in plain text unless a guard on either side drops them.
   */
  carry(from: SimHost, to: SimHost, bytes: number, address: string = to.spec.addresses.protected): Carriage {
    if (!this.network.reaches(from.hostId, to.hostId)) return 'unreachable';
    const near = from.charon.sa(to.hostId);
    if (near?.peer.peerAddresses.protected !== address) return this.#carryInPlain(from, to, bytes);
    const packets = Math.ceil(bytes / packetBytes);
    const carriedBytes = Math.round(bytes) + packets * espOverheadBytes;
    for (const host of [from, to]) host.encrypt(carriedBytes);
    const pair = this.saPair(from, to);
    if (!pair) {
      near.count('Out', packets, carriedBytes);
      to.charon.unknownSpiPackets += packets;
      return 'dropped';
    }
    count(pair, packets, carriedBytes);
    if (near.counters.bytesOut >= near.peer.profile.rekeyBytes) this.rekey(from, to);
    return 'carried';
  }

  #carryInPlain(from: SimHost, to: SimHost, bytes: number): Carriage {
    const leaves = from.filter.exempts(to.spec.addresses.underlay, this.time.nowMs);
    const enters = to.filter.exempts(from.spec.addresses.underlay, this.time.nowMs);
    if (from.filter.drops && !leaves) {
      from.filter.dropOut(1);
      return 'dropped';
    }
    if (to.filter.drops && !enters) {
      to.filter.dropIn(1);
      return 'dropped';
    }
    if (leaves && enters) this.#exemptBytes += bytes;
    else this.#plainBytes += bytes;
    this.touch();
    return 'carried';
  }

  /** The SA that both ends hold; undefined when one of them has none or another one. */
  saPair(from: SimHost, to: SimHost): SaPair | undefined {
    const near = from.charon.sa(to.hostId);
    const far = to.charon.sas.find((sa) => sa.peerHostId === from.hostId && sa.counters.spiIn === near?.counters.spiOut);
    return near && far ? { near, far } : undefined;
  }

  /** New keys for the SA between two hosts; false when they do not have the same one, or cannot speak with each other. */
  rekey(one: SimHost, other: SimHost): boolean {
    const pair = this.saPair(one, other);
    if (!pair || !one.charon.alive || !other.charon.alive || !this.network.reaches(one.hostId, other.hostId)) return false;
    const uniqueId = String(Math.max(this.time.elapsedMs, Number(pair.near.childUniqueId) + 1));
    const { spiIn, spiOut } = pair.near.counters;
    const spi = (old: string) => hash(`${old} ${uniqueId}`, 0x811c_9dc5).toString(16).padStart(8, '0');
    const outer = pair.near.outer && { spiIn: spi(pair.near.outer.spiIn), spiOut: spi(pair.near.outer.spiOut) };
    const spis: SaSpis = { inner: { spiIn: spi(spiIn), spiOut: spi(spiOut) }, outer };
    pair.near.replace(uniqueId, spis);
    pair.far.replace(uniqueId, mirrored(spis));
    this.act(`SA between ${one.hostId} and ${other.hostId} rekeyed`);
    return true;
  }
}

interface SaPair {
  readonly near: SaEnd;
  readonly far: SaEnd;
}

/** Counts packets that crossed in one direction at both ends. */
export function count(sa: SaPair, packets: number, bytes: number): void {
  sa.near.count('Out', packets, bytes);
  sa.far.count('In', packets, bytes);
}
