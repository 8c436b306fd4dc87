import type { ControllerService } from '#controller/service.ts';
import { MaintenancePreviewSchema, MaintenanceSchema, MaintenanceWishSchema } from '#wire/maintenance-api.ts';
import type { ApiServer } from './api.ts';
import { answers, askedBy, AskerHeadersSchema, HostPathSchema, NoQuerySchema } from './route-schemas.ts';

/** `/v1/maintenance`: hosts that are taken through maintenance, one after another. */
export function addMaintenanceRoutes(server: ApiServer, { placement }: ControllerService): void {
  server.get(
    '/v1/maintenance',
    {
      schema: {
        summary: 'The maintenance that is under way, or was the last: which host is how far, and what it waits for',
        querystring: NoQuerySchema,
        response: answers({ 200: MaintenanceSchema }),
      },
    },
    () => placement.maintenance(),
  );
  server.post(
    '/v1/maintenance',
    {
      schema: {
        summary: 'Takes hosts through maintenance: each is emptied, waited for, and filled again before the next',
        headers: AskerHeadersSchema,
        body: MaintenanceWishSchema,
        response: answers({ 202: MaintenanceSchema }),
      },
    },
    async (request, reply) => reply.code(202).send(await placement.startMaintenance(request.body, askedBy(request.headers))),
  );
  server.post(
    '/v1/maintenance/preview',
    {
      schema: {
        summary: 'What a maintenance would move where, each host as the cluster is now; nothing moves',
        body: MaintenanceWishSchema,
        response: answers({ 200: MaintenancePreviewSchema }),
      },
    },
    (request) => placement.previewMaintenance(request.body),
  );
  server.post(
    '/v1/maintenance/cancel',
    {
      schema: {
        summary: 'Begins no host any more and stops the drains under way; hosts stay cordoned as they are',
        headers: AskerHeadersSchema,
        response: answers({ 202: MaintenanceSchema }),
      },
    },
    async (request, reply) => reply.code(202).send(await placement.cancelMaintenance(askedBy(request.headers))),
  );
  server.post(
    '/v1/hosts/:hostId/ready',
    {
      schema: {
        summary: 'A person says that an empty host is back: it is opened, and its VMs are brought back',
        headers: AskerHeadersSchema,
        params: HostPathSchema,
        response: answers({ 202: MaintenanceSchema }),
      },
    },
    async (request, reply) => reply.code(202).send(await placement.readyHost(request.params.hostId, askedBy(request.headers))),
  );
}
