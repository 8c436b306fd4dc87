import type { ControllerService } from '#controller/service.ts';
import { PlimsollError } from '#core/model/result.ts';
import { MigrationSchema, PlanSchema } from '#wire/api.ts';
import { SnapshotFileSchema } from '#wire/snapshot-file.ts';
import { BalanceSchema } from '#wire/balance-api.ts';
import { Type } from 'typebox';
import type { ApiServer } from './api.ts';
import { answers, askedBy, AskerHeadersSchema, NoQuerySchema, PlanPathSchema } from './route-schemas.ts';

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
  server.get(
    '/v1/plan',
    { schema: { summary: 'The newest plan', querystring: NoQuerySchema, response: answers({ 200: PlanSchema }) } },
    async () => {
      const plan = await service.latestPlan();
      if (plan === null) throw new PlimsollError('plan-unknown', 'nothing has been planned yet: wait for the first round, or plan now');
      return plan;
    },
  );
  server.get(
    '/v1/plans/:planId',
    { schema: { summary: 'One plan', params: PlanPathSchema, querystring: NoQuerySchema, response: answers({ 200: PlanSchema }) } },
    (request) => service.plan(request.params.planId),
  );
  server.post(
    '/v1/plans',
    { schema: { summary: 'Plans now; moves nothing', response: answers({ 201: PlanSchema }) } },
    async (_request, reply) => reply.code(201).send(await service.makePlan()),
  );
  server.post(
    '/v1/plans/:planId/apply',
    {
      schema: {
        summary: "Starts a plan's moves",
        params: PlanPathSchema,
        headers: AskerHeadersSchema,
        response: answers({ 202: Type.Array(MigrationSchema) }),
      },
    },
    async (request, reply) => reply.code(202).send([...(await service.applyPlan(request.params.planId, askedBy(request.headers)))]),
  );
}
