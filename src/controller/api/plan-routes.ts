import type { ControllerService } from '#controller/service.ts';
import { PlimsollError } from '#core/model/result.ts';
import { PlanSchema } from '#wire/api.ts';
import { ReasonBodySchema } from '#wire/placement-api.ts';
import {
  AppliedSchema,
  ApplyBodySchema,
  PlanExplanationSchema,
  PlanSummarySchema,
  RejectedSchema,
  RollbackBodySchema,
  RollbackSchema,
} from '#wire/plan-api.ts';
import { NameSchema, orNull, strict } from '#wire/resources.ts';
import { SnapshotFileSchema } from '#wire/snapshot-file.ts';
import { BalanceSchema } from '#wire/balance-api.ts';
import { Type } from 'typebox';
import type { ApiServer } from './api.ts';
import { answers, askedBy, AskerHeadersSchema, NoQuerySchema, PlanPathSchema } from './route-schemas.ts';

const listLimitMax = 1000;
const listLimitDefault = 20;
/** For a dry run both hosts of each move are asked. */
const rollbackMsMax = 90_000;

const VmQuerySchema = Type.Object({ vm: Type.Optional({ ...NameSchema, description: 'Only of this VM: its name or UUID' }) }, strict);
const ListQuerySchema = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: listLimitMax, description: `At most this many, the newest (default: ${listLimitDefault})` }),
    ),
  },
  strict,
);

/** `/v1/balance`, `/v1/snapshot`, `/v1/plan` and `/v1/plans`. */
export function addPlanRoutes(server: ApiServer, service: ControllerService): void {
  server.get(
    '/v1/balance',
    {
      schema: {
        summary: 'How balancing stands: plan, hosts that are not believed, what the forecasts were worth',
        querystring: NoQuerySchema,
        response: answers({ 200: BalanceSchema }),
      },
    },
    () => service.balance(),
  );
  server.get(
    '/v1/snapshot',
    {
      schema: {
        summary: 'The whole cluster as the planner sees it now',
        querystring: NoQuerySchema,
        response: answers({ 200: SnapshotFileSchema }),
      },
    },
    () => service.snapshot(),
  );
  addReadingRoutes(server, service.plans);
  addOrderRoutes(server, service.plans);
}

type Plans = ControllerService['plans'];

function addReadingRoutes(server: ApiServer, plans: Plans): void {
  server.get(
    '/v1/plan',
    { schema: { summary: 'The newest plan', querystring: NoQuerySchema, response: answers({ 200: PlanSchema }) } },
    async () => {
      const plan = await plans.latest();
      if (plan === null) throw new PlimsollError('plan-unknown', 'nothing has been planned yet: wait for the first round, or plan now');
      return plan;
    },
  );
  server.get(
    '/v1/plan/explanation',
    {
      schema: {
        summary: 'The newest plan in full: score terms, what became of each move, what was left alone and why',
        querystring: VmQuerySchema,
        response: answers({ 200: PlanExplanationSchema }),
      },
    },
    (request) => plans.explain(null, request.query.vm ?? null),
  );
  server.get(
    '/v1/plans',
    {
      schema: {
        summary: 'Plans, newest first, and how each stands',
        querystring: ListQuerySchema,
        response: answers({ 200: Type.Array(PlanSummarySchema) }),
      },
    },
    async (request) => [...(await plans.list(request.query.limit ?? listLimitDefault))],
  );
  server.get(
    '/v1/plans/:planId',
    { schema: { summary: 'One plan', params: PlanPathSchema, querystring: NoQuerySchema, response: answers({ 200: PlanSchema }) } },
    (request) => plans.plan(request.params.planId),
  );
  server.get(
    '/v1/plans/:planId/explanation',
    {
      schema: {
        summary: 'One plan in full: score terms, what became of each move, what was left alone and why',
        params: PlanPathSchema,
        querystring: VmQuerySchema,
        response: answers({ 200: PlanExplanationSchema }),
      },
    },
    (request) => plans.explain(request.params.planId, request.query.vm ?? null),
  );
}

function addOrderRoutes(server: ApiServer, plans: Plans): void {
  server.post(
    '/v1/plans',
    { schema: { summary: 'Plans now; moves nothing', response: answers({ 201: PlanSchema }) } },
    async (_request, reply) => reply.code(201).send(await plans.make()),
  );
  server.post(
    '/v1/plans/:planId/apply',
    {
      schema: {
        summary: "Starts a plan's moves, or those of some VMs; each once. A dry run only says what it would do",
        params: PlanPathSchema,
        headers: AskerHeadersSchema,
        body: orNull(ApplyBodySchema),
        response: answers({ 202: AppliedSchema }),
      },
    },
    async (request, reply) => {
      const { params, body, headers } = request;
      const only = body?.only ?? null;
      const by = askedBy(headers);
      const answer = body?.dryRun === true ? plans.rehearse(params.planId, only, by) : plans.apply(params.planId, only, by);
      return reply.code(202).send(await answer);
    },
  );
  server.post(
    '/v1/plans/:planId/reject',
    {
      schema: {
        summary: 'Moves of the plan that were not started are not made, and not proposed again for a time; running migrations go on',
        params: PlanPathSchema,
        headers: AskerHeadersSchema,
        body: ReasonBodySchema,
        response: answers({ 200: RejectedSchema }),
      },
    },
    (request) => plans.reject(request.params.planId, request.body.reason, askedBy(request.headers)),
  );
  server.post(
    '/v1/plans/:planId/rollback',
    {
      handlerTimeout: rollbackMsMax,
      schema: {
        summary: 'Brings back what the plan has moved, the newest move first; a dry run only says what it would do',
        params: PlanPathSchema,
        headers: AskerHeadersSchema,
        body: RollbackBodySchema,
        response: answers({ 202: RollbackSchema }),
      },
    },
    async (request, reply) => {
      const { params, body, headers } = request;
      return reply.code(202).send(await plans.rollBack(params.planId, body.dryRun === true, askedBy(headers)));
    },
  );
}
