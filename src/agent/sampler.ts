import type { HostReading, Sample } from '#core/model/sample.ts';
import { bytes } from '#core/model/units.ts';
import type { Bytes } from '#core/model/units.ts';
import type { VmId, VmSample } from '#core/model/vm.ts';
import type { AgentParts, AgentSettings } from './parts.ts';

/** An older reading says nothing of the room that there is now. */
const newestAgeMsMax = 60_000;

/** Reads the host and its VMs. */
export class Sampler {
  readonly #parts: AgentParts;
  readonly #settings: AgentSettings;
  readonly #bootId: string;
  #sequence = 0;
  #resident: ReadonlyMap<VmId, Bytes> = new Map();
  #newest: { readonly host: HostReading; readonly atMs: number } | null = null;

  constructor(parts: AgentParts, settings: AgentSettings, bootId: string) {
    this.#parts = parts;
    this.#settings = settings;
    this.#bootId = bootId;
  }

  /** Throws while the hypervisor or the host cannot be read: a sample with half of the facts is none. */
  async take(signal: AbortSignal): Promise<Sample> {
    const vms = this.#withResident(await this.#parts.hypervisor.sampleVms(signal));
    const host = this.#offered(await this.#parts.hostMeter.read(signal), vms);
    this.#newest = { host, atMs: this.#parts.clock.monotonicMs() };
    this.#sequence += 1;
    return {
      hostId: this.#settings.hostId,
      sequence: this.#sequence,
      bootId: this.#bootId,
      takenAtMs: this.#parts.clock.nowMs(),
      host,
      vms,
    };
  }

  /** The host's newest reading; null before the first and when it is too old. The meter itself has one reader, as rates count from its last call. */
  get newest(): HostReading | null {
    const newest = this.#newest;
    return newest && this.#parts.clock.monotonicMs() - newest.atMs <= newestAgeMsMax ? newest.host : null;
  }

  /**
   * libvirt leaves out what a QEMU holds when it cannot read its process at that moment. A VM that runs holds something: what it held last,
   * or, where that is not known, all that it may use; so that no host looks emptier than it is.
   */
  #withResident(vms: readonly VmSample[]): readonly VmSample[] {
    const told = vms.map((vm) => {
      if (vm.state !== 'running' || vm.memoryResidentBytes > 0) return vm;
      return { ...vm, memoryResidentBytes: this.#resident.get(vm.vmId) ?? vm.memoryBytes };
    });
    this.#resident = new Map(told.map(({ vmId, memoryResidentBytes }) => [vmId, memoryResidentBytes]));
    return told;
  }

  /** A host that offers only a part of its memory counts what its VMs hold against that part. */
  #offered(host: HostReading, vms: readonly VmSample[]): HostReading {
    const offeredBytes = this.#settings.memoryCapacityBytes;
    if (offeredBytes === null) return host;
    const heldBytes = vms.reduce((sum, vm) => sum + vm.memoryResidentBytes, 0);
    return {
      ...host,
      memoryUsedBytes: bytes(Math.min(heldBytes, offeredBytes)),
      capacity: { ...host.capacity, memoryBytes: bytes(offeredBytes) },
    };
  }
}
