import { type Api, createApi } from '#controller/api/api.ts';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createFakeService, type FakeService } from './fake-service.ts';
import { cordon, draining, nightly, preview, rule } from './placement-resources.ts';
import { type CliRun, runCli } from './run-cli.ts';

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
let folder = '';
let socketPath = '';
let service: FakeService;
let api: Api;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-placement-'));
  socketPath = join(folder, 'c.sock');
  service = createFakeService();
  api = await createApi(service, { log, version: '0.1.0' });
});

afterEach(async () => {
  await api.close();
  rmSync(folder, { recursive: true, force: true });
});

async function ask(method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, payload?: unknown) {
  const headers = { 'x-plimsoll-user': 'bob', ...(payload === undefined ? {} : { 'content-type': 'application/json' }) };
  const answer = await api.server.inject({ method, url, headers, ...(payload === undefined ? {} : { payload: JSON.stringify(payload) }) });
  return { status: answer.statusCode, body: answer.json() as unknown };
}

async function cli(...args: readonly string[]): Promise<CliRun> {
  await api.listen({ path: socketPath });
  return runCli(args, { env: { PLIMSOLL_CONTROLLER: `unix:${socketPath}` } });
}

describe('the API of rules, cordons and drains', () => {
  test.each<readonly ['GET' | 'POST' | 'PUT' | 'DELETE', string, unknown, number, unknown, readonly unknown[]]>([
    ['GET', '/v1/rules', undefined, 200, [nightly, rule], ['rules']],
    ['POST', '/v1/rules', rule.rule, 201, { ...rule, by: 'bob', atMs: nightly.atMs }, ['addRule', rule.rule, 'bob']],
    ['DELETE', '/v1/rules/web-apart', undefined, 200, rule, ['removeRule', 'web-apart', 'bob']],
    ['PUT', '/v1/hosts/host-a/cordon', { reason: 'new disk' }, 200, cordon, ['cordon', 'host-a', 'new disk', 'bob']],
    ['DELETE', '/v1/hosts/host-a/cordon', undefined, 200, { hostId: 'host-a', cordon: null }, ['uncordon', 'host-a', 'bob']],
    ['GET', '/v1/drains', undefined, 200, [draining], ['drains']],
    ['GET', '/v1/hosts/host-a/drain', undefined, 200, draining, ['drain', 'host-a']],
    ['GET', '/v1/hosts/host-a/drain/preview', undefined, 200, preview, ['previewDrain', 'host-a']],
    ['POST', '/v1/hosts/host-a/drain', { reason: '' }, 202, draining, ['startDrain', 'host-a', '', 'bob']],
  ])('%s %s', async (method, url, payload, status, body, asked) => {
    expect(await ask(method, url, payload)).toEqual({ status, body });
    expect(service.asked).toEqual([asked]);
  });

  test.each(['cancel', 'restore'])('POST drain/%s', async (verb) => {
    expect(await ask('POST', `/v1/hosts/host-a/drain/${verb}`)).toMatchObject({ status: 202, body: { hostId: 'host-a' } });
  });

  test.each([
    { kind: 'pin', name: 'p', vms: ['web1'] },
    { kind: 'pin', name: 'p', vms: ['web1'], hosts: [] },
    { kind: 'affinity', name: 'p', vms: [] },
    { kind: 'affinity', name: 'With Blanks', vms: ['web1'] },
    { kind: 'affinity', name: 'p', vms: ['web1'], hosts: ['host-a'] },
    { kind: 'blackout', name: 'p', vms: ['*'] },
    { kind: 'blackout', name: 'p', vms: ['*'], when: { fromMinute: 1440, untilMinute: 6, weekdays: ['mon'], utcOffsetMinutes: 0 } },
    { kind: 'other', name: 'p', vms: ['*'] },
    { kind: 'ignore', name: 'p', vms: Array.from({ length: 300 }, (_, index) => `vm-${index}`) },
  ])('a rule that is none reaches nobody: %j', async (wrong) => {
    expect((await ask('POST', '/v1/rules', wrong)).status).toBe(400);
    expect(service.asked).toEqual([]);
  });

  test('a host that is not there is named', async () => {
    expect(await ask('POST', '/v1/hosts/host-x/drain', { reason: '' })).toMatchObject({ status: 404, body: { code: 'host-unknown' } });
  });
});

describe('the commands', () => {
  test('rule add makes the rule that was said, and shows what of it cannot be kept', async () => {
    const times = ['--from', '22:00', '--until', '06:00', '--days', 'mon-fri', '--offset', '+01:00'];
    const { code, out } = await cli('rule', 'add', 'blackout', 'nightly', '--vm', '*', ...times);
    expect(service.asked).toEqual([['addRule', nightly.rule, 'alice']]);
    expect([code, out]).toEqual([
      0,
      'nightly: blackout of *, 22:00-06:00 mon,tue,wed,thu,fri +01:00\nwarning: web-apart means one VM only, web1: a group needs two\n',
    ]);
  });

  test.each<readonly [string, readonly string[]]>([
    ['say which VMs', ['pin', 'p', '--host', 'host-a']],
    ['say which hosts', ['pin', 'p', '--vm', 'web1']],
    ['names no host', ['ignore', 'p', '--vm', 'web1', '--host', 'host-a']],
    ['say when', ['window', 'p', '--vm', '*', '--from', '22:00']],
    ['has no time', ['ignore', 'p', '--vm', '*', '--from', '22:00']],
    ['one of pin', ['pinned', 'p', '--vm', '*']],
    ['means no label', ['ignore', 'p', '--vm', 'label:Tier=web']],
    ["'*' has no meaning there", ['ignore', 'p', '--vm', 'web-1,label:tier=w*']],
    ['days such as', ['window', 'p', '--vm', '*', '--days', 'monday']],
  ])('rule add says: %s', async (sentence, args) => {
    const { code, err } = await cli('rule', 'add', ...args);
    expect([code, err]).toEqual([2, expect.stringContaining(sentence)]);
    expect(service.asked).toEqual([]);
  });

  test('rule add takes labels', async () => {
    const { code } = await cli('rule', 'add', 'ignore', 'by-hand', '--vm', 'label:tier=web,label:rack');
    expect([code, service.asked]).toEqual([
      0,
      [['addRule', { kind: 'ignore', name: 'by-hand', vms: ['label:tier=web', 'label:rack'] }, 'alice']],
    ]);
  });

  test('rule list shows each rule in a line', async () => {
    const { out } = await cli('rule', 'list');
    expect(out).toContain('nightly    blackout       *     22:00-06:00 mon,tue,wed,thu,fri +01:00');
    expect(out).toContain('warning: web-apart means one VM only');
  });

  test('host cordon and uncordon say what holds from then on', async () => {
    expect((await cli('host', 'cordon', 'host-a', '--reason', 'new disk')).out).toBe(
      'host-a is cordoned (new disk): it takes no new VMs, those that run there stay.\n',
    );
  });

  test('host drain --dry-run shows what would go where, and moves nothing', async () => {
    const { code, out } = await cli('host', 'drain', 'host-a', '--dry-run');
    expect(service.asked).toEqual([['previewDrain', 'host-a']]);
    expect(code).toBe(0);
    expect(out).toMatch(/1 +web1 +host-b +host-b is the least loaded host/);
    expect(out).toMatch(/db +no-target-memory +no host has 8 GiB for db/);
  });

  test('host drain asks before it begins, where somebody can be asked', async () => {
    const { code, err } = await cli('host', 'drain', 'host-a');
    expect([code, err]).toEqual([2, expect.stringContaining('add --yes')]);
    expect(service.asked).toEqual([['previewDrain', 'host-a']]);
  });

  test('host drain --yes begins and shows how it stands', async () => {
    const { code, out } = await cli('host', 'drain', 'host-a', '--yes', '--reason', 'new disk');
    expect(service.asked).toEqual([['startDrain', 'host-a', 'new disk', 'alice']]);
    expect(code).toBe(0);
    expect(out).toContain('1 moving, 1 waiting, 0 moved away, 1 staying');
  });

  test('Ctrl-C while a drain is watched cancels it', async () => {
    await api.listen({ path: socketPath });
    const run = await runCli(['host', 'drain', 'host-a', '--yes', '--watch'], {
      env: { PLIMSOLL_CONTROLLER: `unix:${socketPath}` },
      onOutput: (output, signal) => {
        if (output.includes('Cannot be moved')) signal('SIGINT');
      },
    });
    expect(service.asked.at(-1)).toEqual(['cancelDrain', 'host-a', 'alice']);
    expect([run.code, run.err]).toEqual([130, expect.stringContaining('is cancelled')]);
    expect(run.out).toContain('is still cordoned');
  });
});
