import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';

import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { check, copying, done, failed, plan, proven, receipt, reset } from './resources.ts';
import { type CliOptions } from './run-cli.ts';
import { servedCli } from './served.ts';

const served = servedCli();
const { serve, cli } = served;

describe('commands that succeed', () => {
  test.each([
    ['status', 'observe (plans, moves nothing)'],
    ['host list', 'over for 3 rounds'],
    ['host token host-c', 'plimsoll host join --token-file - --ca-fingerprint sha256:0123'],
    ['host show host-a --certificates', '4f00'],
    ['host renew --all', 'renewed'],
    ['host revoke host-a --reason stolen --dry-run', '4f00'],
    ['host revoke host-a --reason stolen --yes', 'host-c was NOT told (command-timeout)'],
    ['channel list', 'esp tunnel'],
    ['channel show host-b host-a', 'host-b: does not say: host-down'],
    ['channel prove host-a host-b', 'taken down again'],
    ['channel tune host-a host-b --stream 500ms', '--apply keeps them'],
    ['channel tune host-a host-b --apply', 'stay until the channel is closed'],
    ['channel reset host-a host-b', 'network settings are as they were'],
    ['grant request host-a host-b --reason urgent', 'plimsoll grant approve g-1'],
    ['grant approve g-1', 'plimsoll migrate VM host-b --channel none --grant g-1'],
    ['grant list', 'charon crashes'],
    ['audit list', 'host.revoke'],
    ['receipt schema', '"$id": "urn:plimsoll:receipt:3"'],
    ['balance status', 'cpu-contradicts'],
    ['plan', '1. web1: host-a -> host-b   score 12.40 -> 3.10'],
    ['plan apply p-2', 'm-1'],
    ['migrate db host-b', 'plimsoll migration abort m-1'],
    ['vm check web1', 'web1 on host-a can go to host-b.'],
    ['history --since 2026-01-01 --until 24h', 'Predictions were off by 8.2 % in total time and 22 % in downtime'],
    ['migration list --open --limit 5', 'copying'],
    ['migration show m-1', 'AES_GCM_16-256'],
    ['receipt show m-1', 'valid (key sha256:abcd)'],
    ['mode automatic', 'automatic: plans and moves'],
  ])('plimsoll %s', async (line, expected) => {
    await serve();
    const run = await cli(line);
    expect(run).toMatchObject({ code: 0, err: '' });
    expect(run.out).toContain(expected);
  });

  test('what was asked reaches the controller, with the person behind sudo', async () => {
    const service = await serve();
    await cli('migrate db host-b');
    await cli('migrate web1 --dry-run');
    await cli('host token host-c --lifetime 15m');
    await cli('migrate db host-b --channel none --grant g-1');
    await cli('channel tune host-a host-b --stream 500ms --profile ah+esp');
    await cli('host revoke host-a --yes --reason stolen');
    await cli('grant request host-a host-b --reason urgent --lifetime 30m');
    await cli('grant approve g-1');
    expect(service.asked).toEqual([
      ['migrate', { vm: 'db', toHostId: 'host-b', dryRun: false }, 'alice'],
      ['checkMigrate', { vm: 'web1', dryRun: true }],
      ['createToken', 'host-c', 900_000],
      ['migrate', { vm: 'db', toHostId: 'host-b', channelKind: 'none', grantId: 'g-1', dryRun: false }, 'alice'],
      ['tuneChannel', 'host-a', 'host-b', { apply: false, streamMs: 500, profile: 'ah+esp' }, 'alice'],
      ['revokeHost', 'host-a', 'stolen', 'alice'],
      ['requestGrant', { fromHostId: 'host-a', toHostId: 'host-b', reason: 'urgent', lifetimeMs: 1_800_000 }, 'alice'],
      ['approveGrant', 'g-1', 'alice'],
    ]);
  });

  test('json is the REST resource itself', async () => {
    await serve();
    expect(JSON.parse((await cli('plan -o json')).out)).toEqual(plan);
    expect(JSON.parse((await cli('migration list -o json')).out)).toEqual([copying]);
  });

  test('the address may stand before or after the command', async () => {
    await serve();
    const env = { PLIMSOLL_CONTROLLER: 'unix:/nowhere' };
    expect(await cli(`status --controller unix:${served.socketPath}`, { env })).toMatchObject({ code: 0 });
    expect(await cli(`--controller unix:${served.socketPath} status`, { env })).toMatchObject({ code: 0 });
  });
});

describe('refusals: one line on stderr, exit code 1', () => {
  test.each([
    ['host show host-z', "plimsoll: host-unknown: there is no host host-z: 'plimsoll host list' shows all\n"],
    ['vm show nix', "plimsoll: vm-unknown: there is no VM nix: 'plimsoll vm list' shows all\n"],
    ['migrate nix host-b', "plimsoll: vm-unknown: there is no VM nix: 'plimsoll vm list' shows all\n"],
  ])('plimsoll %s', async (line, err) => {
    await serve();
    expect(await cli(line)).toEqual({ code: 1, out: '', err });
  });

  test('a dry run that would be refused', async () => {
    const refusal = { code: 'no-memory' as const, message: 'host-b has 1 GiB free, web1 needs 2 GiB' };
    await serve({ checkMigrate: () => Promise.resolve({ ...checkOf(), refusal }) });
    const run = await cli('migrate web1 host-b --dry-run');
    expect(run.code).toBe(1);
    expect(run.out).toContain('It would be refused: no-memory: host-b has 1 GiB free, web1 needs 2 GiB');
  });

  test('a receipt whose signature does not hold', async () => {
    await serve({ receipt: () => Promise.resolve({ ...receipt, valid: false }) });
    const run = await cli('receipt show m-1');
    expect(run.code).toBe(1);
    expect(run.out).toContain('NOT VALID');
  });

  test('a channel that is not proven, a host that was not renewed, an end that was not reset', async () => {
    const refusal = { code: 'proof-failed' as const, message: 'the guard does not drop' };
    await serve({
      proveChannel: () => Promise.resolve({ ...proven, proof: null, refusal }),
      renewCertificates: () => Promise.resolve([{ hostId: 'host-a', certificate: null, refusal }]),
      resetChannel: () =>
        Promise.resolve({
          ...reset,
          ends: [
            { hostId: 'host-a', refusal },
            { hostId: 'host-b', refusal: null },
          ],
        }),
    });
    for (const line of ['channel prove host-a host-b', 'host renew host-a', 'channel reset host-a host-b']) {
      const run = await cli(line);
      expect([run.code, run.out]).toEqual([1, expect.stringContaining('proof-failed: the guard does not drop')]);
    }
  });

  test('a revocation where nobody can be asked, and one without a reason: nothing is revoked', async () => {
    const service = await serve();
    expect(await cli('host revoke host-a --reason stolen')).toMatchObject({ code: 2, err: expect.stringContaining('add --yes') });
    expect(await cli('host revoke host-a --yes')).toMatchObject({ code: 2, err: expect.stringContaining('--reason') });
    expect(await cli('host renew')).toMatchObject({ code: 2, err: expect.stringContaining('--all') });
    expect(service.asked.map(([call]) => call)).toEqual(['host']);
  });

  test('a join without a token, or with an empty one', async () => {
    expect(await cli('host join --ca-fingerprint sha256:01')).toMatchObject({ code: 2, err: expect.stringContaining('--token-file') });
    writeFileSync(join(served.folder, 'token'), '\n');
    const empty = await cli(`host join --token-file ${served.folder}/token --ca-fingerprint sha256:01`);
    expect(empty).toMatchObject({ code: 1, err: expect.stringContaining('there is no token') });
  });

  test('a controller that is not there', async () => {
    const run = await cli('status');
    expect(run).toMatchObject({ code: 1, out: '' });
    expect(run.err).toMatch(
      /^plimsoll: controller-unreachable: nothing answers at unix:.*c\.sock \(ENOENT\): is the controller running\? [^\n]*\n$/,
    );
  });

  test('something else behind the socket', async () => {
    const other = createServer((_request, response) => response.end('<html>'));
    await new Promise<void>((resolve) => other.listen(served.socketPath, resolve));
    const run = await cli('status');
    other.close();
    expect(run).toMatchObject({ code: 1, out: '' });
    expect(run.err).toMatch(/^plimsoll: controller-answer-invalid: GET \/v1\/status [^\n]*\n$/);
  });

  test('a stack trace is shown only when asked for', async () => {
    expect((await cli('status')).err).not.toContain('    at ');
    expect((await cli('status', { env: { PLIMSOLL_DEBUG: '1' } })).err).toContain('    at ');
  });
});

test('wrong usage has exit code 2, help has 0', async () => {
  expect(await cli('hots list')).toEqual({ code: 2, out: '', err: "plimsoll: usage: unknown command 'hots' (Did you mean host?)\n" });
  expect(await cli('status --controller /no/scheme')).toMatchObject({
    code: 2,
    err: expect.stringContaining("'/no/scheme' is not a controller's address"),
  });
  expect(await cli('plan --help')).toMatchObject({ code: 0, err: '', out: expect.stringContaining('Examples:') });
});

describe('a receipt in a file', () => {
  const envelope = {
    payloadType: 'application/vnd.plimsoll.receipt+json',
    payload: Buffer.from(JSON.stringify({ version: 2, migrationId: 'm-9', channel: { kind: 'none', weaker: true } })).toString('base64'),
    signatures: [{ keyid: 'sha256:abcd', sig: 'AA==' }],
  };

  test.each([
    ['alone', envelope],
    ['inside of the resource', { ...receipt, envelope }],
  ])('is shown when its envelope stands %s, without a word on its signature', async (_story, content) => {
    const path = join(served.folder, 'r.json');
    writeFileSync(path, JSON.stringify(content));
    const run = await cli(`receipt show ${path}`);
    expect(run.code).toBe(0);
    expect(run.out).toContain('receipt of: m-9');
    expect(run.out).toContain('not checked');
    expect(run.out).toContain('WARNING: the memory of this VM crossed the network in PLAIN TEXT');
  });

  test('that nobody has signed is not valid; a file that is none is refused', async () => {
    const [path, ca] = [join(served.folder, 'r.json'), join(served.folder, 'ca.crt')];
    writeFileSync(path, JSON.stringify(envelope));
    writeFileSync(ca, 'no certificate');
    expect(await cli(`receipt verify ${path} --ca ${ca}`)).toMatchObject({ code: 1, err: expect.stringContaining('input-invalid') });
    expect(await cli(`receipt verify ${path} --ca ${served.folder}/none`)).toMatchObject({
      code: 1,
      err: expect.stringContaining('cannot be read'),
    });
    writeFileSync(path, '{}');
    expect(await cli(`receipt show ${path}`)).toMatchObject({ code: 1, err: expect.stringContaining('holds no receipt') });
  });
});

describe('watching', () => {
  test('a migration that ends well: progress on stderr, outcome on stdout, exit code 0', async () => {
    await serve();
    const run = await cli('migrate db host-b --watch');
    expect(run.code).toBe(0);
    expect(run.err).toContain('plimsoll migration abort m-1');
    expect(run.err).toMatch(/db: host-a -> host-b {2}copying {2}75 % {2}128 MiB remaining {2}48\.0 MiB\/s/);
    expect(run.out).toBe('db runs on host-b after 4.2 s, downtime 251 ms. Its receipt: plimsoll receipt show m-1\n');
  });

  test('a migration that fails: the reason, exit code 1', async () => {
    await serve({ migration: () => Promise.resolve(failed) });
    const run = await cli('migrate db host-b --watch');
    expect(run.code).toBe(1);
    expect(run.out).toContain('aborted: alice asked for an abort; db runs on host-a.');
    const asJson = await cli('migrate db host-b --watch -o json');
    expect(asJson.code).toBe(1);
    expect(JSON.parse(asJson.out)).toEqual(failed);
  });

  test('Ctrl-C stops the watching, not the migration', async () => {
    const service = await serve({ migration: () => Promise.resolve(copying) });
    const run = await cli('migrate db host-b --watch', { onOutput: (output, signal) => output.includes('copying') && signal('SIGINT') });
    expect(run.code).toBe(130);
    expect(run.err).toContain('the migration goes on: abort it with: plimsoll migration abort m-1');
    expect(service.asked.map(([call]) => call)).toEqual(['migrate']);
  });

  test('a controller that restarts in the middle is waited for', async () => {
    let polls = 0;
    const restarts: Promise<unknown>[] = [];
    const restart = async () => {
      await served.stop();
      await serve({ migration: () => Promise.resolve(done) });
    };
    await serve({
      migration: () => {
        polls += 1;
        return Promise.resolve(copying);
      },
    });
    const run = await cli('migrate db host-b --watch', {
      onOutput: () => {
        if (restarts.length === 0) restarts.push(restart());
      },
    });
    await Promise.all(restarts);
    expect(run.code).toBe(0);
    expect(run.out).toContain('db runs on host-b');
    expect(polls).toBeLessThan(10);
  });

  test('a list is shown again until Ctrl-C, which is no failure; as JSON one line each time', async () => {
    await serve();
    const twice = (text: string): CliOptions => ({ onOutput: (output, signal) => output.split(text).length > 2 && signal('SIGINT') });
    const table = await cli('host list --watch', twice('host-a'));
    expect(table).toMatchObject({ code: 0, err: '' });
    expect(table.out).not.toContain('\u001b');
    const json = await cli('vm list --watch -o json', twice('web1'));
    expect(json.code).toBe(0);
    for (const line of json.out.trim().split('\n')) expect(JSON.parse(line)).toHaveLength(2);
  });
});

describe('config check', () => {
  test('a good file is valid, and its settings can be seen with their defaults', async () => {
    const path = join(served.folder, 'controller.yaml');
    writeFileSync(path, 'dataDir: /var/lib/plimsoll\nlisten: { address: 10.0.0.10, port: 7443 }\n');
    expect(await cli(`controller config check ${path}`)).toEqual({ code: 0, out: `${path} is valid.\n`, err: '' });
    expect(JSON.parse((await cli(`controller config check ${path} -o json`)).out)).toMatchObject({
      mode: 'observe',
      policy: { coolDownMs: 1_800_000 },
    });
  });

  test('a bad file is refused with file, line, column and key', async () => {
    const path = join(served.folder, 'agent.yaml');
    writeFileSync(
      path,
      'hostId: host-a\ncontroler: https://10.0.0.10:7443\naddresses: { underlay: 10.0.0.1, protected: 10.79.0.1, interface: eth0 }\n',
    );
    const run = await cli(`agent config check ${path}`);
    expect(run).toMatchObject({ code: 1, out: '' });
    expect(run.err).toContain(`${path}:2:1: controler: there is no such key: did you mean controller?`);
    expect((await cli(`agent config check ${served.folder}/none.yaml`)).err).toContain('there is no such file');
  });
});

function checkOf() {
  return { ...check, reason: 'asked for' };
}
