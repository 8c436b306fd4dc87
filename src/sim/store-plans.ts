import type { PlanCourse } from '#core/model/plan-course.ts';
import type { Plan } from '#core/model/plan.ts';
import { type NoteUndo, put } from './disk.ts';
import { copyOf, writtenTwice } from './store-copies.ts';

type Write = (what: string, change: (undo: NoteUndo) => void) => Promise<void>;

/** The part of the simulated store that keeps plans, and what became of them. */
export class SimPlans {
  readonly #write: Write;
  readonly #plans = new Map<string, Plan>();
  readonly #courses = new Map<string, PlanCourse>();

  constructor(write: Write) {
    this.#write = write;
  }

  save(plan: Plan, onKept: (plan: Plan) => void): Promise<void> {
    if (this.#plans.has(plan.planId)) return Promise.reject(writtenTwice('plan', plan.planId));
    return this.#write('write a plan', (undo) => {
      put(undo, this.#plans, plan.planId, copyOf(plan));
      onKept(plan);
    });
  }

  find(planId: string): Plan | null {
    return this.#plans.get(planId) ?? null;
  }

  newest(limit: number): readonly Plan[] {
    return [...this.#plans.values()].toReversed().slice(0, limit);
  }

  saveCourse(course: PlanCourse): Promise<void> {
    return this.#write("write a plan's course", (undo) => put(undo, this.#courses, course.planId, copyOf(course)));
  }

  courses(): Iterable<PlanCourse> {
    return this.#courses.values();
  }
}
