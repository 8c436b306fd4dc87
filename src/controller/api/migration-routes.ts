import type { ControllerService } from '#controller/service.ts';
import { MigrateBodySchema, MigrateCheckSchema, MigrationSchema, ReceiptSchema } from '#wire/api.ts';
import { strict } from '#wire/resources.ts';
import { Type } from 'typebox';
import type { ApiServer } from './api.ts';
import { withEndsWhenClosed, withEndWhenClosed } from './ended-migrations.ts';
import { answers, askedBy, AskerHeadersSchema, MigrationPathSchema, NoQuerySchema } from './route-schemas.ts';

const listLimitMax = 1000;
const listLimitDefault = 100;

const ListQuerySchema = Type.Object(
  {
    open: Type.Optional(Type.Boolean({ description: 'true: only those under way; false: only those that ended' })),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: listLimitMax, description: `At most this many, the newest (default: ${listLimitDefault})` }),
    ),
  },
  strict,
);

/** `/v1/migrations` and `/v1/receipts`. */
export function addMigrationRoutes(server: ApiServer, service: ControllerService): void {
  addMigrateRoute(server, service);
  server.get(
    '/v1/migrations',
    {
      schema: {
        summary: 'Migrations, newest first',
        querystring: ListQuerySchema,
        response: answers({ 200: Type.Array(MigrationSchema) }),
      },
    },
    async (request) => {
      const { open, limit = listLimitDefault } = request.query;
      return withEndsWhenClosed(service, await service.migrations(open === undefined ? { limit } : { open, limit }));
    },
  );
  server.get(
    '/v1/migrations/:migrationId',
    {
      schema: {
        summary: 'One migration',
        params: MigrationPathSchema,
        querystring: NoQuerySchema,
        response: answers({ 200: MigrationSchema }),
      },
    },
    async (request) => withEndWhenClosed(service, await service.migration(request.params.migrationId)),
  );
  server.post(
    '/v1/migrations/:migrationId/abort',
    {
      schema: {
        summary: 'Asks for an abort',
        headers: AskerHeadersSchema,
        params: MigrationPathSchema,
        response: answers({ 202: MigrationSchema }),
      },
    },
    async (request, reply) => {
      const migration = await service.abortMigration(request.params.migrationId, askedBy(request.headers));
      return reply.code(202).send(await withEndWhenClosed(service, migration));
    },
  );
  server.get(
    '/v1/receipts/:migrationId',
    {
      schema: {
        summary: 'The signed record of a migration',
        params: MigrationPathSchema,
        querystring: NoQuerySchema,
        response: answers({ 200: ReceiptSchema }),
      },
    },
    (request) => service.receipt(request.params.migrationId),
  );
}

function addMigrateRoute(server: ApiServer, service: ControllerService): void {
  server.post(
    '/v1/migrations',
    {
      schema: {
        summary: 'Starts a migration; with dryRun makes all checks and moves nothing',
        headers: AskerHeadersSchema,
        body: MigrateBodySchema,
        response: answers({ 200: MigrateCheckSchema, 202: MigrationSchema }),
      },
    },
    async (request, reply) => {
      if (request.body.dryRun === true) return reply.code(200).send(await service.checkMigrate(request.body));
      return reply.code(202).send(await service.migrate(request.body, askedBy(request.headers)));
    },
  );
}
