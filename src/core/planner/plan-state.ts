import type { Plan } from '#core/model/plan.ts';

/**
 * `empty`: it has no moves. `open`: moves of it can be applied. `superseded`: the same, but a newer plan was made since. `expired`: none was
 * started in its time. `applied`: all were started, or some before it expired. `rejected`: an operator said no.
 */
export const planStates = ['empty', 'open', 'superseded', 'expired', 'applied', 'rejected'] as const;
export type PlanState = (typeof planStates)[number];

export interface PlanFacts {
  readonly rejected: boolean;
  /** Moves that were started, or that only wait for others to end. */
  readonly taken: number;
  readonly newest: boolean;
}

export function planState({ moves, expiresAtMs }: Pick<Plan, 'moves' | 'expiresAtMs'>, facts: PlanFacts, nowMs: number): PlanState {
  if (facts.rejected) return 'rejected';
  if (moves.length === 0) return 'empty';
  if (facts.taken >= moves.length) return 'applied';
  if (expiresAtMs <= nowMs) return facts.taken > 0 ? 'applied' : 'expired';
  return facts.newest ? 'open' : 'superseded';
}
