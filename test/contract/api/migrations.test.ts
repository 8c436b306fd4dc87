import { type Api, createApi } from '#controller/api/api.ts';
import type { ControllerService } from '#controller/service.ts';
import { violations } from '#wire/validate.ts';
import { MigrateCheckSchema, MigrationSchema, VmCheckSchema } from '#wire/api.ts';
import { afterEach, describe, expect, test } from 'vitest';
import { createFakeService } from './fake-service.ts';
import { measured, plannedCheck, predictionErrors, steered, vmCheck } from './transfer-resources.ts';

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const opened: Api[] = [];

afterEach(async () => {
  for (const api of opened.splice(0)) await api.close();
});

async function ask(method: 'GET' | 'POST', url: string, options: { replaced?: Partial<ControllerService>; payload?: object } = {}) {
  const service = createFakeService(options.replaced);
  const api = await createApi(service, { log, version: '0.1.0' });
  opened.push(api);
  const answer = await api.server.inject(options.payload === undefined ? { method, url } : { method, url, payload: options.payload });
  return { asked: service.asked, status: answer.statusCode, body: answer.json() as unknown };
}

test('what the fixtures say is what the API says', () => {
  expect(violations(MigrationSchema, measured)).toEqual([]);
  expect(violations(MigrationSchema, steered)).toEqual([]);
  expect(violations(VmCheckSchema, vmCheck)).toEqual([]);
  expect(violations(MigrateCheckSchema, plannedCheck)).toEqual([]);
});

describe('the check of a VM', () => {
  test('asks about every other host, or about one', async () => {
    const all = await ask('GET', '/v1/vms/web1/check');
    expect(all).toMatchObject({ status: 200, body: vmCheck });
    expect(all.asked).toEqual([['checkVm', 'web1', null]]);
    const one = await ask('GET', '/v1/vms/web1/check?to=host-c');
    expect(one).toMatchObject({ status: 200, body: { rows: [{ hostId: 'host-c', possible: false }] } });
    expect(one.asked).toEqual([['checkVm', 'web1', 'host-c']]);
  });

  test.each([
    ['/v1/vms/nix/check', 'vm-unknown'],
    ['/v1/vms/web1/check?to=host-z', 'host-unknown'],
  ])('GET %s: %s', async (url, code) => {
    expect(await ask('GET', url)).toMatchObject({ status: 404, body: { code } });
  });

  test.each(['/v1/vms/web1/check?to=HOST', '/v1/vms/web1/check?host=host-b', '/v1/vms/web1/check?to='])(
    'GET %s is refused',
    async (url) => {
      const answer = await ask('GET', url);
      expect(answer).toMatchObject({ status: 400, body: { code: 'input-invalid' } });
      expect(answer.asked).toEqual([]);
    },
  );
});

describe('the list of migrations', () => {
  test('takes every filter, together or alone', async () => {
    const url = '/v1/migrations?open=false&vm=web%201&host=host-b&outcome=stayed&since=5&until=1793577600000&limit=7';
    expect((await ask('GET', url)).asked).toEqual([
      ['migrations', { open: false, vm: 'web 1', hostId: 'host-b', outcome: 'stayed', sinceMs: 5, untilMs: 1_793_577_600_000, limit: 7 }],
    ]);
    expect((await ask('GET', '/v1/migrations?since=0')).asked).toEqual([['migrations', { sinceMs: 0, limit: 100 }]]);
    expect((await ask('GET', '/v1/migrations?outcome=unclear')).asked).toEqual([['migrations', { outcome: 'unclear', limit: 100 }]]);
  });

  test('a name that looks like a number, true or null stays a name', async () => {
    for (const vm of ['1', 'true', 'null'])
      expect((await ask('GET', `/v1/migrations?vm=${vm}`)).asked).toEqual([['migrations', { vm, limit: 100 }]]);
  });

  test.each([
    'outcome=lost',
    'since=yesterday',
    'since=-1',
    'since=1.5',
    'until=',
    'host=A',
    'vm=',
    'sinceMs=5',
    'limit=1001',
    'limit=1e2',
  ])('?%s is refused', async (query) => {
    const answer = await ask('GET', `/v1/migrations?${query}`);
    expect(answer).toMatchObject({ status: 400, body: { code: 'input-invalid' } });
    expect(answer.asked).toEqual([]);
  });

  test('gives plan, decisions and measures', async () => {
    const replaced = { migrations: () => Promise.resolve([measured, steered]) };
    expect((await ask('GET', '/v1/migrations', { replaced })).body).toMatchObject([{ measures: { attempts: 1 } }, { decisions: [{}, {}] }]);
  });
});

test('how far predictions were off', async () => {
  expect(await ask('GET', '/v1/prediction-errors')).toMatchObject({ status: 200, body: predictionErrors });
});

describe('a wish', () => {
  const wish = {
    method: 'pre-copy',
    preset: 'gentle',
    autoConverge: false,
    streams: 2,
    compression: 'zstd',
    bandwidthBytesPerSecond: 0,
    downtimeMsMax: 300,
  };

  test('reaches the service as it is, and the dry run answers with its plan', async () => {
    const payload = { vm: 'web1', wish };
    expect((await ask('POST', '/v1/migrations', { payload })).asked).toEqual([['migrate', payload, 'local']]);
    const replaced = { checkMigrate: () => Promise.resolve(plannedCheck) };
    expect(await ask('POST', '/v1/migrations', { replaced, payload: { ...payload, dryRun: true } })).toMatchObject({
      status: 200,
      body: { plan: { prediction: { rounds: 4 } }, row: { possible: true } },
    });
  });

  test.each([
    [{}],
    [{ method: 'postcopy' }],
    [{ ...wish, streams: 0 }],
    [{ ...wish, streams: 65 }],
    [{ ...wish, bandwidthBytesPerSecond: -1 }],
    [{ ...wish, downtimeMsMax: '300ms' }],
    [{ ...wish, allowPostCopy: true }],
  ])('%j is refused', async (bad) => {
    const answer = await ask('POST', '/v1/migrations', { payload: { vm: 'web1', wish: bad } });
    expect(answer).toMatchObject({ status: 400, body: { code: 'input-invalid' } });
    expect(answer.asked).toEqual([]);
  });
});
