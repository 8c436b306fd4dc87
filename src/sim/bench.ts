/** Two simulated hypervisors alone, for tests of what they do. */
import type { TransferOptions } from '#core/model/method.ts';
import type { Progress } from '#core/model/migration.ts';
import { refusalOf } from '#core/model/result.ts';
import type { VmView } from '#core/model/vm.ts';
import { hostSpec, plainOptions, surroundings } from './examples.ts';
import { Copy, type Guest } from './guest.ts';
import type { HostSpec } from './host.ts';
import { SimHypervisor } from './hypervisor.ts';
import { VirtualTime } from './virtual-time.ts';
import { World } from './world.ts';

const mebibyte = 2 ** 20;

/** Two hosts without agents or controller, and `web` of 1 GiB on the first of them; its stream needs no SA. */
export class Bench {
  readonly time = new VirtualTime();
  readonly guest: Guest;
  readonly world: World;
  readonly hypervisors: readonly [SimHypervisor, SimHypervisor];
  readonly stages: string[] = [];
  /** Of the transfer that was begun last. */
  readonly progress: Progress[] = [];
  readonly signal = new AbortController().signal;

  constructor(writes: { readonly dirtyMiBPerSecond: number; readonly workingSetMiB: number }, hosts: Partial<HostSpec> = {}) {
    this.guest = {
      vmId: '00000000-0000-4000-8000-000000000001',
      name: 'web',
      vcpus: 2,
      memoryBytes: 1024 * mebibyte,
      mac: '52:54:00:00:00:00',
      address: '10.1.0.1',
      demandCores: 1,
      dirtyBytesPerSecond: writes.dirtyMiBPerSecond * mebibyte,
      workingSetBytes: writes.workingSetMiB * mebibyte,
      netBytesPerSecond: 0,
      diskBytesPerSecond: 0,
    };
    this.world = new World(this.time, [hostSpec(1, hosts), hostSpec(2, hosts)], [this.guest]);
    this.world.host('host1').add(new Copy(this.guest, 'running'));
    this.hypervisors = [new SimHypervisor(this.world, this.world.host('host1')), new SimHypervisor(this.world, this.world.host('host2'))];
    this.world.onStage((_job, stage) => this.stages.push(stage));
  }

  request(options: Partial<TransferOptions> = {}) {
    return {
      vmId: this.guest.vmId,
      peerHostId: 'host2',
      peerAddress: '10.79.0.2',
      streamSecurity: 'none',
      options: { ...plainOptions, ...options },
      isForwarded: true,
    } as const;
  }

  /** Begins a transfer from the first host to the second; what it comes to is told as a value, a failure as its code. */
  migrate(options: Partial<TransferOptions> = {}, signal: AbortSignal = this.signal) {
    this.progress.length = 0;
    return outcomeOf(this.hypervisors[0].migrate(this.request(options), (progress) => this.progress.push(progress), signal));
  }

  async run(seconds: number): Promise<void> {
    await this.time.runUntil(this.time.elapsedMs + seconds * 1000, surroundings.drain);
  }

  /** As time passes. */
  async settled<Value>(work: Promise<Value>): Promise<Value> {
    work.catch(() => null);
    await this.run(0.1);
    return work;
  }

  /** What each host has of the VM, such as `running` or `paused failed`; null: nothing. */
  async places(): Promise<readonly (string | null)[]> {
    const words = (vm: VmView | null) => vm && [vm.state, ...(vm.postCopy === null ? [] : [vm.postCopy])].join(' ');
    return Promise.all(
      this.hypervisors.map(async (hypervisor) => words(await this.settled(hypervisor.findVm(this.guest.vmId, this.signal)))),
    );
  }
}

/** The value, or the code of the failure. */
export async function outcomeOf<Value>(work: Promise<Value>): Promise<Value | string> {
  try {
    return await work;
  } catch (error) {
    return refusalOf(error).code;
  }
}
