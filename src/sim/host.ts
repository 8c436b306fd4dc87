import type { IpsecBackend } from '#core/model/channel.ts';
import type { HostOffer } from '#core/model/definition.ts';
import type { HostAddresses, HostId } from '#core/model/host.ts';
import type { VmId } from '#core/model/vm.ts';
import { Charon } from './charon.ts';
import { Daemon } from './daemon.ts';
import { type Copy } from './guest.ts';
import { ImageShelf } from './images.ts';
import { Lies } from './lies.ts';
import { PacketFilter } from './packet-filter.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface HostSpec {
  readonly hostId: HostId;
  readonly addresses: HostAddresses;
  readonly cpuCores: number;
  readonly memoryBytes: number;
  /** What one link carries inside ESP. */
  readonly linkBytesPerSecond: number;
  readonly ipsec: IpsecBackend;
  readonly mtuBytes: number;
  /** Machine types that its emulator knows. */
  readonly machines: readonly string[];
  /** Its processor, against that of any VM. */
  readonly cpu: HostOffer['cpu'];
  /** Names of its bridges. */
  readonly networks: readonly string[];
}

export interface HostWatcher {
  /** Something has changed in what runs on the host, or how fast. */
  readonly onChange: (host: SimHost) => void;
  /** The host has got a copy of the VM, or has none any more; `onChange` follows. */
  readonly onPlace: (vmId: VmId, host: SimHost, isHere: boolean) => void;
}

/** What a host itself needs, without any VM. */
export const ownUse = { cpuCores: 0.05, memoryBytes: 512 * 2 ** 20 };

/** Userspace ESP keeps one core busy at about 0.3 Gbit/s; what the kernel spends on ESP is not told apart. */
const userspaceBytesPerCoreSecond = 40 * 2 ** 20;

/** A machine: its CPU is shared by its running copies in proportion to what they ask for. */
export class SimHost {
  readonly spec: HostSpec;
  readonly libvirtd = new Daemon();
  readonly charon = new Charon();
  readonly filter = new PacketFilter();
  /** Images of VMs on its disk. */
  readonly images = new ImageShelf();
  readonly lies: Lies;
  readonly #time: VirtualTime;
  readonly #copies = new Map<VmId, Copy>();
  readonly #watcher: HostWatcher;
  #accruedAtMs = 0;
  #busyCoreSeconds = 0;
  #netBytes = 0;
  #diskBytes = 0;
  #ipsecCoreSeconds = 0;

  constructor(spec: HostSpec, time: VirtualTime, watcher: HostWatcher) {
    this.spec = spec;
    this.#time = time;
    this.#watcher = watcher;
    this.lies = new Lies(time);
    this.#accruedAtMs = time.elapsedMs;
  }

  get hostId(): HostId {
    return this.spec.hostId;
  }

  get copies(): readonly Copy[] {
    return [...this.#copies.values()];
  }

  copy(vmId: VmId): Copy | undefined {
    return this.#copies.get(vmId);
  }

  /** Every change of what runs here goes through this, so that CPU is counted up to it at the old rates. */
  change(act: () => void): void {
    this.accrue();
    act();
    this.#watcher.onChange(this);
  }

  add(copy: Copy): void {
    this.change(() => {
      this.#copies.set(copy.guest.vmId, copy);
      this.#watcher.onPlace(copy.guest.vmId, this, true);
    });
  }

  remove(copy: Copy): void {
    if (this.#copies.get(copy.guest.vmId) !== copy) return;
    this.change(() => {
      this.#copies.delete(copy.guest.vmId);
      this.#watcher.onPlace(copy.guest.vmId, this, false);
    });
  }

  /** CPU used since the beginning, in core-seconds. */
  get busyCoreSeconds(): number {
    this.accrue();
    return this.#busyCoreSeconds;
  }

  /** What its VMs have sent through its cards and disks since the beginning, both directions together. Copies of migrations are not in it. */
  get vmTraffic(): { readonly netBytes: number; readonly diskBytes: number } {
    this.accrue();
    return { netBytes: this.#netBytes, diskBytes: this.#diskBytes };
  }

  /** CPU that its IPsec daemon has used. Small against the VMs', so it is not part of the load. */
  get ipsecCoreSeconds(): number {
    return this.#ipsecCoreSeconds;
  }

  /** Whether packets of its SAs come and go at this moment: userspace ESP stands still with its daemon, the kernel's goes on. */
  get seals(): boolean {
    return this.spec.ipsec === 'kernel' || !this.charon.standstill.paused;
  }

  encrypt(bytes: number): void {
    if (this.spec.ipsec === 'libipsec') this.#ipsecCoreSeconds += bytes / userspaceBytesPerCoreSecond;
  }

  get memoryUsedBytes(): number {
    let sum = ownUse.memoryBytes;
    for (const copy of this.#copies.values()) sum += copy.residentBytes;
    return sum;
  }

  /** CPU in use at this moment, in cores. */
  get cpuUsedCores(): number {
    return Math.min(this.spec.cpuCores, this.#demandCores());
  }

  /** How much of what the copies and the host ask for they do not get, in percent: the kernel's `some` pressure, roughly. */
  get cpuPressurePercent(): number {
    return (1 - this.#share()) * 100;
  }

  /** Counts CPU up to now. */
  accrue(): void {
    const seconds = (this.#time.elapsedMs - this.#accruedAtMs) / 1000;
    if (seconds <= 0) return;
    this.#accruedAtMs = this.#time.elapsedMs;
    this.#busyCoreSeconds += this.cpuUsedCores * seconds;
    const share = this.#share();
    for (const copy of this.#copies.values()) {
      const demand = demandOf(copy);
      copy.cpuCoreSeconds += demand * share * seconds;
      copy.delayCoreSeconds += demand * (1 - share) * seconds;
      if (copy.computes) this.#addTraffic(copy, seconds);
    }
  }

  #addTraffic(copy: Copy, seconds: number): void {
    const { netBytesPerSecond, diskBytesPerSecond } = copy.guest;
    copy.netBytes += netBytesPerSecond * seconds;
    copy.diskBytes += diskBytesPerSecond * seconds;
    this.#netBytes += netBytesPerSecond * seconds;
    this.#diskBytes += diskBytesPerSecond * seconds;
  }

  #demandCores(): number {
    let sum = ownUse.cpuCores;
    for (const copy of this.#copies.values()) sum += demandOf(copy);
    return sum;
  }

  #share(): number {
    return Math.min(1, this.spec.cpuCores / this.#demandCores());
  }
}

function demandOf(copy: Copy): number {
  if (!copy.computes) return 0;
  return Math.min(copy.guest.demandCores, copy.guest.vcpus) * (1 - copy.throttlePercent / 100);
}
