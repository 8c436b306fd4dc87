/** The part of the REST API about the life of plans. */
import { AppliedSchema, PlanExplanationSchema, PlanSummarySchema, RejectedSchema, RollbackSchema } from '#wire/plan-api.ts';
import { type Static, type TSchema, Type } from 'typebox';

const SummariesSchema = Type.Array(PlanSummarySchema);
/** A little more than the controller gives itself: for a dry run it asks both hosts of each move. */
const rollbackMsMax = 95_000;

type Get = <Schema extends TSchema>(path: string, schema: Schema) => Promise<Static<Schema>>;
type Send = <Schema extends TSchema>(
  method: 'POST',
  path: string,
  body: unknown,
  schema: Schema,
  deadlineMs?: number,
) => Promise<Static<Schema>>;

export class PlanClient {
  readonly #get: Get;
  readonly #send: Send;

  constructor(get: Get, send: Send) {
    this.#get = get;
    this.#send = send;
  }

  list(limit: number) {
    return this.#get(`/v1/plans?limit=${limit}`, SummariesSchema);
  }

  /** Null: the newest plan, all VMs. */
  explain(planId: string | null, vm: string | null) {
    const path = planId === null ? '/v1/plan' : planPath(planId);
    const query = vm === null ? '' : `?${new URLSearchParams({ vm }).toString()}`;
    return this.#get(`${path}/explanation${query}`, PlanExplanationSchema);
  }

  /** Null: all moves that can still be applied. */
  apply(planId: string, only: readonly string[] | null, dryRun = false) {
    const body = { ...(only === null ? {} : { only }), ...(dryRun ? { dryRun } : {}) };
    return this.#send('POST', `${planPath(planId)}/apply`, body, AppliedSchema);
  }

  reject(planId: string, reason: string) {
    return this.#send('POST', `${planPath(planId)}/reject`, { reason }, RejectedSchema);
  }

  rollBack(planId: string, dryRun: boolean) {
    return this.#send('POST', `${planPath(planId)}/rollback`, { dryRun }, RollbackSchema, rollbackMsMax);
  }
}

function planPath(planId: string): string {
  return `/v1/plans/${encodeURIComponent(planId)}`;
}
