/** For tests: questions to the choice, and its answers. */
import type { MethodWish, PilotPolicy, TransferOptions } from '#core/model/method.ts';
import { defaultPolicy, type MigrationPolicy, pilotPolicyOf } from '#core/model/policy.ts';
import type { Refusal } from '#core/model/result.ts';
import { type Choice, type ChoiceInput, choosePlan } from './choice.ts';
import { exampleFacts, type ExampleVm } from './forecast-examples.ts';

export interface Changes {
  readonly wish?: MethodWish;
  readonly vm?: ExampleVm | null;
  readonly pilot?: Partial<PilotPolicy>;
  readonly migration?: Partial<MigrationPolicy>;
  readonly streams?: ChoiceInput['streams'];
  readonly cannot?: (options: TransferOptions) => boolean;
  readonly history?: ChoiceInput['history'];
}

export const refusal: Refusal = { code: 'method-unsupported', message: 'this QEMU cannot do it' };

export function inputOf({ wish = { method: 'auto' }, vm = {}, pilot, migration, streams, cannot, history = [] }: Changes): ChoiceInput {
  const balanced = pilotPolicyOf('balanced');
  return {
    wish,
    policy: { ...defaultPolicy, migration: { ...defaultPolicy.migration, ...migration, pilot: { ...balanced, ...pilot } } },
    streams: streams ?? { max: 8, reason: '' },
    methodFault: (options) => (cannot?.(options) === true ? refusal : null),
    facts: vm === null ? null : exampleFacts(vm),
    pair: { fromHostId: 'a', toHostId: 'b' },
    history,
    nowMs: 1000,
  };
}

export function choose(changes: Changes = {}): Choice {
  return choosePlan(inputOf(changes));
}

export function taken(choice: Choice): TransferOptions {
  if (!choice.ok) throw new Error(choice.refusal.message);
  return choice.plan.options;
}

export function refused(choice: Choice): Refusal {
  if (choice.ok) throw new Error(choice.plan.reason);
  return choice.refusal;
}

export const heavy = { memory: 2048, used: 2000, dirty: 40, workingSet: 400, channel: 20 };
