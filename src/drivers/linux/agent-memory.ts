/** What an agent must not forget, in one small JSON file. */
import { Type } from 'typebox';
import type { AgentMemory, AgentMemoryState } from '#core/ports.ts';
import { JsonFile } from './json-file.ts';

const epoch = Type.Integer({ minimum: 0 });
const shape = Type.Object({
  version: Type.Literal(1),
  controllerEpoch: epoch,
  vmEpochs: Type.Record(Type.String(), epoch),
  usedTickets: Type.Record(Type.String(), Type.Number({ minimum: 0 })),
  /** Not in files of agents before it was kept. */
  arrivals: Type.Optional(Type.Record(Type.String(), Type.String())),
});

const firstState: AgentMemoryState = { controllerEpoch: 0, vmEpochs: {}, usedTickets: {}, arrivals: {} };

/**
 * A file that is not there is the first start of this host. One that cannot be understood is never taken
 * for that: forgotten epochs would let stale commands in. Rejects with `config-invalid`.
 */
export class FileAgentMemory implements AgentMemory {
  readonly #file: JsonFile<typeof shape>;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    const advice = "Restore it from a backup; delete it only when no migration of this host's VMs is under way.";
    const damaged = (fault: string) => `The agent's memory ${path} is damaged: ${fault}. ${advice}`;
    this.#file = new JsonFile({ path, shape, code: 'config-invalid', damaged });
  }

  load(): Promise<AgentMemoryState> {
    return this.#inTurn(async () => {
      const value = await this.#file.read();
      if (value === null) return firstState;
      const { controllerEpoch, vmEpochs, usedTickets, arrivals = {} } = value;
      return { controllerEpoch, vmEpochs, usedTickets, arrivals };
    });
  }

  /** Saves are done in the order of the calls, each whole: a crash leaves the state before or after. */
  save({ controllerEpoch, vmEpochs, usedTickets, arrivals }: AgentMemoryState): Promise<void> {
    return this.#inTurn(() => this.#file.write({ version: 1, controllerEpoch, vmEpochs, usedTickets, arrivals }));
  }

  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}
