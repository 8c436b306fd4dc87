/** The life of plans as the REST API asks for it: made, listed, explained, applied, rejected, rolled back. */
import type { Migration } from '#core/model/migration.ts';
import type { Plan } from '#core/model/plan.ts';
import type { PlanCourse, StartedMove } from '#core/model/plan-course.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import { planState, type PlanState } from '#core/planner/plan-state.ts';
import type { PlanResource } from '#wire/api.ts';
import type { AppliedResource, PlanExplanationResource, PlanSummaryResource, RejectedResource, RollbackResource } from '#wire/plan-api.ts';
import { aboutVm, explanationOf, type PlanFile } from './plan-explanation.ts';
import { type OrderRooms, PlanOrders, startedVms } from './plan-orders.ts';
import { PlanRollback, type RollbackRooms } from './plan-rollback.ts';
import type { Wishes } from './wishes.ts';

/** What the REST API may ask of plans. */
export interface PlanService {
  /** The newest; null before the first planning round. */
  latest(): Promise<PlanResource | null>;
  /** `plan-unknown` */
  plan(planId: string): Promise<PlanResource>;
  /** Plans now and keeps the plan; moves nothing. */
  make(): Promise<PlanResource>;
  /** Newest first. */
  list(limit: number): Promise<readonly PlanSummaryResource[]>;
  /** Without an id the newest plan, without a VM all of it. `plan-unknown`, `vm-unknown`, `vm-ambiguous` */
  explain(planId: string | null, vm: string | null): Promise<PlanExplanationResource>;
  /**
   * Starts the plan's moves, or those of some VMs (modes `approve` and `automatic`). `plan-unknown`, `plan-expired`, `plan-rejected`,
   * `plan-applied`, `plan-empty`, `mode-forbids`, `vm-unknown`, `vm-ambiguous`
   */
  apply(planId: string, only: readonly string[] | null, askedBy: string): Promise<AppliedResource>;
  /** What `apply` would do now; moves nothing. The same refusals. */
  rehearse(planId: string, only: readonly string[] | null, askedBy: string): Promise<AppliedResource>;
  /** Its moves that were not started are not made. `plan-unknown`, `plan-applied`, `plan-empty` */
  reject(planId: string, reason: string, askedBy: string): Promise<RejectedResource>;
  /** Brings back what it has moved. `plan-unknown` */
  rollBack(planId: string, dryRun: boolean, askedBy: string): Promise<RollbackResource>;
}

export type PlanRooms = OrderRooms & RollbackRooms & { readonly wishes: Wishes };

export class Plans implements PlanService {
  readonly #rooms: PlanRooms;
  readonly #orders: PlanOrders;
  readonly #rollback: PlanRollback;

  constructor(rooms: PlanRooms) {
    this.#rooms = rooms;
    this.#orders = new PlanOrders(rooms);
    this.#rollback = new PlanRollback(rooms, (planId) => this.#orders.waiting(planId));
  }

  async latest(): Promise<PlanResource | null> {
    return this.#rooms.planning.latest();
  }

  plan(planId: string): Promise<PlanResource> {
    return this.#rooms.planning.find(planId);
  }

  make(): Promise<PlanResource> {
    return this.#rooms.planning.planNow();
  }

  async list(limit: number): Promise<readonly PlanSummaryResource[]> {
    const { parts, courses } = this.#rooms;
    const plans = await parts.store.plans(limit);
    const planIds = plans.map(({ planId }) => planId);
    const [started, known] = await Promise.all([parts.store.startedMoves(planIds), courses.ofAll(planIds)]);
    const startedBy = Map.groupBy(started, ({ planId }) => planId);
    const courseOf = new Map(known.map((course) => [course.planId, course]));
    return plans.map((plan) => this.#summary(plan, startedBy.get(plan.planId) ?? [], courseOf.get(plan.planId)));
  }

  async explain(planId: string | null, vm: string | null): Promise<PlanExplanationResource> {
    const { parts, planning, courses, wishes } = this.#rooms;
    const plan = planId === null ? planning.latest() : await planning.find(planId);
    if (plan === null) throw new PlimsollError('plan-unknown', 'nothing has been planned yet: wait for the first round, or plan now');
    const started = await parts.store.startedMoves([plan.planId]);
    const course = await courses.of(plan.planId);
    const file: PlanFile = {
      plan,
      state: this.#state(plan, started, course),
      course,
      rejection: this.#rejection(course),
      migrations: await this.#migrations(started),
      waiting: this.#orders.waiting(plan.planId),
    };
    const explanation = explanationOf(file, parts.clock.nowMs());
    return vm === null ? explanation : aboutVm(explanation, vm, (reference) => wishes.findVm(reference));
  }

  apply(planId: string, only: readonly string[] | null, askedBy: string): Promise<AppliedResource> {
    return this.#orders.apply(planId, only, askedBy);
  }

  rehearse(planId: string, only: readonly string[] | null, askedBy: string): Promise<AppliedResource> {
    return this.#orders.rehearse(planId, only, askedBy);
  }

  reject(planId: string, reason: string, askedBy: string): Promise<RejectedResource> {
    return this.#orders.reject(planId, reason, askedBy);
  }

  rollBack(planId: string, dryRun: boolean, askedBy: string): Promise<RollbackResource> {
    return this.#rollback.rollBack(planId, dryRun, askedBy);
  }

  #summary(plan: Plan, started: readonly StartedMove[], course: PlanCourse | undefined): PlanSummaryResource {
    const { planId, parentPlanId, createdAtMs, expiresAtMs, verdict, summary, scoreBefore, scoreAfter, moves } = plan;
    return {
      planId,
      parentPlanId,
      createdAtMs,
      expiresAtMs,
      verdict,
      summary,
      scoreBefore,
      scoreAfter,
      state: this.#state(plan, started, course),
      moves: moves.length,
      started: startedVms(started).size,
      rejection: this.#rejection(course),
    };
  }

  #state(plan: Plan, started: readonly StartedMove[], course: PlanCourse | undefined): PlanState {
    const { planning, parts } = this.#rooms;
    const taken = new Set([...startedVms(started), ...this.#orders.waiting(plan.planId)]).size;
    const rejected = (course?.rejection ?? null) !== null;
    return planState(plan, { rejected, taken, newest: planning.latest()?.planId === plan.planId }, parts.clock.nowMs());
  }

  #rejection(course: PlanCourse | undefined): PlanSummaryResource['rejection'] {
    const rejection = course?.rejection ?? null;
    if (rejection === null) return null;
    const { by, reason, atMs } = rejection;
    return { by, reason, atMs, untilMs: this.#rooms.courses.endsAtMs(rejection) };
  }

  async #migrations(started: readonly StartedMove[]): Promise<PlanFile['migrations']> {
    const { parts, executor } = this.#rooms;
    const migrations = new Map<VmId, { readonly migration: Migration; readonly closed: boolean }>();
    for (const { vmId, migrationId } of started) {
      const running = executor.current(migrationId);
      const migration = running ?? (await parts.store.migration(migrationId));
      if (migration !== null) migrations.set(vmId, { migration, closed: running === undefined });
    }
    return migrations;
  }
}
