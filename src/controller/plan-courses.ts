/** What became of plans: who rejected them, and why moves were not started. Durable; what was rejected lately is known without the store. */
import type { HeldMove, PlanCourse, Rejection } from '#core/model/plan-course.ts';
import type { Policy } from '#core/model/policy.ts';
import { refusalOf } from '#core/model/result.ts';
import type { PairRefusal } from '#core/model/rule.ts';
import { duration } from '#core/planner/words.ts';
import type { ControllerParts } from './parts.ts';

type CourseParts = Pick<ControllerParts, 'clock' | 'log' | 'store'>;

export class PlanCourses {
  readonly #parts: CourseParts;
  readonly #policy: Policy;
  /** By plan, the oldest rejection first. */
  readonly #rejections = new Map<string, Rejection>();
  /** One change at a time. */
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(parts: CourseParts, policy: Policy) {
    this.#parts = parts;
    this.#policy = policy;
  }

  static async load(parts: CourseParts, policy: Policy): Promise<PlanCourses> {
    const courses = new PlanCourses(parts, policy);
    for (const { planId, rejection } of await parts.store.rejectedSince(parts.clock.nowMs() - courses.#countsForMs))
      if (rejection !== null) courses.#rejections.set(planId, rejection);
    return courses;
  }

  async of(planId: string): Promise<PlanCourse> {
    const [course] = await this.#parts.store.planCourses([planId]);
    return course ?? { planId, rejection: null, held: [] };
  }

  ofAll(planIds: readonly string[]): Promise<readonly PlanCourse[]> {
    return this.#parts.store.planCourses(planIds);
  }

  /** Of a plan that may still be valid. */
  isRejected(planId: string): boolean {
    return this.#rejections.has(planId);
  }

  /** Until when the balancer leaves alone what was rejected then. */
  endsAtMs({ atMs }: Pick<Rejection, 'atMs'>): number {
    return atMs + this.#policy.rejectedMsMin;
  }

  /** As the planner sees them: a host that a VM is not sent to. The newest first. */
  refusals(nowMs: number): readonly PairRefusal[] {
    this.#forget(nowMs);
    return [...this.#rejections.values()].toReversed().flatMap((rejection) => {
      const untilMs = this.endsAtMs(rejection);
      if (untilMs <= nowMs) return [];
      const { by, reason, atMs, moves } = rejection;
      const why = reason === '' ? '' : ` (${reason})`;
      const when = `${duration(Math.max(0, nowMs - atMs))} ago`;
      return moves.map(({ vmId, vmName, toHostId }) => ({
        vmId,
        hostId: toHostId,
        code: 'plan-rejected' as const,
        reason: `${by} rejected moving ${vmName} to ${toHostId} ${when}${why}`,
        untilMs,
      }));
    });
  }

  /** Durable when it resolves. */
  async reject(planId: string, rejection: Rejection): Promise<void> {
    await this.#change(planId, (course) => ({ ...course, rejection }));
    this.#rejections.delete(planId);
    this.#rejections.set(planId, rejection);
  }

  /** For explanations only: that it cannot be kept is logged, and holds up nothing. */
  async hold(planId: string, held: HeldMove): Promise<void> {
    try {
      await this.#change(planId, (course) => ({ ...course, held: [...course.held.filter(({ vmId }) => vmId !== held.vmId), held] }));
    } catch (error) {
      this.#parts.log.error('why a move was not started could not be kept', { planId, ...refusalOf(error) });
    }
  }

  async #change(planId: string, change: (course: PlanCourse) => PlanCourse): Promise<void> {
    const changed = this.#tail.then(async () => this.#parts.store.savePlanCourse(change(await this.of(planId))));
    this.#tail = changed.catch(() => null);
    await changed;
  }

  /** As long as the plan is valid it must not be applied, however short its moves are left alone. */
  get #countsForMs(): number {
    return Math.max(this.#policy.rejectedMsMin, this.#policy.planLifetimeMs);
  }

  #forget(nowMs: number): void {
    for (const [planId, { atMs }] of this.#rejections) if (atMs + this.#countsForMs <= nowMs) this.#rejections.delete(planId);
  }
}
