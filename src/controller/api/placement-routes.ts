import type { ControllerService } from '#controller/service.ts';
import { CordonSchema, DrainPreviewSchema, DrainSchema, ReasonBodySchema, StoredRuleSchema, UncordonSchema } from '#wire/placement-api.ts';
import { strict } from '#wire/resources.ts';
import { RuleNameSchema, RuleSchema } from '#wire/rule-schemas.ts';
import { Type } from 'typebox';
import type { ApiServer } from './api.ts';
import { answers, askedBy, AskerHeadersSchema, HostPathSchema, NoQuerySchema } from './route-schemas.ts';

const RulePathSchema = Type.Object({ name: RuleNameSchema }, strict);

/** `/v1/rules`, cordons of hosts, `/v1/drains`. */
export function addPlacementRoutes(server: ApiServer, { placement }: ControllerService): void {
  server.get(
    '/v1/rules',
    { schema: { summary: 'All rules', querystring: NoQuerySchema, response: answers({ 200: Type.Array(StoredRuleSchema) }) } },
    async () => [...(await placement.rules())],
  );
  server.post(
    '/v1/rules',
    {
      schema: {
        summary: 'A new rule: where VMs may run, and when the balancer may move them',
        headers: AskerHeadersSchema,
        body: RuleSchema,
        response: answers({ 201: StoredRuleSchema }),
      },
    },
    async (request, reply) => reply.code(201).send(await placement.addRule(request.body, askedBy(request.headers))),
  );
  server.delete(
    '/v1/rules/:name',
    {
      schema: {
        summary: 'Removes a rule; answers with what it was',
        headers: AskerHeadersSchema,
        params: RulePathSchema,
        response: answers({ 200: StoredRuleSchema }),
      },
    },
    (request) => placement.removeRule(request.params.name, askedBy(request.headers)),
  );
  addCordonRoutes(server, placement);
  addDrainRoutes(server, placement);
}

type Placement = ControllerService['placement'];

function addCordonRoutes(server: ApiServer, placement: Placement): void {
  server.put(
    '/v1/hosts/:hostId/cordon',
    {
      schema: {
        summary: 'The host takes no new VMs; those that run there stay',
        headers: AskerHeadersSchema,
        params: HostPathSchema,
        body: ReasonBodySchema,
        response: answers({ 200: CordonSchema }),
      },
    },
    (request) => placement.cordon(request.params.hostId, request.body.reason, askedBy(request.headers)),
  );
  server.delete(
    '/v1/hosts/:hostId/cordon',
    {
      schema: {
        summary: 'The host takes VMs again; a drain of it ends',
        headers: AskerHeadersSchema,
        params: HostPathSchema,
        response: answers({ 200: UncordonSchema }),
      },
    },
    async (request) => {
      await placement.uncordon(request.params.hostId, askedBy(request.headers));
      return { hostId: request.params.hostId, cordon: null };
    },
  );
}

function addDrainRoutes(server: ApiServer, placement: Placement): void {
  server.get(
    '/v1/drains',
    {
      schema: {
        summary: 'Hosts that are being emptied or were, each with its newest drain',
        querystring: NoQuerySchema,
        response: answers({ 200: Type.Array(DrainSchema) }),
      },
    },
    async () => [...(await placement.drains())],
  );
  server.get(
    '/v1/hosts/:hostId/drain',
    {
      schema: {
        summary: 'How the drain of a host stands: what moves, what waits, what cannot leave and why',
        params: HostPathSchema,
        querystring: NoQuerySchema,
        response: answers({ 200: DrainSchema }),
      },
    },
    (request) => placement.drain(request.params.hostId),
  );
  server.get(
    '/v1/hosts/:hostId/drain/preview',
    {
      schema: {
        summary: 'What a drain of the host would do now; nothing moves',
        params: HostPathSchema,
        querystring: NoQuerySchema,
        response: answers({ 200: DrainPreviewSchema }),
      },
    },
    (request) => placement.previewDrain(request.params.hostId),
  );
  server.post(
    '/v1/hosts/:hostId/drain',
    {
      schema: {
        summary: 'Cordons the host and moves every VM away',
        headers: AskerHeadersSchema,
        params: HostPathSchema,
        body: ReasonBodySchema,
        response: answers({ 202: DrainSchema }),
      },
    },
    async (request, reply) =>
      reply.code(202).send(await placement.startDrain(request.params.hostId, request.body.reason, askedBy(request.headers))),
  );
  for (const [verb, summary, change] of [
    ['cancel', 'Moves nothing more; what is under way ends, the host stays cordoned', placement.cancelDrain.bind(placement)],
    ['restore', 'Uncordons the host and brings back what its drain has moved away, as far as it fits', placement.restore.bind(placement)],
  ] as const) {
    server.post(
      `/v1/hosts/:hostId/drain/${verb}`,
      { schema: { summary, headers: AskerHeadersSchema, params: HostPathSchema, response: answers({ 202: DrainSchema }) } },
      async (request, reply) => reply.code(202).send(await change(request.params.hostId, askedBy(request.headers))),
    );
  }
}
