/** Everything outside Plimsoll: machines, guests, the network between them, and what flows there. */
import type { HostId } from '#core/model/host.ts';
import type { VmId } from '#core/model/vm.ts';
import { type SaEnd } from './charon.ts';
import { type Copy, type Guest } from './guest.ts';
import { SimHost, type HostSpec } from './host.ts';
import type { MigrationJob, Stage } from './migration-job.ts';
import { Network } from './network.ts';
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
  readonly #actListeners: ((sentence: string) => void)[] = [];
  readonly #stageListeners: ((job: MigrationJob, stage: Stage) => void)[] = [];
  #plainBytes = 0;
  #revision = 0;

  constructor(time: VirtualTime, hosts: readonly HostSpec[], guests: readonly Guest[]) {
    this.time = time;
    this.hosts = hosts.map((spec) => new SimHost(spec, time, () => this.touch()));
    this.guests = guests;
  }

  /** Grows with each change, so that a watcher can tell whether there is anything new to look at. */
  get revision(): number {
    return this.#revision;
  }

  touch(): void {
    this.#revision += 1;
  }

  /** Bytes of VM memory that a bystander on the network could read. */
  get plainBytes(): number {
    return this.#plainBytes;
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
   * Bytes of a migration stream from one host to another: inside ESP when both ends have the same SA, else
   * in plain text unless a guard on either side drops them.
   */
  carry(from: SimHost, to: SimHost, bytes: number): Carriage {
    if (!this.network.reaches(from.hostId, to.hostId)) return 'unreachable';
    const packets = Math.ceil(bytes / packetBytes);
    const sa = this.saPair(from, to);
    if (sa) {
      count(sa, packets, Math.round(bytes) + packets * espOverheadBytes);
      return 'carried';
    }
    if (from.filter.drops) {
      from.filter.dropOut(1);
      return 'dropped';
    }
    if (to.filter.drops) {
      to.filter.dropIn(1);
      return 'dropped';
    }
    this.#plainBytes += bytes;
    this.touch();
    return 'carried';
  }

  /** The SA that both ends hold; undefined when one of them has none or another one. */
  saPair(from: SimHost, to: SimHost): { readonly near: SaEnd; readonly far: SaEnd } | undefined {
    const near = from.charon.sa(to.hostId);
    const far = to.charon.sas.find((sa) => sa.peerHostId === from.hostId && sa.spiIn === near?.spiOut);
    return near && far ? { near, far } : undefined;
  }
}

/** Counts packets that crossed in one direction at both ends. */
export function count(sa: { readonly near: SaEnd; readonly far: SaEnd }, packets: number, bytes: number): void {
  sa.near.counters.packetsOut += packets;
  sa.near.counters.bytesOut += bytes;
  sa.far.counters.packetsIn += packets;
  sa.far.counters.bytesIn += bytes;
}
