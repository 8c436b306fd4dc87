import { emptyMemory } from '#core/access/ticket-gate.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { AgentMemory, AgentMemoryState } from '#core/ports.ts';
import { noSpace, type SimDisk } from './disk.ts';

const syncMs = 1;
const path = '/var/lib/plimsoll/agent-memory.json';

/**
 * What a host's agents remember, on its disk. A write is acknowledged a moment after it has begun: an agent that dies in between
 * finds at its next start what it never heard was written, or on a torn disk perhaps not.
 */
export class SimAgentMemory implements AgentMemory {
  readonly #disk: SimDisk;
  #state: AgentMemoryState = emptyMemory;

  constructor(disk: SimDisk) {
    this.#disk = disk;
  }

  load(): Promise<AgentMemoryState> {
    return Promise.resolve(structuredClone(this.#state));
  }

  async save(state: AgentMemoryState): Promise<void> {
    await this.#disk.write(syncMs, noRoom, (undo) => {
      const before = this.#state;
      undo(() => {
        this.#state = before;
      });
      this.#state = structuredClone(state);
    });
  }
}

/** As the real file says it. */
function noRoom(): PlimsollError {
  return new PlimsollError(
    'config-invalid',
    `${path} cannot be written: ${noSpace}. Check that its directory exists, is writable and has room.`,
  );
}
