import { type Api, createApi } from '#controller/api/api.ts';
import type { ControllerService } from '#controller/service.ts';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createFakeService, type FakeService } from './fake-service.ts';
import { nowMs, vmWeb } from './resources.ts';
import { type CliRun, runCli } from './run-cli.ts';
import { vmSettings } from './transfer-resources.ts';

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const opened: Api[] = [];
let folder = '';
let socketPath = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-vm-'));
  socketPath = join(folder, 'c.sock');
});

afterEach(async () => {
  for (const api of opened.splice(0)) await api.close();
  rmSync(folder, { recursive: true, force: true });
});

async function serve(replaced: Partial<ControllerService> = {}): Promise<{ readonly service: FakeService; readonly api: Api }> {
  const service = createFakeService(replaced);
  const api = await createApi(service, { log, version: '0.1.0' });
  opened.push(api);
  return { service, api };
}

async function put(payload: unknown, url = '/v1/vms/web1/settings') {
  const { service, api } = await serve();
  const headers = { 'x-plimsoll-user': 'bob', 'content-type': 'application/json' };
  const answer = await api.server.inject({ method: 'PUT', url, headers, payload: JSON.stringify(payload) });
  return { asked: service.asked, status: answer.statusCode, body: answer.json() as unknown };
}

async function get(replaced: Partial<ControllerService> = {}) {
  const { api } = await serve(replaced);
  return api.server.inject({ method: 'GET', url: '/v1/vms/web1/settings' });
}

async function cli(line: string, replaced: Partial<ControllerService> = {}): Promise<CliRun & { readonly service: FakeService }> {
  const { service, api } = await serve(replaced);
  await api.listen({ path: socketPath });
  return { ...(await runCli(line.split(' '), { env: { PLIMSOLL_CONTROLLER: `unix:${socketPath}` } })), service };
}

const shown = {
  vmId: vmWeb.vmId,
  address: '10.0.0.5',
  restartable: false,
  slaClass: null,
  effectiveClass: 'standard',
  tenant: null,
  labels: {},
  updatedAtMs: nowMs - 60_000,
};

describe('the settings of a VM', () => {
  test('are given without its definition, which has passwords in it', async () => {
    const answer = await get();
    expect(answer.json()).toEqual(shown);
    expect(vmSettings.definitionText).toContain('hidden');
    expect(answer.body).not.toContain('hidden');
  });

  test('that nobody has ever changed have no time of change', async () => {
    expect((await get({ vmSettings: () => Promise.resolve({ ...vmSettings, updatedAtMs: 0 }) })).json()).toMatchObject({
      updatedAtMs: null,
    });
  });

  test.each([
    [{ address: '2001:db8::7' }],
    [{ address: null }],
    [{ restartable: true }],
    [{ address: '192.0.2.7', restartable: false }],
    [{ slaClass: 'critical' }],
    [{ slaClass: null, tenant: 'acme' }],
    [{ labels: { tier: 'db', rack: null } }],
  ])('%j reaches the service with who asked, and nothing else does', async (change) => {
    const answer = await put(change);
    expect(answer).toMatchObject({ status: 200, body: { ...shown, ...change, labels: { tier: 'db' }, updatedAtMs: nowMs } });
    expect(answer.asked).toEqual([['setVm', 'web1', change, 'bob']]);
  });

  test.each([
    [{}],
    [[]],
    [{ address: '' }],
    [{ address: 'web1.example.org' }],
    [{ restartable: 'yes' }],
    [{ slaClass: 'Gold' }],
    [{ labels: { Tier: 'web' } }],
    [{ labels: { tier: 'a b' } }],
    [{ labels: { tier: '' } }],
    [{ labels: [] }],
    [{ labels: Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`key${index}`, 'a'])) }],
    [{ slaClass: '' }],
    [{ tenant: 'a b' }],
    [{ definitionText: '<domain/>' }],
  ])('%j is refused', async (bad) => {
    const answer = await put(bad);
    expect(answer).toMatchObject({ status: 400, body: { code: 'input-invalid' } });
    expect(answer.asked).toEqual([]);
  });

  test('of a VM that is not there', async () => {
    expect(await put({ restartable: true }, '/v1/vms/nix/settings')).toMatchObject({ status: 404, body: { code: 'vm-unknown' } });
  });
});

describe('plimsoll vm set', () => {
  test.each([
    ['--address 2001:db8::7', { address: '2001:db8::7' }],
    ['--restartable no --address none', { address: null, restartable: false }],
    ['--class critical --tenant acme', { slaClass: 'critical', tenant: 'acme' }],
    ['--class none --tenant none', { slaClass: null, tenant: null }],
    ['--label tier=db --label rack-', { labels: { tier: 'db', rack: null } }],
  ])('%s', async (options, change) => {
    const { service, code, err } = await cli(`vm set web1 ${options}`);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(service.asked).toEqual([['setVm', 'web1', change, expect.any(String)]]);
  });

  test('shows what holds from now on', async () => {
    const { out } = await cli('vm set web1 --address none --restartable yes');
    expect(out.split('\n')).toEqual([
      'VM:          web1',
      'address:     not set: looked up among the neighbours of the hosts',
      'restartable: yes: it may be started elsewhere when its host has died',
      'class:       standard',
      'tenant:      not set',
      'labels:      tier=db',
      '',
    ]);
  });

  test.each([
    ['--label tier', 'key=value such as tier=web, or key- to take the label back'],
    ['--label Tier=web', "a label's key has up to 63 small letters"],
    ['--label tier=', "a label's value has up to 63 letters"],
    ['--label tier=a --label tier=b', 'says two things of the label tier'],
  ])('%s is refused with what to write', async (options, sentence) => {
    const { service, code, err } = await cli(`vm set web1 ${options}`);
    expect(code).toBe(2);
    expect(err).toContain(sentence);
    expect(service.asked).toEqual([]);
  });

  test('with nothing to set is wrong usage and asks nothing', async () => {
    const { service, code, out, err } = await cli('vm set web1');
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(/^plimsoll: usage: nothing to set: [^\n]+\n$/);
    expect(service.asked).toEqual([]);
  });
});

describe('plimsoll vm show', () => {
  test('shows the settings with the VM', async () => {
    const { out } = await cli('vm show web1');
    expect(out).toContain('\naddress:      10.0.0.5\nrestartable:  no\n');
  });

  test('says when the policy does not have its class any more', async () => {
    const lost = { ...vmSettings, slaClass: 'gold', tenant: 'acme' };
    const { out } = await cli('vm show web1', { vmSettings: () => Promise.resolve(lost) });
    expect(out).toContain('\nclass:        standard, because policy.classes does not have its own, gold\ntenant:       acme\n');
  });

  test('as JSON has the VM as before, and its settings beside it', async () => {
    expect(JSON.parse((await cli('vm show web1 -o json')).out)).toEqual({ ...vmWeb, settings: shown });
  });
});
