import type { Sample } from '#core/model/sample.ts';
import type { AgentParts, AgentSettings } from './parts.ts';

/** Reads the host and its VMs. */
export class Sampler {
  readonly #parts: AgentParts;
  readonly #settings: AgentSettings;
  readonly #bootId: string;
  #sequence = 0;

  constructor(parts: AgentParts, settings: AgentSettings, bootId: string) {
    this.#parts = parts;
    this.#settings = settings;
    this.#bootId = bootId;
  }

  /** Throws while the hypervisor or the host cannot be read: a sample with half of the facts is none. */
  async take(signal: AbortSignal): Promise<Sample> {
    const vms = await this.#parts.hypervisor.sampleVms(signal);
    const host = await this.#parts.hostMeter.read(signal);
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
}
