import type { ControllerService } from '#controller/service.ts';
import {
  AuditEntrySchema,
  CertificateSchema,
  GrantBodySchema,
  GrantSchema,
  RenewalSchema,
  RenewBodySchema,
  RevocationSchema,
  RevokeBodySchema,
} from '#wire/security-api.ts';
import { strict } from '#wire/resources.ts';
import { Type } from 'typebox';
import type { ApiServer } from './api.ts';
import { answers, askedBy, AskerHeadersSchema, GrantPathSchema, HostPathSchema, NoQuerySchema } from './route-schemas.ts';

const listLimitMax = 1000;
const listLimitDefault = 100;
/** Hosts that do not answer hold up a renewal of all. */
const renewMsMax = 120_000;

const ListQuerySchema = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: listLimitMax, description: `At most this many, the newest (default: ${listLimitDefault})` }),
    ),
  },
  strict,
);

/** Certificates and revocation of hosts, `/v1/grants`, `/v1/audit`. */
export function addSecurityRoutes(server: ApiServer, service: ControllerService): void {
  addCertificateRoutes(server, service);
  addRevokeRoute(server, service);
  addGrantRoutes(server, service);
  server.get(
    '/v1/audit',
    {
      schema: {
        summary: 'Who did what with the security of the cluster, newest first',
        querystring: ListQuerySchema,
        response: answers({ 200: Type.Array(AuditEntrySchema) }),
      },
    },
    async (request) => [...(await service.audit(request.query.limit ?? listLimitDefault))],
  );
}

function addCertificateRoutes(server: ApiServer, service: ControllerService): void {
  server.get(
    '/v1/hosts/:hostId/certificates',
    {
      schema: {
        summary: "A host's certificates, those that end last first",
        params: HostPathSchema,
        querystring: NoQuerySchema,
        response: answers({ 200: Type.Array(CertificateSchema) }),
      },
    },
    async (request) => [...(await service.certificates(request.params.hostId))],
  );
  server.post(
    '/v1/certificates/renew',
    {
      handlerTimeout: renewMsMax,
      schema: {
        summary: 'Gives one host, or every connected one, a new key and certificate; channels and migrations go on',
        headers: AskerHeadersSchema,
        body: RenewBodySchema,
        response: answers({ 200: Type.Array(RenewalSchema) }),
      },
    },
    async (request) => [...(await service.renewCertificates(request.body.hostId ?? null, askedBy(request.headers)))],
  );
}

function addRevokeRoute(server: ApiServer, service: ControllerService): void {
  server.post(
    '/v1/hosts/:hostId/revoke',
    {
      schema: {
        summary: 'Puts a host out of the cluster: its certificates, its line and its channels end within 5 s',
        headers: AskerHeadersSchema,
        params: HostPathSchema,
        body: RevokeBodySchema,
        response: answers({ 200: RevocationSchema }),
      },
    },
    (request) => service.revokeHost(request.params.hostId, request.body.reason, askedBy(request.headers)),
  );
}

function addGrantRoutes(server: ApiServer, service: ControllerService): void {
  server.get(
    '/v1/grants',
    {
      schema: {
        summary: 'Break-glass grants, newest first',
        querystring: ListQuerySchema,
        response: answers({ 200: Type.Array(GrantSchema) }),
      },
    },
    async (request) => [...(await service.grants(request.query.limit ?? listLimitDefault))],
  );
  server.post(
    '/v1/grants',
    {
      schema: {
        summary: 'Asks for permission to migrate in plain text; another person has to approve it',
        headers: AskerHeadersSchema,
        body: GrantBodySchema,
        response: answers({ 201: GrantSchema }),
      },
    },
    async (request, reply) => reply.code(201).send(await service.requestGrant(request.body, askedBy(request.headers))),
  );
  for (const [verb, summary, change] of [
    ['approve', 'Approves a grant that another person has requested', service.approveGrant.bind(service)],
    ['withdraw', 'Ends a grant early', service.withdrawGrant.bind(service)],
  ] as const) {
    server.post(
      `/v1/grants/:grantId/${verb}`,
      { schema: { summary, headers: AskerHeadersSchema, params: GrantPathSchema, response: answers({ 200: GrantSchema }) } },
      (request) => change(request.params.grantId, askedBy(request.headers)),
    );
  }
}
