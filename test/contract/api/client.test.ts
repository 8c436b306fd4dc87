import { ControllerClient } from '#cli/client.ts';
import { type Api, createApi } from '#controller/api/api.ts';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createFakeService } from './fake-service.ts';
import { applied, explanation, rejected, rejectedSummary, rollback, summaryOf } from './plan-resources.ts';
import { check, copying, done, hostA, hostB, plan, receipt, status, token, vmDatabase, vmWeb } from './resources.ts';
import { predictionErrors, vmCheck } from './transfer-resources.ts';

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const service = createFakeService();
const never = new AbortController().signal;
let folder = '';
let api: Api;
let client: ControllerClient;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-client-'));
  api = await createApi(service, { log, version: '0.1.0' });
  await api.listen({ path: join(folder, 'c.sock') });
  client = new ControllerClient(join(folder, 'c.sock'), never);
});

afterAll(async () => {
  await api.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('each call gets the resource the service gave', () => {
  test.each<[string, () => Promise<unknown>, unknown]>([
    ['status', () => client.status(), status],
    ['hosts', () => client.hosts(), [hostA, hostB]],
    ['host', () => client.host('host-a'), hostA],
    ['history', () => client.history('host-a', 0, 5), [{ hostId: 'host-a', atMs: hostA.joinedAtMs, cpuPercent: 95, memoryPercent: 37.5 }]],
    ['vms', () => client.vms(), [vmWeb, vmDatabase]],
    ['vm', () => client.vm('web1'), vmWeb],
    ['latestPlan', () => client.latestPlan(), plan],
    ['plan', () => client.plan('p-2'), plan],
    ['makePlan', () => client.makePlan(), plan],
    ['plans.list', () => client.plans.list(3), [summaryOf, rejectedSummary]],
    ['plans.explain', () => client.plans.explain('p-2', 'web1'), explanation],
    ['plans.explain the newest', () => client.plans.explain(null, null), explanation],
    ['plans.apply', () => client.plans.apply('p-2', ['db']), applied],
    ['plans.reject', () => client.plans.reject('p-2', 'not by day'), rejected],
    ['plans.rollBack', () => client.plans.rollBack('p-2', true), { ...rollback, dryRun: true }],
    ['migrate', () => client.migrate({ vm: 'db', toHostId: 'host-b' }), copying],
    ['checkMigrate', () => client.checkMigrate({ vm: 'web1' }), check],
    ['migrations', () => client.migrations({ state: 'open', limit: 3 }), [copying]],
    ['checkVm', () => client.checkVm('web1', null), vmCheck],
    ['predictionErrors', () => client.predictionErrors(), predictionErrors],
    ['migration', () => client.migration('m-1'), done],
    ['abortMigration', () => client.abortMigration('m-1'), { ...copying, abortAsked: true }],
    ['receipt', () => client.receipt('m-1'), receipt],
    ['createToken', () => client.createToken('host-c', 60_000), token],
    ['setMode', () => client.setMode('approve'), { ...status, mode: 'approve' }],
  ])('%s', async (_name, call, resource) => {
    expect(await call()).toEqual(resource);
  });
});

test('a reference with slashes, dots and spaces stays one name', async () => {
  for (const reference of ['../hosts', 'a b?x=1#y', '%2e%2e']) {
    await expect(client.vm(reference)).rejects.toMatchObject({
      code: 'vm-unknown',
      message: expect.stringContaining(`no VM ${reference}:`),
    });
  }
});

test('a call is given up when its signal is aborted', async () => {
  const stop = new AbortController();
  const silent = await serverAt(
    'silent.sock',
    createServer(() => undefined),
  );
  const pending = new ControllerClient(join(folder, 'silent.sock'), stop.signal).status();
  stop.abort();
  await expect(pending).rejects.toMatchObject({ code: 'interrupted' });
  silent.closeAllConnections();
  silent.close();
});

test.each([
  ['no JSON', '<html>'],
  ['another resource', '{"version":1}'],
  ['nothing', ''],
])('an answer that is %s is refused', async (_name, text) => {
  const other = await serverAt(
    'other.sock',
    createServer((_request, response) => void response.end(text)),
  );
  await expect(new ControllerClient(join(folder, 'other.sock'), never).status()).rejects.toMatchObject({
    code: 'controller-answer-invalid',
  });
  other.close();
});

test('a connection that breaks in the middle of an answer is a controller that cannot be reached', async () => {
  const other = await serverAt(
    'broken.sock',
    createServer((_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{', () => response.destroy());
    }),
  );
  await expect(new ControllerClient(join(folder, 'broken.sock'), never).status()).rejects.toMatchObject({ code: 'controller-unreachable' });
  other.close();
});

async function serverAt(name: string, server: Server): Promise<Server> {
  await new Promise<void>((resolve) => server.listen(join(folder, name), resolve));
  return server;
}
