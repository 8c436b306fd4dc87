import type { VmId, VmState } from '#core/model/vm.ts';

/** A virtual machine as its users see it, wherever it runs. */
export interface Guest {
  readonly vmId: VmId;
  readonly name: string;
  readonly vcpus: number;
  readonly memoryBytes: number;
  /** CPU it would use on an idle host, in cores; never more than its virtual CPUs. */
  demandCores: number;
  /** Rate at which it writes to memory that it had not written since the last copy of it. */
  dirtyBytesPerSecond: number;
  /** It writes to this part of its memory only. */
  readonly workingSetBytes: number;
}

/** What one host has of a guest. During a migration there are two copies. */
export class Copy {
  readonly guest: Guest;
  state: VmState;
  residentBytes: number;
  /** A job of the hypervisor is at work on it. */
  jobActive: boolean;
  /** CPU received and CPU waited for, in core-seconds since this copy began. */
  cpuCoreSeconds = 0;
  delayCoreSeconds = 0;

  constructor(guest: Guest, state: 'running' | 'incoming' | 'shut-off') {
    this.guest = guest;
    this.state = state;
    this.residentBytes = state === 'running' ? guest.memoryBytes : 0;
    this.jobActive = state === 'incoming';
  }
}
