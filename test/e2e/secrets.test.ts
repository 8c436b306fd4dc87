/** Private keys, pre-shared keys and tokens are where they belong and nowhere else. */
import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LabHost, labUp } from '#lab/api.ts';
import { CHECKOUT, type Layout, layoutOf } from '#lab/layout.ts';
import { reconfigureController } from '#lab/operator.ts';
import { startAgent } from '#lab/plimsoll.ts';
import { run } from '#lab/process.ts';
import { allHostsUp, type Cluster, clusterOf, expectSound, hostOf, knownOn, otherHost, untilOver } from './cluster.ts';
import { formsOf, keySecret, type Secret } from './secrets/needles.ts';
import { type Finding, ProcessRecord, searchBytes, searchFolder, type Search } from './secrets/places.ts';
import { tapSocket, ViciTap } from './secrets/vici-tap.ts';

const plimsoll = join(CHECKOUT, 'bin/plimsoll');

describe('secrets', () => {
  let cluster: Cluster;
  let layout: Layout;
  const taps: ViciTap[] = [];
  const migrationIds: string[] = [];
  const processes = new ProcessRecord();
  let token: Secret;
  let secrets: readonly Secret[] = [];

  beforeAll(async () => {
    const lab = await labUp({
      name: 'e2e-secrets',
      hosts: 2,
      guests: 1,
      controllerConfig: { channel: { authentication: 'psk', postQuantumKey: true } },
      agentConfig: { ipsec: { viciSocket: tapSocket } },
    });
    cluster = clusterOf(lab);
    layout = layoutOf(lab.record.name, lab.record.index);
    for (const host of lab.hosts) taps.push(await ViciTap.start(host));
    await allHostsUp(cluster);
  });
  afterAll(async () => {
    for (const tap of taps) await tap.stop();
    await cluster?.lab.down();
  });

  it('are used: a host joins, VMs migrate with pre-shared keys and with certificates, each time with an RFC 8784 key', async () => {
    await processes.during(async () => {
      token = await joinOnceMore('host2');
      await migrate();
      await migrate();
      await reconfigureController(cluster.lab, { channel: { authentication: 'certificate', postQuantumKey: true } });
      await migrate();
    });
    const shared = taps.flatMap((tap) => tap.sharedKeys());
    for (const { bytes } of shared) expect(bytes).toHaveLength(32);
    // Two keys each time with pre-shared keys and one with certificates, none of them twice, and both ends were given the same ones.
    const [one, other] = taps.map((tap) => new Set(tap.sharedKeys().map(({ bytes }) => bytes.toString('hex'))));
    expect(one?.size).toBeGreaterThanOrEqual(5);
    expect(other).toEqual(one);
    secrets = [...(await keysOfCluster()), token, ...shared];
    const names = secrets.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['host.key of host1', 'host.key of host2', 'root.key', 'signer.key']));
    expect(names).toContainEqual(expect.stringMatching(/^intermediates/));
  });

  it('are in no argument and no environment of a process, at any time of all this', () => {
    expect(processes.count).toBeGreaterThan(25);
    expect(processes.search(secrets)).toEqual([]);
  });

  it('are in no file of a host but those that keep its identity: no log, no configuration', async () => {
    const { searched, findings } = await searchFiles();
    for (const log of ['controller.log', 'agent.log', 'charon.log', 'libvirtd.log']) {
      expect(searched).toContainEqual(expect.stringMatching(new RegExp(`/${log}$`)));
    }
    expect(findings).toEqual([]);
  });

  it('are not in the database, not even the token, of which it has the hash', async () => {
    const { searched, findings } = await searchDatabase();
    expect(searched).toContainEqual(expect.stringMatching(/plimsoll\.sqlite$/));
    expect(findings).toEqual([]);
  });

  it('are in no receipt, no answer of the REST API and no output of the command line', async () => {
    const answers = await restAnswers();
    const findings = Object.entries(answers).flatMap(([place, answer]) => searchText(place, JSON.stringify(answer)));
    for (const command of commandsOf(migrationIds[0] ?? '')) findings.push(...searchText(command.join(' '), await output(command)));
    expect(findings).toEqual([]);
  });

  it('would be found, each in every form and every place (the control arm)', async () => {
    for (const secret of secrets) {
      for (const form of formsOf(secret)) {
        const planted = Buffer.concat([randomBytes(7), form, randomBytes(7)]);
        expect(searchBytes('planted', planted, [secret])).toEqual([{ secret: secret.name, place: 'planted' }]);
      }
      const receipt = JSON.stringify({ statement: { note: `0s${secret.bytes.toString('base64')}` } });
      expect(searchText('a receipt', receipt)).toContainEqual({ secret: secret.name, place: 'a receipt' });
    }
    const [canary] = secrets;
    const [host] = cluster.lab.hosts;
    if (canary === undefined || host === undefined) throw new Error('nothing to plant');
    const path = await plantInLog(host, canary);
    expect((await searchFiles()).findings).toEqual([{ secret: canary.name, place: path }]);
    expect(await plantInProcess(host, canary)).toEqual(['cmdline', 'environ']);
  });

  function searchText(place: string, text: string): readonly Finding[] {
    return searchBytes(place, Buffer.from(text), secrets);
  }

  /** With a token that this test knows, given as an operator gives it. */
  async function joinOnceMore(name: string): Promise<Secret> {
    const { lab, client } = cluster;
    const { machine } = lab.host(name);
    const given = await client.createToken(name, 600_000);
    await machine.stopService('agent');
    const command = ['agent', 'join', '--config', '/etc/plimsoll/agent.yaml', '--token-file', '-', '--ca-fingerprint', given.caFingerprint];
    const { code, stderr } = await machine.exec([plimsoll, ...command], { input: `${given.token}\n` });
    if (code !== 0) throw new Error(`${name} cannot join: ${stderr}`);
    await startAgent(machine);
    return { name: 'join token', bytes: Buffer.from(given.token) };
  }

  async function migrate(): Promise<void> {
    await allHostsUp(cluster);
    const from = await hostOf(cluster, 'vm1');
    await knownOn(cluster, 'vm1', from);
    const { request } = await cluster.client.migrate({ vm: 'vm1', toHostId: otherHost(cluster, from) });
    expect(await untilOver(cluster, request.migrationId)).toMatchObject({ phase: 'done', failure: null });
    migrationIds.push(request.migrationId);
    await expectSound(cluster.lab.guest('vm1'));
  }

  /** Every private key of the hosts and of the controller. */
  async function keysOfCluster(): Promise<readonly Secret[]> {
    const pki = controllerPki();
    const files = [
      ...cluster.lab.hosts.map((host) => ({ name: `host.key of ${host.name}`, path: join(identityOf(host), 'host.key') })),
      ...['root.key', 'signer.key'].map((name) => ({ name, path: join(pki, name) })),
      ...(await readdir(join(pki, 'intermediates')))
        .filter((name) => name.endsWith('.pem'))
        .map((name) => ({ name: `intermediates/${name}`, path: join(pki, 'intermediates', name) })),
    ];
    return Promise.all(files.map(async ({ name, path }) => keySecret(name, privatePem(await readFile(path, 'utf8')))));
  }

  /** All that the lab's machines have written, but for the folders of identities. */
  function searchFiles(): Promise<Search> {
    return searchFolder(layout.runDirectory, secrets, cluster.lab.hosts.map(identityOf));
  }

  function searchDatabase(): Promise<Search> {
    return searchFolder(join(layout.dataDirectory, 'controller'), secrets, [controllerPki()]);
  }

  function controllerPki(): string {
    return join(layout.dataDirectory, 'controller/pki');
  }

  async function restAnswers(): Promise<Record<string, unknown>> {
    const { client, lab } = cluster;
    const [host1 = '', host2 = ''] = lab.hosts.map(({ name }) => name);
    return {
      receipts: await Promise.all(migrationIds.map((id) => client.receipt(id))),
      migrations: await client.migrations({ limit: 100 }),
      hosts: await client.hosts(),
      certificates: [await client.certificates(host1), await client.certificates(host2)],
      channels: await client.channels(),
      proof: await client.proveChannel(host1, host2, {}),
      status: await client.status(),
      grants: await client.grants(100),
      audit: await client.audit(1000),
    };
  }

  async function output(command: readonly string[]): Promise<string> {
    const env = { PLIMSOLL_CONTROLLER: `unix:${cluster.lab.controllerSocket}` };
    const { code, stdout, stderr } = await run([plimsoll, ...command], { env });
    if (code !== 0) throw new Error(`plimsoll ${command.join(' ')}: ${stderr}`);
    return stdout + stderr;
  }

  async function plantInLog(host: LabHost, { bytes }: Secret): Promise<string> {
    const path = join(host.directory, 'log/services/planted.log');
    await writeFile(path, `{"level":"info","message":"loaded ${bytes.toString('base64')}"}\n`);
    return path;
  }

  /** In which files of /proc it was found. */
  async function plantInProcess(host: LabHost, { bytes }: Secret): Promise<readonly string[]> {
    const record = new ProcessRecord();
    const key = `KEY=${bytes.toString('base64url')}`;
    await record.during(() => host.exec(['env', key, 'sh', '-c', 'sleep 1', bytes.toString('hex')]));
    return [...new Set(record.search(secrets.slice(0, 1)).map(({ place }) => basename(place)))].toSorted();
  }
});

function identityOf(host: LabHost): string {
  return join(host.directory, 'etc-plimsoll/pki');
}

function privatePem(text: string): string {
  return /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(text)?.[0] ?? '';
}

/** What an operator looks at. */
function commandsOf(migrationId: string): readonly (readonly string[])[] {
  return [
    ['status'],
    ['host', 'list'],
    ['host', 'show', 'host1'],
    ['migration', 'list'],
    ['migration', 'show', migrationId],
    ['receipt', 'show', migrationId],
    ['channel', 'list'],
    ['channel', 'show', 'host1', 'host2'],
    ['audit', 'list'],
  ].flatMap((command) => [command, [...command, '-o', 'json']]);
}
