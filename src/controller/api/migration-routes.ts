import type { ControllerService, MigrationFilter } from '#controller/service.ts';
import { MigrateBodySchema, MigrateCheckSchema, MigrationSchema, PredictionErrorsSchema, ReceiptSchema } from '#wire/api.ts';
import { HostIdSchema, strict } from '#wire/resources.ts';
import { type Static, Type } from 'typebox';
import type { ApiServer } from './api.ts';
import { withEndsWhenClosed, withEndWhenClosed } from './ended-migrations.ts';
import { answers, askedBy, AskerHeadersSchema, MigrationPathSchema, NoQuerySchema } from './route-schemas.ts';

const listLimitMax = 1000;
const listLimitDefault = 100;
/** The VM's writing is watched for some seconds, and the destination is asked what it offers. */
const migrateMsMax = 90_000;

const ListQuerySchema = Type.Object(
  {
    open: Type.Optional(Type.Boolean({ description: 'true: only those under way; false: only those that ended' })),
    vm: Type.Optional(Type.String({ minLength: 1, maxLength: 256, description: "The VM's name or UUID" })),
    host: Type.Optional(HostIdSchema),
    outcome: Type.Optional(
      Type.Union([Type.Literal('moved'), Type.Literal('stayed'), Type.Literal('unclear')], {
        description: 'moved: runs on the destination; stayed: failed, runs on the source; unclear: a person must look',
      }),
    ),
    since: Type.Optional(Type.Integer({ minimum: 0, description: 'Asked for then or later: milliseconds since the Unix epoch' })),
    until: Type.Optional(Type.Integer({ minimum: 0, description: 'Asked for before: milliseconds since the Unix epoch' })),
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
      return withEndsWhenClosed(service, await service.migrations(filterOf(request.query)));
    },
  );
  server.get(
    '/v1/prediction-errors',
    {
      schema: {
        summary: 'How far predictions were off, over the newest migrations',
        querystring: NoQuerySchema,
        response: answers({ 200: PredictionErrorsSchema }),
      },
    },
    () => service.predictionErrors(),
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

function filterOf({ open, vm, host, outcome, since, until, limit = listLimitDefault }: Static<typeof ListQuerySchema>): MigrationFilter {
  return {
    ...(open === undefined ? {} : { open }),
    ...(vm === undefined ? {} : { vm }),
    ...(host === undefined ? {} : { hostId: host }),
    ...(outcome === undefined ? {} : { outcome }),
    ...(since === undefined ? {} : { sinceMs: since }),
    ...(until === undefined ? {} : { untilMs: until }),
    limit,
  };
}

function addMigrateRoute(server: ApiServer, service: ControllerService): void {
  server.post(
    '/v1/migrations',
    {
      handlerTimeout: migrateMsMax,
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
