import type { HostCost } from '#core/model/measures.ts';
import type { VmId } from '#core/model/vm.ts';
import type { CostMeter } from '#core/ports.ts';
import type { SimHost } from './host.ts';
import type { VirtualTime } from './virtual-time.ts';

const readMs = 1;
/** Share of a core that an idle daemon uses. */
const idleCores = { libvirtd: 0.001, agent: 0.002 };

/** One agent's look at the processes of its host: what bytes cost, and a little for being there. */
export class SimCostMeter implements CostMeter {
  readonly #time: VirtualTime;
  readonly #host: SimHost;

  constructor(time: VirtualTime, host: SimHost) {
    this.#time = time;
    this.#host = host;
  }

  async read(vmId: VmId, signal: AbortSignal): Promise<HostCost> {
    await this.#time.sleep(readMs, signal);
    const seconds = this.#time.elapsedMs / 1000;
    const overhead = this.#host.copy(vmId)?.overheadCoreSeconds;
    return {
      hypervisorCpuSeconds: overhead === undefined ? null : overhead + seconds * idleCores.libvirtd,
      ipsecCpuSeconds: this.#host.charon.alive ? this.#host.ipsecCoreSeconds : null,
      agentCpuSeconds: seconds * idleCores.agent,
    };
  }
}
