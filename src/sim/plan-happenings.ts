/** What an operator orders of plans. */
import type { Controller } from '#controller/controller.ts';
import type { DecisionLog } from './decision-log.ts';
import type { EventOf } from './scenario-events.ts';

export type PlanEvent = EventOf<'approve' | 'reject' | 'rollback'>;

export class PlanHappenings {
  readonly #log: DecisionLog;
  #approvedId: string | null = null;

  constructor(log: DecisionLog) {
    this.#log = log;
  }

  /** The command in words, and what it asks of the controller. */
  command(event: PlanEvent, by: string): readonly [string, (controller: Controller) => Promise<unknown>] {
    switch (event.do) {
      case 'approve': {
        const which = event.only === undefined ? 'the newest plan' : `${event.only.join(', ')} of the newest plan`;
        return [`${by} approves ${which}`, (controller) => this.#approve(controller, event.only ?? null, by)];
      }
      case 'reject':
        return [`${by} rejects the ${event.plan} plan`, (controller) => this.#reject(controller, event, by)];
      case 'rollback':
        return [`${by} rolls the approved plan back`, (controller) => this.#rollBack(controller, by)];
      default:
        return event satisfies never;
    }
  }

  async #approve({ plans }: Controller, only: readonly string[] | null, by: string): Promise<void> {
    const plan = await plans.latest();
    if (plan === null) return;
    this.#approvedId = plan.planId;
    const { waiting, notStarted } = await plans.apply(plan.planId, only, by);
    for (const { vmName, code } of waiting) this.#log.note('operator', `${vmName} waits (${code})`);
    for (const { vmName, code, reason } of notStarted) this.#log.note('operator', `${vmName} was not started (${code}): ${reason}`);
  }

  async #reject({ plans }: Controller, event: EventOf<'reject'>, by: string): Promise<void> {
    const planId = event.plan === 'newest' ? ((await plans.latest())?.planId ?? null) : this.#approvedId;
    if (planId === null) return;
    const { moves, running } = await plans.reject(planId, event.reason ?? '', by);
    const names = moves.map(({ vmName, toHostId }) => `${vmName} to ${toHostId}`).join(', ');
    this.#log.note('operator', `rejected: ${names}; ${running.length} under way go on`);
  }

  async #rollBack({ plans }: Controller, by: string): Promise<void> {
    if (this.#approvedId === null) return;
    const { steps, nothingLeft } = await plans.rollBack(this.#approvedId, false, by);
    for (const { vmName, fromHostId, toHostId, state, code, reason } of steps)
      this.#log.note('operator', `${vmName} ${fromHostId} -> ${toHostId}: ${state}${code === null ? '' : ` (${code}): ${reason ?? ''}`}`);
    if (nothingLeft) this.#log.note('operator', 'there is nothing left to bring back');
  }
}
