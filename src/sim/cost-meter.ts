import type { HostCost } from '#core/model/measures.ts';
import type { VmId } from '#core/model/vm.ts';
import type { CostMeter } from '#core/ports.ts';
import type { Copy } from './guest.ts';
import type { SimHost } from './host.ts';
import type { VirtualTime } from './virtual-time.ts';

const readMs = 1;
/** Share of a core that an idle daemon uses. */
const idleCores = { libvirtd: 0.001, agent: 0.002 };

/** One agent's look at the processes of its host: what bytes cost, and a little for being there. */
export class SimCostMeter implements CostMeter {
  readonly #time: VirtualTime;
  readonly #host: SimHost;
  readonly #seen = new Map<VmId, { readonly copy: Copy; readonly before: number; readonly last: number }>();

  constructor(time: VirtualTime, host: SimHost) {
    this.#time = time;
    this.#host = host;
  }

  async read(vmId: VmId, signal: AbortSignal): Promise<HostCost> {
    await this.#time.sleep(readMs, signal);
    const seconds = this.#time.elapsedMs / 1000;
    const overhead = this.#overhead(vmId);
    return {
      hypervisorCpuSeconds: this.#host.libvirtd.alive ? overhead + seconds * idleCores.libvirtd : null,
      ipsecCpuSeconds: this.#host.charon.alive ? this.#host.ipsecCoreSeconds : null,
      agentCpuSeconds: seconds * idleCores.agent,
    };
  }

  /** As the real one: what is gone counts with what was read of it last. */
  #overhead(vmId: VmId): number {
    const seen = this.#seen.get(vmId);
    const sum = seen === undefined ? 0 : seen.before + seen.last;
    const copy = this.#host.copy(vmId);
    if (copy === undefined) return sum;
    const before = seen?.copy === copy ? seen.before : sum;
    this.#seen.set(vmId, { copy, before, last: copy.overheadCoreSeconds });
    return before + copy.overheadCoreSeconds;
  }
}
