import { emptyMemory } from '#core/access/ticket-gate.ts';
import type { AgentMemory, AgentMemoryState } from '#core/ports.ts';
import type { VirtualTime } from './virtual-time.ts';

const syncMs = 1;

/**
 * A host's disk as its agents see it. A write is on the disk when it begins and acknowledged a moment later:
 * an agent that dies in between finds at its next start what it never heard was written.
 */
export class SimAgentMemory implements AgentMemory {
  readonly #time: VirtualTime;
  #state: AgentMemoryState = emptyMemory;

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  load(): Promise<AgentMemoryState> {
    return Promise.resolve(structuredClone(this.#state));
  }

  async save(state: AgentMemoryState): Promise<void> {
    this.#state = structuredClone(state);
    await this.#time.sleep(syncMs);
  }
}
