import type { VmStanding } from '#core/model/recovery.ts';
import type { PostCopyState, VmId, VmState } from '#core/model/vm.ts';
import { Standstill } from './standstill.ts';

/** A virtual machine as its users see it, wherever it runs. */
export interface Guest {
  readonly vmId: VmId;
  readonly name: string;
  readonly vcpus: number;
  readonly memoryBytes: number;
  /** Its one network interface: MAC and IP address. */
  readonly mac: string;
  readonly address: string;
  /** CPU it would use on an idle host, in cores; never more than its virtual CPUs. */
  demandCores: number;
  /** Rate at which it writes while nothing slows it down, repetitions included. */
  dirtyBytesPerSecond: number;
  /** It writes to this part of its memory only. */
  readonly workingSetBytes: number;
  /** Through its network interface and its disks while it computes, half of it in each direction. */
  readonly netBytesPerSecond: number;
  readonly diskBytesPerSecond: number;
}

/** What one host has of a guest. During a migration there are two copies. */
export class Copy {
  readonly guest: Guest;
  /** Of its QEMU. */
  readonly standstill = new Standstill();
  state: VmState;
  residentBytes: number;
  /** A job of the hypervisor is at work on it. */
  jobActive: boolean;
  /** Null outside of post-copy; else this is one half of the guest's memory. */
  postCopy: PostCopyState | null = null;
  /** How it ended, as libvirt would say; counts while it is shut off. */
  ended: VmStanding = 'unknown';
  /** Share of its CPU time that auto-converge takes from it. */
  throttlePercent = 0;
  /** CPU received and CPU waited for, in core-seconds since this copy began. */
  cpuCoreSeconds = 0;
  delayCoreSeconds = 0;
  /** Both directions together. */
  netBytes = 0;
  diskBytes = 0;
  /** CPU of its process beside its virtual CPUs. */
  overheadCoreSeconds = 0;

  constructor(guest: Guest, state: 'running' | 'incoming' | 'shut-off') {
    this.guest = guest;
    this.state = state;
    this.residentBytes = state === 'running' ? guest.memoryBytes : 0;
    this.jobActive = state === 'incoming';
  }

  /** Whether the guest gets any CPU: libvirt calls one whose process stands still running, too. */
  get computes(): boolean {
    return this.state === 'running' && !this.standstill.paused;
  }

  /** What is left when its process has died. */
  die(ended: VmStanding = 'crashed'): void {
    this.standstill.end();
    this.state = 'shut-off';
    this.ended = ended;
    this.residentBytes = 0;
    this.jobActive = false;
    this.postCopy = null;
    this.throttlePercent = 0;
  }
}

/**
 * Distinct memory that is dirty after `seconds` more of writing, when `dirtyBytes` of it were before: writes that hit the working set
 * at random leave W * (1 - exp(-d * t / W)) of it written (the occupancy of W / page places after d * t / page throws).
 */
export function dirtyAfter(guest: Pick<Guest, 'workingSetBytes'>, dirtyBytes: number, bytesPerSecond: number, seconds: number): number {
  const { workingSetBytes } = guest;
  if (workingSetBytes <= 0) return dirtyBytes;
  return workingSetBytes - (workingSetBytes - dirtyBytes) * Math.exp((-bytesPerSecond * seconds) / workingSetBytes);
}
