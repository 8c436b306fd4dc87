import type { ControllerService } from '#controller/service.ts';
import type { Log } from '#core/ports.ts';
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify';
import { addChannelRoutes } from './channel-routes.ts';
import { answerNotFound, failureHandler } from './failures.ts';
import { addInventoryRoutes } from './inventory-routes.ts';
import { addMaintenanceRoutes } from './maintenance-routes.ts';
import { addMetricsRoute } from './metrics-route.ts';
import { addMigrationRoutes } from './migration-routes.ts';
import { addPlacementRoutes } from './placement-routes.ts';
import { addPlanRoutes } from './plan-routes.ts';
import { addSecurityRoutes } from './security-routes.ts';
import { requestValidator, responseSerializer } from './schema-compilers.ts';
import { listenPrivately, removeSocket } from './socket.ts';
import { addVmRoutes } from './vm-routes.ts';

const bodyBytesMax = 64 * 1024;
const requestMsMax = 10_000;
/** Below the CLI's own deadline, so that a slow controller is told as such. */
const handlerMsMaxDefault = 12_000;
const pathParameterLengthMax = 512;

export type ApiServer = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** The REST API over one controller. */
export interface Api {
  /** Serves at a Unix socket of mode 0600. Throws PlimsollError `config-invalid` when the path is taken or unusable. */
  listen(options: { readonly path: string }): Promise<void>;
  /** Refuses new requests, lets those in flight end, and takes the socket away. */
  close(): Promise<void>;
  /** The server itself, for requests without a socket. */
  readonly server: ApiServer;
}

export interface ApiOptions {
  readonly log: Log;
  readonly version: string;
  /** An answer that takes longer is given up with 503. */
  readonly handlerMsMax?: number;
}

/** The REST API: routes that decide nothing, with every request and every answer checked against its schema. */
export async function createApi(service: ControllerService, options: ApiOptions): Promise<Api> {
  const server = await createServer(service, options);
  let socketPath: string | null = null;
  return {
    server,
    listen: async ({ path }) => {
      await listenPrivately(path, (staged) => server.listen({ path: staged }));
      socketPath = path;
    },
    close: async () => {
      const path = socketPath;
      socketPath = null;
      if (path !== null) removeSocket(path);
      await server.close();
    },
  };
}

async function createServer(service: ControllerService, options: ApiOptions): Promise<ApiServer> {
  const server: ApiServer = Fastify({
    bodyLimit: bodyBytesMax,
    requestTimeout: requestMsMax,
    handlerTimeout: options.handlerMsMax ?? handlerMsMaxDefault,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: pathParameterLengthMax },
  }).withTypeProvider<TypeBoxTypeProvider>();
  server.setValidatorCompiler(requestValidator);
  server.setSerializerCompiler(responseSerializer);
  server.setErrorHandler(failureHandler(options.log));
  server.setNotFoundHandler(answerNotFound);
  await server.register(swagger, { openapi: openApiHead(options.version) });
  await server.register(async (routes: ApiServer) => {
    addInventoryRoutes(routes, service);
    addVmRoutes(routes, service);
    addPlanRoutes(routes, service);
    addPlacementRoutes(routes, service);
    addMaintenanceRoutes(routes, service);
    addMigrationRoutes(routes, service);
    addChannelRoutes(routes, service);
    addSecurityRoutes(routes, service);
    addMetricsRoute(routes, service, options.log);
  });
  server.get('/v1/openapi.json', { schema: { hide: true } }, () => server.swagger());
  await server.ready();
  return server;
}

function openApiHead(version: string) {
  return {
    openapi: '3.1.0' as const,
    info: {
      title: 'Plimsoll',
      version,
      description:
        'Hosts, channels, plans, migrations and receipts of one cluster. Times are milliseconds since the Unix epoch; failures are {code, message}.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
  };
}
