import { type Stage, stages } from './stages.ts';
import { type Victim, victims } from './victims.ts';

export interface KillCase {
  readonly stage: Stage;
  readonly victim: Victim;
}

/** Three kinds of victims first, then the other ends of the two that have two. */
const orders: readonly (readonly Victim[])[] = [
  [victims.sourceCharon, victims.destinationAgent, victims.controller, victims.destinationCharon, victims.sourceAgent],
  [victims.destinationCharon, victims.sourceAgent, victims.controller, victims.sourceCharon, victims.destinationAgent],
];

const perStageMin = 3;

/** So many kills, spread over all stages: from 27 on each stage has a charon, an agent and the controller; 45 are everything. */
export function killCases(count: number): readonly KillCase[] {
  const cases: KillCase[] = [];
  let atThisStage = 0;
  for (let index = 0; index < count; index += 1) {
    const number = Math.floor((index * stages.length) / count);
    atThisStage = cases.at(-1)?.stage === stages[number] ? atThisStage + 1 : 0;
    const order = orders[number % orders.length] ?? [];
    const victim = order[(count < stages.length * perStageMin ? index : atThisStage) % order.length];
    const stage = stages[number];
    if (stage === undefined || victim === undefined) throw new Error(`no case ${index} of ${count}`);
    cases.push({ stage, victim });
  }
  return cases;
}
