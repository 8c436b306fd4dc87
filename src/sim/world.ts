/** Everything outside Plimsoll: machines, guests, the network between them, and what flows there. */
import type { HostId } from '#core/model/host.ts';
import type { VmStanding } from '#core/model/recovery.ts';
import type { VmId } from '#core/model/vm.ts';
import type { Random } from '#core/ports.ts';
import { type Changed, Changes } from './changes.ts';
import { mirrored, type SaEnd, type SaSpis } from './charon.ts';
import { type Copy, type Guest } from './guest.ts';
import { SimHost, type HostSpec, type HostWatcher } from './host.ts';
import type { MigrationJob, Stage } from './migration-job.ts';
import { SimDisk } from './disk.ts';
import { Network } from './network.ts';
import { NodeClock } from './node-clock.ts';
import { PacketSizes, type PathSpec } from './packet-sizes.ts';
import { hash } from '#core/seeded.ts';
import { Streams } from './random.ts';
import type { VirtualTime } from './virtual-time.ts';

/** How a stretch of a migration stream fared. */
export type Carriage = 'carried' | 'unreachable' | 'dropped';

const packetBytes = 1400;
/** ESP in UDP in tunnel mode: outer IPv4 20, UDP 8, ESP header 8, IV 8, padding and trailer about 4, ICV 16. */
const espOverheadBytes = 64;

export class World {
  readonly time: VirtualTime;
  readonly network: Network;
  readonly guests: readonly Guest[];
  readonly hosts: readonly SimHost[];
  readonly jobs = new Set<MigrationJob>();
  /** Post-copies that have lost their connection: nobody is at work on them. */
  readonly broken = new Set<MigrationJob>();
  /** VMs that died with a process that held them, or half of their memory: through no fault of those who move them. */
  readonly casualties = new Set<VmId>();
  readonly sizes: PacketSizes;
  readonly #streams: Streams;
  readonly #hostsById: ReadonlyMap<HostId, SimHost>;
  readonly #guestsByName: ReadonlyMap<string, Guest>;
  readonly #guestsById: ReadonlyMap<VmId, Guest>;
  /** Which hosts have a copy of a VM, in the order of the hosts. */
  readonly #places = new Map<VmId, readonly SimHost[]>();
  readonly #changes = new Changes();
  readonly #clocks = new Map<string, NodeClock>();
  readonly #disks = new Map<string, SimDisk>();
  readonly #changeListeners = new Set<() => void>();
  readonly #actListeners: ((sentence: string) => void)[] = [];
  readonly #stageListeners: ((job: MigrationJob, stage: Stage) => void)[] = [];
  #plainBytes = 0;
  #exemptBytes = 0;
  #revision = 0;

  constructor(
    time: VirtualTime,
    hosts: readonly HostSpec[],
    guests: readonly Guest[],
    paths: readonly PathSpec[] = [],
    streams: Streams = new Streams(0),
  ) {
    this.time = time;
    this.#streams = streams;
    this.network = new Network(streams);
    this.sizes = new PacketSizes(new Map(hosts.map(({ hostId, mtuBytes }) => [hostId, mtuBytes])), paths);
    const watcher: HostWatcher = {
      onChange: (host) => {
        this.#changes.addHost(host);
        this.#tellChange();
      },
      onPlace: (vmId, host, isHere) => this.#place(vmId, host, isHere),
    };
    this.hosts = hosts.map((spec) => new SimHost(spec, time, watcher));
    this.guests = guests;
    this.#hostsById = new Map(this.hosts.map((host) => [host.hostId, host]));
    this.#guestsByName = new Map(guests.map((guest) => [guest.name, guest]));
    this.#guestsById = new Map(guests.map((guest) => [guest.vmId, guest]));
  }

  /** Grows with each change, so that a watcher can tell whether there is anything new to look at. */
  get revision(): number {
    return this.#revision;
  }

  /** Something has changed, and nobody says what. */
  touch(): void {
    this.#changes.addAll();
    this.#tellChange();
  }

  /** Something about this VM has changed. */
  touchVm(vmId: VmId): void {
    this.#changes.addVm(vmId);
    this.#tellChange();
  }

  /** What has changed since the last call: for one caller, who looks at it. */
  takeChanges(): Changed {
    return this.#changes.take();
  }

  #place(vmId: VmId, host: SimHost, isHere: boolean): void {
    const others = (this.#places.get(vmId) ?? []).filter((other) => other !== host);
    const all = isHere ? [...others, host] : others;
    this.#places.set(vmId, all.length > 1 ? this.hosts.filter((one) => all.includes(one)) : all);
    this.#changes.addVm(vmId);
  }

  #tellChange(): void {
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
    const host = this.#hostsById.get(hostId);
    if (!host) throw new RangeError(`the cluster has no host ${hostId}`);
    return host;
  }

  guest(name: string): Guest {
    const guest = this.#guestsByName.get(name);
    if (!guest) throw new RangeError(`the cluster has no VM ${name}`);
    return guest;
  }

  /** Of a host or of the controller. */
  clock(node: string): NodeClock {
    return made(this.#clocks, node, () => new NodeClock(this.time));
  }

  /** Of a host or of the controller. */
  disk(node: string): SimDisk {
    return made(this.#disks, node, () => new SimDisk(this.time, this.#streams.stream(`disk ${node}`)));
  }

  /** What one entity draws for faults. */
  stream(entity: string): Random {
    return this.#streams.stream(entity);
  }

  guestOf(vmId: VmId): Guest | undefined {
    return this.#guestsById.get(vmId);
  }

  copiesOf(vmId: VmId): readonly { readonly host: SimHost; readonly copy: Copy }[] {
    return (this.#places.get(vmId) ?? []).flatMap((host) => {
      const copy = host.copy(vmId);
      return copy ? [{ host, copy }] : [];
    });
  }

  jobOf(vmId: VmId): MigrationJob | undefined {
    for (const job of this.jobs) if (job.guest.vmId === vmId) return job;
    return undefined;
  }

  brokenJobOf(vmId: VmId): MigrationJob | undefined {
    for (const job of this.broken) if (job.guest.vmId === vmId) return job;
    return undefined;
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
    this.touchVm(job.guest.vmId);
    for (const listener of this.#stageListeners) listener(job, stage);
  }

  /**
   * Bytes of a migration stream from one host to an address of another: inside ESP when the source has an SA to that address,
   * else in plain text unless a guard on either side drops them. A stream needs its acknowledgements: with one direction cut it stands still.
   */
  carry(from: SimHost, to: SimHost, bytes: number, address: string = to.spec.addresses.protected): Carriage {
    if (!this.network.reaches(from.hostId, to.hostId)) return 'unreachable';
    const near = from.charon.sa(to.hostId);
    if (near?.peer.peerAddresses.protected !== address) return this.#carryInPlain(from, to, bytes);
    if (!from.seals || !to.seals) return 'unreachable';
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
    this.#tellChange();
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
    if (!pair || !one.charon.runs || !other.charon.runs || !this.network.reaches(one.hostId, other.hostId)) return false;
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

function made<Value>(values: Map<string, Value>, key: string, make: () => Value): Value {
  const value = values.get(key) ?? make();
  values.set(key, value);
  return value;
}

export interface SaPair {
  readonly near: SaEnd;
  readonly far: SaEnd;
}

/** Counts packets that crossed in one direction at both ends. */
export function count(sa: SaPair, packets: number, bytes: number): void {
  sa.near.count('Out', packets, bytes);
  sa.far.count('In', packets, bytes);
}
