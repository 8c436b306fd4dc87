import type { AgentMemory, AgentMemoryState } from '#core/ports.ts';

/** The agent's durable memory with one writer at a time: a change counts only when it is on disk. */
export class Remembered {
  readonly #memory: AgentMemory;
  #state: AgentMemoryState;
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(memory: AgentMemory, state: AgentMemoryState) {
    this.#memory = memory;
    this.#state = state;
  }

  static async load(memory: AgentMemory): Promise<Remembered> {
    return new Remembered(memory, await memory.load());
  }

  get state(): AgentMemoryState {
    return this.#state;
  }

  /** Runs `change` on the newest state; null leaves it as it is. Resolves with the outcome once it is durable. */
  update<Outcome>(
    change: (state: AgentMemoryState) => { readonly state: AgentMemoryState | null; readonly outcome: Outcome },
  ): Promise<Outcome> {
    const done = this.#tail.then(async () => {
      const { state, outcome } = change(this.#state);
      if (state !== null) {
        await this.#memory.save(state);
        this.#state = state;
      }
      return outcome;
    });
    this.#tail = done.catch(() => null);
    return done;
  }
}
