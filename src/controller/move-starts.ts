/** Starts moves of plans: one at a time, and each is judged again right before, on the cluster as it is then. */
import type { MoveCause } from '#core/model/ledger.ts';
import { wishOfClass } from '#core/migration/move-forecast.ts';
import type { MethodWish } from '#core/model/method.ts';
import type { Migration } from '#core/model/migration.ts';
import type { Move, Plan } from '#core/model/plan.ts';
import type { Mode, Policy } from '#core/model/policy.ts';
import { refusalOf } from '#core/model/result.ts';
import { begunRelief } from '#core/planner/account.ts';
import { type Hold, recheck } from '#core/planner/recheck.ts';
import { classOf } from '#core/planner/sla.ts';
import { movesBefore } from '#core/planner/rounds.ts';
import type { Executor } from './executor.ts';
import type { ControllerParts } from './parts.ts';
import type { PlanCourses } from './plan-courses.ts';
import type { Surveys } from './surveys.ts';

/** In whose name. */
export interface Order {
  readonly askedBy: string;
  /** The person who applied the plan; null for the planner's own moves. */
  readonly approvedBy: string | null;
  readonly cause: MoveCause;
}

/** Why a move was not started. `passing`: it can be tried again while its plan is valid. */
export interface Held {
  readonly code: string;
  readonly reason: string;
  readonly passing: boolean;
}

export type Start = { readonly kind: 'started'; readonly migration: Migration } | { readonly kind: 'held'; readonly hold: Held };

export interface StartRooms {
  readonly parts: ControllerParts;
  readonly policy: Policy;
  readonly surveys: Surveys;
  readonly executor: Executor;
  readonly courses: PlanCourses;
  readonly mode: () => Mode;
}

/** How planned moves are made. */
const asPlanned = { channelKind: 'ipsec', grantId: null } as const;
/** Other migrations end, and time alone ends it: whatever else stands in the way, the move is looked at again. */
const passingCodes: ReadonlySet<string> = new Set(['migration-limit', 'vm-busy']);
const toldMax = 1000;

export class MoveStarts {
  readonly #rooms: StartRooms;
  /** What was last said of a move, so that it is said once. */
  readonly #told = new Map<string, string>();
  #tail: Promise<unknown> = Promise.resolve();

  constructor(rooms: StartRooms) {
    this.#rooms = rooms;
  }

  /** What it holds comes as a value; it rejects only when the store cannot be read. */
  start(plan: Plan, move: Move, order: Order): Promise<Start> {
    return this.inTurn(async () => {
      const hold = await this.judge(plan, move, order);
      if (hold !== null) return this.#hold(plan, move, hold);
      const { vmId, vmName, fromHostId, toHostId, reason } = move;
      try {
        const { planId } = plan;
        const migration = await this.#rooms.executor.start({
          vmId,
          vmName,
          fromHostId,
          toHostId,
          planId,
          ...asPlanned,
          wish: this.#methodFor(move),
          ...order,
        });
        const { migrationId } = migration.request;
        this.#rooms.parts.log.info('move started', { migrationId, vm: vmName, fromHostId, toHostId, reason });
        return { kind: 'started', migration };
      } catch (error) {
        return this.#hold(plan, move, heldBy(error));
      }
    });
  }

  /** No move of any plan is started while this is done. */
  inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const done = this.#tail.then(work);
    this.#tail = done.catch(() => null);
    return done;
  }

  /** Why the move would not be started now; null when it would. */
  async judge(plan: Plan, move: Move, order: Order): Promise<Held | null> {
    const { parts, executor, courses, surveys } = this.#rooms;
    const { planId } = plan;
    const own = order.cause === 'balance';
    const mode = this.#rooms.mode();
    if (mode === 'observe' || (own && mode !== 'automatic')) return final('mode-forbids', `the mode is ${mode} now`);
    if (courses.isRejected(planId)) return final('plan-rejected', `plan ${planId} was rejected`);
    if (plan.expiresAtMs <= parts.clock.nowMs()) return final('plan-expired', `plan ${planId} has expired`);
    const started = new Set((await parts.store.startedMoves([planId])).map(({ vmId }) => vmId));
    if (started.has(move.vmId)) return final('plan-applied', `this move was started before`);
    try {
      executor.mustBeFree({ ...move, planId, ...asPlanned, wish: this.#methodFor(move), ...order });
    } catch (error) {
      return heldBy(error);
    }
    const before = movesBefore(move, plan.moves);
    const flying = before.find((other) => executor.inFlight().some(({ vmId }) => vmId === other.vmId));
    if (flying !== undefined)
      return { code: 'in-flight', reason: `the move of ${flying.vmName} comes first, and has not ended`, passing: true };
    const aim = plan.account?.aims[plan.moves.indexOf(move)] ?? null;
    const begun = begunRelief(plan, move, started);
    const hold: Hold | null = recheck(
      { ...(await surveys.forPlan()), automatic: own },
      { move, aim, begun, by: own ? 'planner' : 'person' },
    );
    const first = before.find(({ vmId }) => !started.has(vmId));
    if (hold === null || first === undefined) return hold;
    return { ...hold, reason: `${hold.reason}; the move of ${first.vmName}, which comes first, was not made`, passing: true };
  }

  /** As the policy has it, within what the VM's class bears. */
  #methodFor({ cost }: Move): MethodWish {
    const { policy } = this.#rooms;
    const sla = cost === undefined ? null : classOf(policy, cost.slaClass);
    return { method: 'auto', ...wishOfClass(sla?.downtimeMsMax ?? 0, policy) };
  }

  async #hold({ planId }: Plan, { vmId, vmName }: Move, hold: Held): Promise<Start> {
    const key = `${planId} ${vmId}`;
    if (this.#told.get(key) !== hold.code) {
      const { parts, courses } = this.#rooms;
      this.#told.delete(key);
      this.#told.set(key, hold.code);
      const oldest = this.#told.size > toldMax ? this.#told.keys().next().value : undefined;
      if (oldest !== undefined) this.#told.delete(oldest);
      parts.log.info('move not started', { vm: vmName, code: hold.code, message: hold.reason });
      await courses.hold(planId, { vmId, code: hold.code, reason: hold.reason, atMs: parts.clock.nowMs() });
    }
    return { kind: 'held', hold };
  }
}

function final(code: string, reason: string): Held {
  return { code, reason, passing: false };
}

function heldBy(error: unknown): Held {
  const { code, message } = refusalOf(error);
  return { code, reason: message, passing: passingCodes.has(code) };
}
