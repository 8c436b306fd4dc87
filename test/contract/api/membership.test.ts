/** Joining, renewal and revocation through the real controller: its process, its CA, its TLS listener, its socket; the agents are small. */
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { joinAgent } from '#agent/main.ts';
import { ControllerClient } from '#cli/client.ts';
import { runController } from '#controller/main.ts';
import type { IdentityKeeper, Line } from '#core/ports.ts';
import { createDialer } from '#drivers/line/dialer.ts';
import { openIdentity } from '#drivers/pki/identity-keeper.ts';
import { type CommandArgs, type CommandName, protocolVersion, type ToAgent } from '#wire/agent-protocol.ts';
import { until } from '#test/support/until.ts';

let folder = '';
let stop: AbortController;
let running: Promise<void>;
let client: ControllerClient;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-membership-'));
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await running;
  rmSync(folder, { recursive: true, force: true });
});

async function startController(leafLifetimeMs: number): Promise<void> {
  const path = join(folder, 'controller.yaml');
  writeFileSync(
    path,
    `dataDir: ${folder}/data\nlisten: { address: 127.0.0.1, port: 0 }\nsocket: ${folder}/c.sock\ncertificates: { leafLifetimeMs: ${leafLifetimeMs} }\n`,
  );
  running = runController(path, stop.signal);
  client = new ControllerClient(join(folder, 'c.sock'), stop.signal);
  await Promise.race([running, until('the controller to answer', async () => (await client.status()).version !== '')]);
}

/** A host that has joined: its identity on disk, a line to the controller, and what it was told. */
class SmallAgent {
  readonly hostId: string;
  readonly keeper: IdentityKeeper;
  readonly revokedHostIds: string[] = [];
  readonly asked: CommandName[] = [];
  readonly #url: string;
  line: Line | null = null;
  closedFor: string | null = null;

  private constructor(hostId: string, keeper: IdentityKeeper, url: string) {
    this.hostId = hostId;
    this.keeper = keeper;
    this.#url = url;
  }

  static async join(hostId: string, number: number): Promise<SmallAgent> {
    const { token, caFingerprint, controllerUrl } = await client.createToken(hostId, 60_000);
    const identityDir = join(folder, hostId);
    const configPath = join(folder, `${hostId}.yaml`);
    const addresses = `{ underlay: 10.0.0.${number}, protected: 10.79.0.${number}, interface: eth0 }`;
    writeFileSync(configPath, `hostId: ${hostId}\ncontroller: ${controllerUrl}\nidentityDir: ${identityDir}\naddresses: ${addresses}\n`);
    await joinAgent({ configPath, token, caFingerprint }, stop.signal);
    return new SmallAgent(hostId, await openIdentity(identityDir), controllerUrl);
  }

  async dial(): Promise<void> {
    const line = await createDialer({ url: this.#url, identity: () => this.keeper.current() }).dial(stop.signal);
    this.line = line;
    this.closedFor = null;
    line.onClose((reason) => (this.closedFor = reason));
    line.onMessage((message) => void this.#receive(line, message as ToAgent));
    const { certificatePem, notAfterMs } = this.keeper.current();
    line.send({
      type: 'hello',
      protocol: protocolVersion,
      agentVersion: '0.0.0',
      bootId: 'boot1',
      addresses: { underlay: '10.0.0.99', protected: '10.79.0.99', interface: 'eth0' },
      hypervisor: null,
      ipsec: null,
      certificate: { sha256: sha256Of(certificatePem), notAfterMs },
      sentAtMs: Date.now(),
    });
    await until(`${this.hostId} to be told the trust`, () => this.asked.includes('trust.update'));
  }

  async #receive(line: Line, message: ToAgent): Promise<void> {
    if (message.type !== 'command') return;
    const name = message.name as CommandName;
    const value = await this.#do(name, message.args);
    this.asked.push(name);
    line.send({ type: 'reply', commandId: message.commandId, ok: true, value });
  }

  async #do(name: CommandName, args: unknown): Promise<object> {
    if (name === 'identity.request') return { requestPem: await this.keeper.request() };
    if (name === 'identity.install') {
      const { certificatePem, intermediatesPem } = args as CommandArgs<'identity.install'>;
      await this.keeper.install(certificatePem, intermediatesPem);
    }
    if (name === 'trust.update') {
      const update = args as CommandArgs<'trust.update'>;
      await this.keeper.updateTrust(update);
      this.revokedHostIds.splice(0, Infinity, ...update.revokedHostIds);
    }
    return {};
  }
}

function sha256Of(certificatePem: string): string {
  return new X509Certificate(certificatePem).fingerprint256.replaceAll(':', '').toLowerCase();
}

describe('a host of the cluster', () => {
  it('is put out within 5 s of its revocation, is refused at the door, and comes in again with a new token only', async () => {
    await startController(3_600_000);
    const [bad, good] = [await SmallAgent.join('bad', 1), await SmallAgent.join('good', 2)];
    await bad.dial();
    await good.dial();
    const startedMs = performance.now();
    const revocation = await client.revokeHost('bad', 'stolen');
    await until('the line to be closed and the other host told', () => bad.closedFor !== null && good.revokedHostIds.includes('bad'));
    expect(performance.now() - startedMs).toBeLessThan(5000);
    expect(revocation).toMatchObject({ certificates: 1, told: ['good'], notTold: [] });
    expect(good.closedFor).toBeNull();
    const lists = good.keeper.current().crlPems.length;
    expect(lists).toBeGreaterThan(0);
    await expect(bad.dial()).rejects.toMatchObject({ message: expect.stringContaining('revoked') });
    expect(await client.host('bad')).toMatchObject({ status: 'revoked' });
    expect((await client.status()).alarms.map(({ code }) => code)).toContain('revoked-host-seen');
    const again = await SmallAgent.join('bad', 1);
    await again.dial();
    expect(again.closedFor).toBeNull();
    expect((await client.certificates('bad')).filter(({ revokedAtMs }) => revokedAtMs !== null)).toHaveLength(1);
    expect(await client.certificates('bad')).toHaveLength(2);
    expect((await client.audit(50)).map(({ verb, subject }) => `${verb} ${subject}`)).toContain('host.revoke bad');
  });

  it('gets new certificates in time and on demand, with new keys, on the addresses it has joined with; its line stays', async () => {
    await startController(6000);
    const agent = await SmallAgent.join('a', 1);
    const first = agent.keeper.current();
    await agent.dial();
    await until('the first renewal', () => agent.keeper.current().certificatePem !== first.certificatePem);
    const second = agent.keeper.current();
    expect(second.privateKeyPem).not.toBe(first.privateKeyPem);
    const [renewal] = await client.renewCertificates('a');
    expect(renewal).toMatchObject({ refusal: null, certificate: { sha256: sha256Of(agent.keeper.current().certificatePem) } });
    expect(agent.keeper.current().certificatePem).not.toBe(second.certificatePem);
    const names = new X509Certificate(agent.keeper.current().certificatePem).subjectAltName;
    expect(names).toContain('10.0.0.1');
    expect(names).not.toContain('10.0.0.99');
    expect(await client.host('a')).toMatchObject({ certificate: { sha256: renewal?.certificate?.sha256 }, revokedAtMs: null });
  });
});
