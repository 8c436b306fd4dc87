import { type Api, createApi } from '#controller/api/api.ts';
import type { ControllerService } from '#controller/service.ts';
import { PlimsollError, type RefusalCode } from '#core/model/result.ts';
import { existsSync, linkSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createFakeService, type FakeService } from './fake-service.ts';
import { fakePlans } from './plan-resources.ts';
import {
  auditEntry,
  balance,
  certificate,
  channel,
  check,
  copying,
  done,
  grant,
  hostA,
  hostB,
  plan,
  proven,
  receipt,
  reset,
  revocation,
  status,
  token,
  tuned,
  vmDatabase,
  vmWeb,
} from './resources.ts';

const opened: Api[] = [];
let folder = '';
let logged: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-api-'));
  logged = [];
});

afterEach(async () => {
  for (const api of opened.splice(0)) await api.close();
  rmSync(folder, { recursive: true, force: true });
});

async function open(service: ControllerService, limits: { readonly handlerMsMax?: number } = {}): Promise<Api> {
  const log = {
    info: () => undefined,
    warn: () => undefined,
    error: (message: string, fields?: object) => logged.push(`${message} ${JSON.stringify(fields)}`),
  };
  const api = await createApi(service, { log, version: '0.1.0', ...limits });
  opened.push(api);
  return api;
}

interface Asked {
  readonly service: FakeService;
  readonly status: number;
  readonly body: unknown;
}

async function ask(method: 'GET' | 'POST' | 'PUT', url: string, options: AskOptions = {}): Promise<Asked> {
  const service = createFakeService(options.replaced);
  const api = await open(service);
  const { headers = {}, payload } = options;
  const answer = await api.server.inject(payload === undefined ? { method, url, headers } : { method, url, headers, payload });
  return { service, status: answer.statusCode, body: answer.json() };
}

interface AskOptions {
  readonly replaced?: Partial<ControllerService>;
  readonly headers?: Record<string, string>;
  readonly payload?: object;
}

describe('each resource is served as the service gives it', () => {
  test.each([
    ['/v1/status', status],
    ['/v1/hosts', [hostA, hostB]],
    ['/v1/hosts/host-a', hostA],
    ['/v1/vms', [vmWeb, vmDatabase]],
    ['/v1/vms/web1', vmWeb],
    [`/v1/vms/${vmWeb.vmId}`, vmWeb],
    ['/v1/balance', balance],
    ['/v1/plan', plan],
    ['/v1/plans/p-2', plan],
    ['/v1/migrations', [copying]],
    ['/v1/migrations/m-1', done],
    ['/v1/receipts/m-1', receipt],
    ['/v1/channels', [channel]],
    ['/v1/channels/host-a/host-b', channel],
    ['/v1/hosts/host-a/certificates', [certificate]],
    ['/v1/grants', [grant]],
    ['/v1/audit', [auditEntry]],
  ])('GET %s', async (url, resource) => {
    const answer = await ask('GET', url);
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual(JSON.parse(JSON.stringify(resource)));
  });
});

describe('what is asked reaches the service', () => {
  test('history takes its window and its limit, with defaults', async () => {
    expect((await ask('GET', '/v1/hosts/host-a/history?sinceMs=5&limit=7')).service.asked).toEqual([['history', 'host-a', 5, 7]]);
    expect((await ask('GET', '/v1/hosts/host-a/history')).service.asked).toEqual([['history', 'host-a', 0, 1000]]);
  });

  test('migrations are filtered by open and limit', async () => {
    expect((await ask('GET', '/v1/migrations?open=true&limit=7')).service.asked).toEqual([['migrations', { open: true, limit: 7 }]]);
    expect((await ask('GET', '/v1/migrations?open=false')).service.asked).toEqual([['migrations', { open: false, limit: 100 }]]);
    expect((await ask('GET', '/v1/migrations')).service.asked).toEqual([['migrations', { limit: 100 }]]);
  });

  test('planning now answers 201, applying 202 with who asked', async () => {
    expect(await ask('POST', '/v1/plans')).toMatchObject({ status: 201, body: { planId: 'p-2' } });
    const applied = await ask('POST', '/v1/plans/p-2/apply', { headers: { 'x-plimsoll-user': 'alice' } });
    expect(applied.status).toBe(202);
    expect(applied.service.asked).toEqual([['applyPlan', 'p-2', null, 'alice']]);
  });

  test('a migration is started for the user of the header, else for local', async () => {
    const payload = { vm: 'web1', toHostId: 'host-b' };
    const named = await ask('POST', '/v1/migrations', { payload, headers: { 'x-plimsoll-user': 'bob' } });
    expect(named).toMatchObject({ status: 202, body: { request: { migrationId: 'm-1' } } });
    expect(named.service.asked).toEqual([['migrate', payload, 'bob']]);
    expect((await ask('POST', '/v1/migrations', { payload })).service.asked).toEqual([['migrate', payload, 'local']]);
  });

  test('a dry run only checks; without it the same request migrates', async () => {
    const dry = await ask('POST', '/v1/migrations', { payload: { vm: 'web1', dryRun: true } });
    expect(dry).toMatchObject({ status: 200, body: check });
    expect(dry.service.asked.map(([call]) => call)).toEqual(['checkMigrate']);
    const real = await ask('POST', '/v1/migrations', { payload: { vm: 'web1', dryRun: false } });
    expect(real.service.asked.map(([call]) => call)).toEqual(['migrate']);
  });

  test('an abort, a token and a mode', async () => {
    expect(await ask('POST', '/v1/migrations/m-1/abort')).toMatchObject({ status: 202, body: { abortAsked: true } });
    const made = await ask('POST', '/v1/tokens', { payload: { hostId: 'host-c', lifetimeMs: 5000 } });
    expect(made).toMatchObject({ status: 201, body: token });
    expect(made.service.asked).toEqual([['createToken', 'host-c', 5000]]);
    expect((await ask('POST', '/v1/tokens', { payload: { hostId: 'host-c' } })).service.asked).toEqual([
      ['createToken', 'host-c', 3_600_000],
    ]);
    expect(await ask('PUT', '/v1/mode', { payload: { mode: 'approve' } })).toMatchObject({ status: 200, body: { mode: 'approve' } });
  });
});

describe('what is asked of channels and of membership reaches the service with who asked', () => {
  const headers = { 'x-plimsoll-user': 'bob' };

  test.each<[url: string, payload: object | undefined, status: number, answer: object, asked: readonly unknown[]]>([
    ['/v1/channels/a/b/prove', { keep: true }, 200, proven, ['proveChannel', 'a', 'b', { keep: true }, 'bob']],
    ['/v1/channels/a/b/prove', { profile: 'ah+esp' }, 200, proven, ['proveChannel', 'a', 'b', { profile: 'ah+esp' }, 'bob']],
    [
      '/v1/channels/a/b/tune',
      { apply: true, streamMs: 500 },
      200,
      { ...tuned, applied: true },
      ['tuneChannel', 'a', 'b', { apply: true, streamMs: 500 }, 'bob'],
    ],
    ['/v1/channels/a/b/reset', undefined, 200, reset, ['resetChannel', 'a', 'b', 'bob']],
    ['/v1/certificates/renew', {}, 200, [{ hostId: 'host-a', certificate, refusal: null }], ['renewCertificates', null, 'bob']],
    ['/v1/certificates/renew', { hostId: 'a' }, 200, [{ hostId: 'host-a', certificate, refusal: null }], ['renewCertificates', 'a', 'bob']],
    ['/v1/hosts/host-a/revoke', { reason: 'disk stolen' }, 200, revocation, ['revokeHost', 'host-a', 'disk stolen', 'bob']],
    ['/v1/grants/g-1/approve', undefined, 200, { ...grant, state: 'approved', approvedBy: 'bob' }, ['approveGrant', 'g-1', 'bob']],
    ['/v1/grants/g-1/withdraw', undefined, 200, { ...grant, state: 'withdrawn' }, ['withdrawGrant', 'g-1', 'bob']],
  ])('POST %s %j', async (url, payload, expected, answer, asked) => {
    const result = await ask('POST', url, payload === undefined ? { headers } : { headers, payload });
    expect(result).toMatchObject({ status: expected, body: answer });
    expect(result.service.asked).toEqual([asked]);
  });

  test('a grant is requested with its reason and its lifetime', async () => {
    const payload = { fromHostId: 'host-a', toHostId: 'host-b', reason: 'charon crashes', lifetimeMs: 60_000 };
    const made = await ask('POST', '/v1/grants', { headers, payload });
    expect(made).toMatchObject({ status: 201, body: grant });
    expect(made.service.asked).toEqual([['requestGrant', payload, 'bob']]);
  });

  test('a migration may name another channel and its grant', async () => {
    const payload = { vm: 'web1', toHostId: 'host-b', channelKind: 'none', grantId: 'g-1' };
    expect((await ask('POST', '/v1/migrations', { payload })).service.asked).toEqual([['migrate', payload, 'local']]);
  });

  test('lists are limited', async () => {
    expect((await ask('GET', '/v1/audit?limit=7')).service.asked).toEqual([['audit', 7]]);
    expect((await ask('GET', '/v1/grants')).service.asked).toEqual([['grants', 100]]);
  });
});

describe('refusals', () => {
  test.each<[RefusalCode, number]>([
    ['input-invalid', 400],
    ['destination-same-as-source', 400],
    ['vm-unknown', 404],
    ['vm-busy', 409],
    ['mode-forbids', 409],
    ['migration-limit', 409],
    ['plan-expired', 410],
    ['host-revoked', 409],
    ['grant-missing', 409],
    ['grant-invalid', 409],
    ['clock-skew', 409],
    ['certificate-expired', 409],
    ['profile-unsupported', 409],
    ['host-down', 503],
    ['hypervisor-unavailable', 503],
    ['internal', 500],
  ])('%s is answered as %i with its code and sentence', async (code, expected) => {
    const answer = await ask('GET', '/v1/vms/web1', { replaced: { vm: () => Promise.reject(new PlimsollError(code, 'the sentence')) } });
    expect(answer.status).toBe(expected);
    expect(answer.body).toEqual({ code, message: 'the sentence' });
  });

  test('before the first round there is no plan', async () => {
    const answer = await ask('GET', '/v1/plan', {
      replaced: { plans: { ...fakePlans((value) => Promise.resolve(value)), latest: () => Promise.resolve(null) } },
    });
    expect(answer).toMatchObject({ status: 404, body: { code: 'plan-unknown' } });
  });

  test('what nobody expected is logged, and nothing of it is shown', async () => {
    const answer = await ask('GET', '/v1/status', { replaced: { status: () => Promise.reject(new Error('secret detail')) } });
    expect(answer.status).toBe(500);
    expect(answer.body).toEqual({ code: 'internal', message: 'the controller failed to answer: its log says why' });
    expect(logged.join()).toContain('secret detail');
  });

  test('a service that does not answer in time is answered for with 503', async () => {
    const service = createFakeService({ hosts: () => new Promise(() => undefined) });
    const { server } = await open(service, { handlerMsMax: 30 });
    const answer = await server.inject('/v1/hosts');
    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toMatchObject({ code: 'command-timeout' });
  });

  test('an answer that breaks its schema is not sent', async () => {
    const broken = { ...status, hostsUp: -1 };
    const answer = await ask('GET', '/v1/status', { replaced: { status: () => Promise.resolve(broken) } });
    expect(answer).toMatchObject({ status: 500, body: { code: 'internal' } });
    expect(logged.join()).toContain('/hostsUp');
  });

  test.each<['GET' | 'POST' | 'PUT', string, AskOptions]>([
    ['GET', '/v1/hosts/NOT_A_NAME', {}],
    ['GET', '/v1/plans/%00', {}],
    ['GET', '/v1/hosts/host-a/history?limit=0', {}],
    ['GET', '/v1/hosts/host-a/history?sinceMs=yesterday', {}],
    ['GET', '/v1/migrations?limit=100000', {}],
    ['GET', '/v1/migrations?opne=true', {}],
    ['GET', '/v1/status?verbose=1', {}],
    ['POST', '/v1/migrations', { payload: {} }],
    ['POST', '/v1/migrations', { payload: { vm: 'web1', dryrun: true } }],
    ['POST', '/v1/migrations', { payload: { vm: 7 } }],
    ['POST', '/v1/migrations', { payload: { vm: 'web1', dryRun: 'true' } }],
    ['POST', '/v1/migrations', {}],
    ['POST', '/v1/migrations', { payload: { vm: 'web1' }, headers: { 'x-plimsoll-user': 'a\u00e9\u0080' } }],
    ['POST', '/v1/tokens', { payload: { hostId: 'host-c', lifetimeMs: 1 } }],
    ['PUT', '/v1/mode', { payload: { mode: 'reckless' } }],
    ['POST', '/v1/migrations', { payload: { vm: 'web1', channelKind: 'carrier-pigeon' } }],
    ['POST', '/v1/channels/a/b/prove', { payload: { profile: 'esp' } }],
    ['POST', '/v1/channels/a/b/tune', { payload: { streamMs: 600_000 } }],
    ['POST', '/v1/channels/a/B/reset', {}],
    ['POST', '/v1/hosts/host-a/revoke', { payload: {} }],
    ['POST', '/v1/hosts/host-a/revoke', { payload: { reason: '' } }],
    ['POST', '/v1/grants', { payload: { fromHostId: 'a', toHostId: 'b', reason: 'urgent', lifetimeMs: 1e9 } }],
    ['POST', '/v1/certificates/renew', { payload: { host: 'a' } }],
    ['GET', '/v1/audit?limit=0', {}],
  ])('%s %s %j is refused as invalid and never reaches the service', async (method, url, options) => {
    const answer = await ask(method, url, options);
    expect(answer).toMatchObject({ status: 400, body: { code: 'input-invalid' } });
    expect(answer.service.asked).toEqual([]);
  });

  test('malformed JSON, a foreign media type, a body that is too large and an unknown path have their own statuses', async () => {
    const { server } = await open(createFakeService());
    const post = (payload: string, type: string) =>
      server.inject({ method: 'POST', url: '/v1/migrations', payload, headers: { 'content-type': type } });
    expect((await post('{', 'application/json')).statusCode).toBe(400);
    expect((await post('vm: web1', 'application/yaml')).statusCode).toBe(415);
    expect((await post(JSON.stringify({ vm: 'x'.repeat(100_000) }), 'application/json')).statusCode).toBe(413);
    const missing = await server.inject({ method: 'DELETE', url: '/v1/hosts/host-a' });
    expect(missing.statusCode).toBe(404);
    expect(missing.json()).toMatchObject({ code: 'input-invalid' });
  });
});

describe('the socket', () => {
  test('has mode 0600, answers, leaves nothing else behind, and is gone after a close', async () => {
    const path = join(folder, 'run', 'c.sock');
    const api = await open(createFakeService());
    await api.listen({ path });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(folder, 'run'))).toEqual(['c.sock']);
    expect(await statusOver(path)).toBe(200);
    await api.close();
    expect(readdirSync(join(folder, 'run'))).toEqual([]);
  });

  test('a stale socket file is replaced', async () => {
    const path = join(folder, 'c.sock');
    await leaveStaleSocket(path);
    const api = await open(createFakeService());
    await api.listen({ path });
    expect(await statusOver(path)).toBe(200);
  });

  test('a socket on which somebody listens is left alone', async () => {
    const path = join(folder, 'c.sock');
    await (await open(createFakeService())).listen({ path });
    const second = await open(createFakeService());
    await expect(second.listen({ path })).rejects.toMatchObject({ code: 'config-invalid' });
    await second.close();
    expect(await statusOver(path)).toBe(200);
  });

  test('a file that is no socket is left alone', async () => {
    const path = join(folder, 'c.sock');
    writeFileSync(path, 'precious');
    await expect((await open(createFakeService())).listen({ path })).rejects.toMatchObject({ code: 'config-invalid' });
    expect(existsSync(path)).toBe(true);
  });

  test('a path that the kernel would cut is refused', async () => {
    const path = join(folder, 'x'.repeat(120));
    await expect((await open(createFakeService())).listen({ path })).rejects.toMatchObject({ code: 'config-invalid' });
  });
});

function statusOver(socketPath: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: '/v1/status', agent: false }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode));
    });
    call.once('error', reject);
    call.end();
  });
}

/** A socket file as a killed process leaves it: bound once, nobody listens. */
async function leaveStaleSocket(path: string): Promise<void> {
  const staged = `${path}.bound`;
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(staged, resolve));
  linkSync(staged, path);
  await new Promise((resolve) => server.close(resolve));
  const refused = await new Promise((resolve) => connect(path).once('error', (error) => resolve('code' in error && error.code)));
  expect(refused).toBe('ECONNREFUSED');
}
