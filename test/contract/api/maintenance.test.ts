import { describe, expect, test } from 'vitest';
import { maintenance, maintenancePreview } from './placement-resources.ts';
import { type Api, createApi } from '#controller/api/api.ts';
import { createFakeService } from './fake-service.ts';
import { servedCli } from './served.ts';

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const wish = { hostIds: ['host-a', 'host-b'], parallel: 2, until: 'ready', reason: 'kernel' };

async function asked(method: 'GET' | 'POST', url: string, payload?: unknown) {
  const service = createFakeService();
  const api: Api = await createApi(service, { log, version: '0.1.0' });
  const headers = { 'x-plimsoll-user': 'bob', ...(payload === undefined ? {} : { 'content-type': 'application/json' }) };
  const answer = await api.server.inject({ method, url, headers, ...(payload === undefined ? {} : { payload: JSON.stringify(payload) }) });
  await api.close();
  return { status: answer.statusCode, body: answer.json() as unknown, asked: service.asked };
}

describe('the API of maintenance', () => {
  test.each<readonly ['GET' | 'POST', string, unknown, number, unknown, readonly unknown[]]>([
    ['GET', '/v1/maintenance', undefined, 200, maintenance, ['maintenance']],
    ['POST', '/v1/maintenance', wish, 202, maintenance, ['startMaintenance', wish, 'bob']],
    ['POST', '/v1/maintenance', { ...wish, hostIds: null }, 202, maintenance, ['startMaintenance', { ...wish, hostIds: null }, 'bob']],
    ['POST', '/v1/maintenance/preview', wish, 200, maintenancePreview, ['previewMaintenance', wish]],
    ['POST', '/v1/hosts/host-a/ready', undefined, 202, maintenance, ['readyHost', 'host-a', 'bob']],
  ])('%s %s', async (method, url, payload, status, body, call) => {
    expect(await asked(method, url, payload)).toEqual({ status, body, asked: [call] });
  });

  test('POST cancel', async () => {
    expect(await asked('POST', '/v1/maintenance/cancel')).toMatchObject({ status: 202, body: { outcome: 'cancelled' } });
  });

  test.each([
    { ...wish, hostIds: [] },
    { ...wish, hostIds: 'all' },
    { ...wish, parallel: 0 },
    { ...wish, parallel: 17 },
    { ...wish, until: 'noon' },
    { ...wish, other: 1 },
  ])('a wish that is none reaches nobody: %j', async (wrong) => {
    expect(await asked('POST', '/v1/maintenance', wrong)).toMatchObject({ status: 400, asked: [] });
  });
});

const served = servedCli();
const { serve } = served;
const cli = (...args: readonly string[]) => served.cli(args.join(' '));

describe('plimsoll maintenance', () => {
  test('start --yes begins with what was said', async () => {
    const service = await serve();
    const { code, out } = await cli('maintenance', 'start', 'host-a', 'host-b', '--parallel', '2', '--reason', 'kernel', '--yes');
    expect(service.asked).toEqual([['startMaintenance', wish, 'alice']]);
    expect(code).toBe(0);
    expect(out).toContain('0 of 3 done, 2 at a time, each until somebody says that it is ready');
  });

  test('show tells how far each host is, what it waits for, and what is away', async () => {
    await serve();
    const { out } = await cli('maintenance', 'show');
    expect(out).toMatch(/1 +host-a +empty +.*1 away +plimsoll maintenance ready host-a/);
    expect(out).toMatch(/2 +host-b +draining .*1 staying +db cannot be moved \(rule-pin\): it is at home/);
    expect(out).toMatch(/3 +host-c +waiting/);
    expect(out).toMatch(/web1 +host-a +host-b/);
  });

  test('-o json is the resource', async () => {
    await serve();
    expect(JSON.parse((await cli('maintenance', 'show', '-o', 'json')).out)).toEqual(maintenance);
  });

  test('start --dry-run shows what would go where and what could not, moves nothing, and ends with 1 where a host cannot be emptied', async () => {
    const service = await serve();
    const { code, out } = await cli('maintenance', 'start', '--all', '--until', 'reboot', '--dry-run');
    expect(service.asked).toEqual([['previewMaintenance', { hostIds: null, parallel: 1, until: 'reboot', reason: '' }]]);
    expect(code).toBe(1);
    expect(out).toMatch(/1\. host-a: would not be begun now, db cannot leave it/);
    expect(out).toMatch(/1 +web1 +host-b +host-b is the least loaded host/);
  });

  test('start asks before it begins, where somebody can be asked', async () => {
    const service = await serve();
    const { code, err } = await cli('maintenance', 'start', 'host-a');
    expect([code, err]).toEqual([2, expect.stringContaining('add --yes')]);
    expect(service.asked).toHaveLength(1);
  });

  test('ready and cancel say what comes of it', async () => {
    const service = await serve();
    await cli('maintenance', 'ready', 'host-a');
    const { out } = await cli('maintenance', 'cancel');
    expect(service.asked).toEqual([
      ['readyHost', 'host-a', 'alice'],
      ['cancelMaintenance', 'alice'],
    ]);
    expect(out).toContain("host-a: 'plimsoll host restore host-a' opens it and brings its VMs back.");
    expect(out).not.toContain('host-c:');
  });

  test.each<readonly [string, readonly string[]]>([
    ['name the hosts in their order, or say --all', ['start']],
    ['name the hosts in their order, or say --all', ['start', 'host-a', '--all']],
    ['Write a whole number from 1 to 16', ['start', 'host-a', '--parallel', '17']],
    ['Allowed choices are ready, reboot', ['start', 'host-a', '--until', 'noon']],
  ])('says: %s', async (sentence, args) => {
    const service = await serve();
    const { code, err } = await cli('maintenance', ...args);
    expect([code, err]).toEqual([2, expect.stringContaining(sentence)]);
    expect(service.asked).toEqual([]);
  });
});
