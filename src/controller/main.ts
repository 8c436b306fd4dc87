/** The controller's process: the only place of the controller that names drivers. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { loadYamlConfig } from '#drivers/config/yaml-config.ts';
import { createLineServer } from '#drivers/line/line-server.ts';
import { JsonLog } from '#drivers/linux/json-log.ts';
import { SystemClock } from '#drivers/linux/system-clock.ts';
import { SystemRandom } from '#drivers/linux/system-random.ts';
import { openClusterCa } from '#drivers/pki/cluster-ca.ts';
import { createJoinToken, hashToken } from '#drivers/pki/join-token.ts';
import { openSigner, verifierFor } from '#drivers/pki/signer.ts';
import { openSqliteStore } from '#drivers/store/sqlite-store.ts';
import { type ControllerConfig, ControllerConfigSchema, controllerConfigOf } from '#wire/controller-config.ts';
import { productVersion } from '#wire/version.ts';
import { createApi } from './api/api.ts';
import { type Controller, startController } from './controller.ts';
import type { JoinRequest, TokenMaker } from './join.ts';

const dayMs = 24 * 3_600_000;
const hostCertificateMs = 90 * dayMs;
/** Issued anew at each start. */
const controllerCertificateMs = 365 * dayMs;

/** Runs the controller of this configuration file until the signal aborts. Throws `config-invalid` with file, line and column. */
export async function runController(configPath: string, signal: AbortSignal): Promise<void> {
  const config = controllerConfigOf(loadYamlConfig(configPath, ControllerConfigSchema));
  const log = new JsonLog('controller');
  const clock = new SystemClock();
  const pkiDir = join(config.dataDir, 'pki');
  const ca = await openClusterCa(pkiDir);
  const signer = await openSigner(pkiDir);
  const store = await openSqliteStore({ path: join(config.dataDir, 'plimsoll.sqlite') });
  const tls = await ca.issueController({
    names: [],
    addresses: [config.listen.address],
    lifetimeMs: controllerCertificateMs,
    nowMs: clock.nowMs(),
  });
  let controller: Controller | null = null;
  const lines = await createLineServer({
    listen: config.listen,
    tls: { ...tls, caPem: ca.certificatePem },
    log,
    join: async (request) => {
      if (controller === null) throw new Error('a join before the start');
      const { hostId, addresses, requestPem } = request;
      const certificatePem = await ca.issueHost({
        csrPem: requestPem,
        hostId,
        addresses,
        lifetimeMs: hostCertificateMs,
        nowMs: clock.nowMs(),
      });
      await controller.admit(request satisfies JoinRequest);
      return { certificatePem, caPem: ca.certificatePem, ticketKeyPem: signer.publicKeyPem };
    },
  });
  const tokens: TokenMaker = {
    createToken: createJoinToken,
    hashToken,
    caFingerprint: ca.fingerprint,
    controllerUrl: urlOf(config, lines.port),
  };
  const parts = {
    clock,
    random: new SystemRandom(),
    log,
    store,
    lines,
    signer,
    verifier: verifierFor(signer.publicKeyPem),
    sha256: (text: string) => createHash('sha256').update(text).digest('hex'),
  };
  controller = await startController(parts, settingsOf(config), tokens, signal);
  const api = await createApi(controller, { log, version: productVersion });
  try {
    await api.listen({ path: config.socket });
    log.info('listening', { agents: tokens.controllerUrl, api: config.socket });
    await controller.stopped;
  } finally {
    await api.close();
    await lines.close();
    await store.close();
  }
}

function settingsOf(config: ControllerConfig) {
  const { mode, policy, planIntervalMs, historyDays } = config;
  return { version: productVersion, mode, policy, planIntervalMs, historyMs: historyDays * dayMs };
}

function urlOf(config: ControllerConfig, port: number): string {
  const { address } = config.listen;
  return `https://${address.includes(':') ? `[${address}]` : address}:${port}`;
}
