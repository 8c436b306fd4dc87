import type { ControllerService } from '#controller/service.ts';
import { HistoryPointSchema, HostSchema, ModeBodySchema, StatusSchema, TokenBodySchema, TokenSchema } from '#wire/api.ts';
import { strict } from '#wire/resources.ts';
import { Type } from 'typebox';
import type { ApiServer } from './api.ts';
import { answers, askedBy, AskerHeadersSchema, HostPathSchema, NoQuerySchema } from './route-schemas.ts';

const historyLimitMax = 10_000;
const historyLimitDefault = 1000;
const tokenLifetimeMsDefault = 3_600_000;
const HistoryQuerySchema = Type.Object(
  {
    sinceMs: Type.Optional(Type.Integer({ minimum: 0, description: 'Oldest point wanted, Unix epoch (default: all that is kept)' })),
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: historyLimitMax,
        description: `At most this many, the newest (default: ${historyLimitDefault})`,
      }),
    ),
  },
  strict,
);

/** `/v1/status`, `/v1/mode`, `/v1/hosts`, `/v1/tokens`. */
export function addInventoryRoutes(server: ApiServer, service: ControllerService): void {
  addStatusRoutes(server, service);
  addHostRoutes(server, service);
}

function addStatusRoutes(server: ApiServer, service: ControllerService): void {
  server.get(
    '/v1/status',
    { schema: { summary: 'The controller', querystring: NoQuerySchema, response: answers({ 200: StatusSchema }) } },
    () => service.status(),
  );
  server.put(
    '/v1/mode',
    {
      schema: {
        summary: 'What the controller does with its plans',
        headers: AskerHeadersSchema,
        body: ModeBodySchema,
        response: answers({ 200: StatusSchema }),
      },
    },
    (request) => service.setMode(request.body.mode, askedBy(request.headers)),
  );
}

function addHostRoutes(server: ApiServer, service: ControllerService): void {
  server.get(
    '/v1/hosts',
    { schema: { summary: 'All hosts', querystring: NoQuerySchema, response: answers({ 200: Type.Array(HostSchema) }) } },
    async () => [...(await service.hosts())],
  );
  server.get(
    '/v1/hosts/:hostId',
    { schema: { summary: 'One host', params: HostPathSchema, querystring: NoQuerySchema, response: answers({ 200: HostSchema }) } },
    (request) => service.host(request.params.hostId),
  );
  server.get(
    '/v1/hosts/:hostId/history',
    {
      schema: {
        summary: "A host's load, newest first",
        params: HostPathSchema,
        querystring: HistoryQuerySchema,
        response: answers({ 200: Type.Array(HistoryPointSchema) }),
      },
    },
    async (request) => {
      const { sinceMs = 0, limit = historyLimitDefault } = request.query;
      return [...(await service.history(request.params.hostId, sinceMs, limit))];
    },
  );
  server.post(
    '/v1/tokens',
    {
      schema: {
        summary: 'A one-time token with which a host may join',
        headers: AskerHeadersSchema,
        body: TokenBodySchema,
        response: answers({ 201: TokenSchema }),
      },
    },
    async (request, reply) => {
      const { hostId, lifetimeMs = tokenLifetimeMsDefault } = request.body;
      return reply.code(201).send(await service.createToken(hostId, lifetimeMs, askedBy(request.headers)));
    },
  );
}
