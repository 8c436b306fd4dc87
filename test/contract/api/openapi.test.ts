import { createApi } from '#controller/api/api.ts';
import { expect, test } from 'vitest';
import { createFakeService } from './fake-service.ts';

test('the OpenAPI document describes every route', async () => {
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const api = await createApi(createFakeService(), { log, version: '0.1.0' });
  const answer = await api.server.inject({ method: 'GET', url: '/v1/openapi.json' });
  await api.close();
  expect(answer.statusCode).toBe(200);
  const { openapi, paths } = answer.json() as { openapi: string; paths: Record<string, Record<string, { responses: object }>> };
  expect(openapi).toBe('3.1.0');
  const routes = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`));
  expect(routes.toSorted((a, b) => a.localeCompare(b))).toEqual([
    'delete /v1/hosts/{hostId}/cordon',
    'delete /v1/rules/{name}',
    'get /metrics',
    'get /v1/audit',
    'get /v1/balance',
    'get /v1/channels',
    'get /v1/channels/{hostA}/{hostB}',
    'get /v1/drains',
    'get /v1/grants',
    'get /v1/hosts',
    'get /v1/hosts/{hostId}',
    'get /v1/hosts/{hostId}/certificates',
    'get /v1/hosts/{hostId}/drain',
    'get /v1/hosts/{hostId}/drain/preview',
    'get /v1/hosts/{hostId}/history',
    'get /v1/maintenance',
    'get /v1/migrations',
    'get /v1/migrations/{migrationId}',
    'get /v1/plan',
    'get /v1/plan/explanation',
    'get /v1/plans',
    'get /v1/plans/{planId}',
    'get /v1/plans/{planId}/explanation',
    'get /v1/prediction-errors',
    'get /v1/receipts/{migrationId}',
    'get /v1/rules',
    'get /v1/snapshot',
    'get /v1/status',
    'get /v1/vms',
    'get /v1/vms/{ref}',
    'get /v1/vms/{ref}/check',
    'get /v1/vms/{ref}/settings',
    'post /v1/certificates/renew',
    'post /v1/channels/{hostA}/{hostB}/prove',
    'post /v1/channels/{hostA}/{hostB}/reset',
    'post /v1/channels/{hostA}/{hostB}/tune',
    'post /v1/grants',
    'post /v1/grants/{grantId}/approve',
    'post /v1/grants/{grantId}/withdraw',
    'post /v1/hosts/{hostId}/drain',
    'post /v1/hosts/{hostId}/drain/cancel',
    'post /v1/hosts/{hostId}/drain/restore',
    'post /v1/hosts/{hostId}/ready',
    'post /v1/hosts/{hostId}/revoke',
    'post /v1/maintenance',
    'post /v1/maintenance/cancel',
    'post /v1/maintenance/preview',
    'post /v1/migrations',
    'post /v1/migrations/{migrationId}/abort',
    'post /v1/plans',
    'post /v1/plans/{planId}/apply',
    'post /v1/plans/{planId}/reject',
    'post /v1/plans/{planId}/rollback',
    'post /v1/rules',
    'post /v1/tokens',
    'put /v1/hosts/{hostId}/cordon',
    'put /v1/mode',
    'put /v1/vms/{ref}/settings',
  ]);
  expect(Object.keys(paths['/v1/migrations']?.['post']?.responses ?? {})).toEqual(['200', '202', '4XX', '5XX']);
});
