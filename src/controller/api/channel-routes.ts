import type { ControllerService } from '#controller/service.ts';
import { ChannelSchema, ProveBodySchema, ProveSchema, ResetSchema, TuneBodySchema, TuneSchema } from '#wire/channel-api.ts';
import { Type } from 'typebox';
import type { ApiServer } from './api.ts';
import { answers, askedBy, AskerHeadersSchema, NoQuerySchema, PairPathSchema } from './route-schemas.ts';

/** IKE, the proof, and once more if the first channel turns out to be stale. */
const proveMsMax = 150_000;
/** The same, and a search of a path that swallows packets, and two streams. */
const tuneMsMax = 240_000;
const resetMsMax = 30_000;

/** `/v1/channels`. */
export function addChannelRoutes(server: ApiServer, service: ControllerService): void {
  server.get(
    '/v1/channels',
    { schema: { summary: 'All channels', querystring: NoQuerySchema, response: answers({ 200: Type.Array(ChannelSchema) }) } },
    async () => [...(await service.channels())],
  );
  server.get(
    '/v1/channels/:hostA/:hostB',
    {
      schema: {
        summary: 'What stands between two hosts',
        params: PairPathSchema,
        querystring: NoQuerySchema,
        response: answers({ 200: ChannelSchema }),
      },
    },
    (request) => service.channel(request.params.hostA, request.params.hostB),
  );
  addProveRoute(server, service);
  addTuneRoute(server, service);
  server.post(
    '/v1/channels/:hostA/:hostB/reset',
    {
      handlerTimeout: resetMsMax,
      schema: {
        summary: 'Ends a channel and puts network settings back',
        headers: AskerHeadersSchema,
        params: PairPathSchema,
        response: answers({ 200: ResetSchema }),
      },
    },
    (request) => service.resetChannel(request.params.hostA, request.params.hostB, askedBy(request.headers)),
  );
}

function addProveRoute(server: ApiServer, service: ControllerService): void {
  server.post(
    '/v1/channels/:hostA/:hostB/prove',
    {
      handlerTimeout: proveMsMax,
      schema: {
        summary: 'Makes a channel from A to B and proves it: probes cross inside, plain text is dropped',
        headers: AskerHeadersSchema,
        params: PairPathSchema,
        body: ProveBodySchema,
        response: answers({ 200: ProveSchema }),
      },
    },
    (request) => service.proveChannel(request.params.hostA, request.params.hostB, request.body, askedBy(request.headers)),
  );
}

function addTuneRoute(server: ApiServer, service: ControllerService): void {
  server.post(
    '/v1/channels/:hostA/:hostB/tune',
    {
      handlerTimeout: tuneMsMax,
      schema: {
        summary: 'Measures the path from A to B and what larger packets gain; with apply keeps the better settings',
        headers: AskerHeadersSchema,
        params: PairPathSchema,
        body: TuneBodySchema,
        response: answers({ 200: TuneSchema }),
      },
    },
    (request) => service.tuneChannel(request.params.hostA, request.params.hostB, request.body, askedBy(request.headers)),
  );
}
