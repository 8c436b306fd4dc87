/** What an agent must not forget, in one small JSON file. */
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { PlimsollError } from '#core/model/result.ts';
import type { AgentMemory, AgentMemoryState } from '#core/ports.ts';
import { replaceFile } from './replace-file.ts';
import { readTextFile } from './text-file.ts';

const epoch = Type.Integer({ minimum: 0 });
const fileShape = Compile(
  Type.Object({
    version: Type.Literal(1),
    controllerEpoch: epoch,
    vmEpochs: Type.Record(Type.String(), epoch),
    usedTickets: Type.Record(Type.String(), Type.Number({ minimum: 0 })),
  }),
);

const firstState: AgentMemoryState = { controllerEpoch: 0, vmEpochs: {}, usedTickets: {} };

/**
 * A file that is not there is the first start of this host. One that cannot be understood is never taken
 * for that: forgotten epochs would let stale commands in. Rejects with `config-invalid`.
 */
export class FileAgentMemory implements AgentMemory {
  readonly #path: string;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  load(): Promise<AgentMemoryState> {
    return this.#inTurn(async () => {
      const text = await readTextFile(this.#path);
      if (text === null) return firstState;
      const value = this.#parse(text);
      return { controllerEpoch: value.controllerEpoch, vmEpochs: value.vmEpochs, usedTickets: value.usedTickets };
    });
  }

  /** Saves are done in the order of the calls, each whole: a crash leaves the state before or after. */
  save(state: AgentMemoryState): Promise<void> {
    const value = { version: 1, controllerEpoch: state.controllerEpoch, vmEpochs: state.vmEpochs, usedTickets: state.usedTickets };
    const text = `${JSON.stringify(value)}\n`;
    return this.#inTurn(async () => {
      this.#parse(text);
      try {
        await replaceFile(this.#path, text);
      } catch (cause) {
        const detail = cause instanceof Error ? cause.message : String(cause);
        const sentence = `${this.#path} cannot be written: ${detail}. Check that its directory exists, is writable and has room.`;
        throw new PlimsollError('config-invalid', sentence, { cause });
      }
    });
  }

  #parse(text: string): AgentMemoryState {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw this.#damaged('it is not JSON', cause);
    }
    if (fileShape.Check(value)) return value;
    const [fault] = fileShape.Errors(value);
    throw this.#damaged(`${fault?.instancePath ?? ''} ${fault?.message ?? 'is not as expected'}`.trim());
  }

  #damaged(fault: string, cause?: unknown): PlimsollError {
    const sentence = `The agent's memory ${this.#path} is damaged: ${fault}. Restore it from a backup; delete it only when no migration of this host's VMs is under way.`;
    return new PlimsollError('config-invalid', sentence, { cause });
  }

  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}
