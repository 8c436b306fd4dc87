/** The controller's process: the only place of the controller that names drivers. */
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { refusalOf } from '#core/model/result.ts';
import type { Clock, Log } from '#core/ports.ts';
import { pause } from '#core/time.ts';
import { loadYamlConfig } from '#drivers/config/yaml-config.ts';
import type { JoinReply, JoinRequest } from '#drivers/line/join-messages.ts';
import { createLineServer, type RunningLineServer } from '#drivers/line/line-server.ts';
import { JsonLog } from '#drivers/linux/json-log.ts';
import { SystemClock } from '#drivers/linux/system-clock.ts';
import { SystemRandom } from '#drivers/linux/system-random.ts';
import { type ClusterCa, type ControllerTls, openClusterCa } from '#drivers/pki/cluster-ca.ts';
import { createJoinToken, hashToken } from '#drivers/pki/join-token.ts';
import { type KeySigner, openSigner, verifierFor } from '#drivers/pki/signer.ts';
import { openSqliteStore } from '#drivers/store/sqlite-store.ts';
import { type ControllerConfig, ControllerConfigSchema, controllerConfigOf } from '#wire/controller-config.ts';
import { productVersion } from '#wire/version.ts';
import { createApi } from './api/api.ts';
import { type Controller, startController } from './controller.ts';
import type { TokenMaker } from './join.ts';
import type { ControllerParts } from './parts.ts';

const dayMs = 24 * 3_600_000;
/** Ends no later than the intermediate CA that signs it. */
const ownCertificateMs = 30 * dayMs;
const ownCertificateLookMs = 3_600_000;

/**
 * Runs the controller of this configuration file until the signal aborts. Throws `config-invalid` with file, line and column, and
 * `controller-replaced` when another controller has taken its database over.
 */
export async function runController(configPath: string, signal: AbortSignal): Promise<void> {
  const config = controllerConfigOf(loadYamlConfig(configPath, ControllerConfigSchema));
  const log = new JsonLog('controller');
  const clock = new SystemClock();
  const pkiDir = join(config.dataDir, 'pki');
  const ca = await openClusterCa(pkiDir);
  const signer = await openSigner(pkiDir, ca);
  const store = await openSqliteStore({ path: join(config.dataDir, 'plimsoll.sqlite') });
  const tls = await issueOwn(ca, config, clock);
  let controller: Controller | null = null;
  const lines = await createLineServer({
    listen: config.listen,
    tls,
    log,
    // Before the start nobody listens for agents, so nobody is let in.
    isRevoked: ({ hostId, sha256 }) => controller !== null && controller.isRevoked(hostId, sha256),
    join: (request) => joinedBy(controller, request, ca, signer),
  });
  const tokens: TokenMaker = {
    createToken: createJoinToken,
    hashToken,
    caFingerprint: ca.fingerprint,
    controllerUrl: urlOf(config, lines.port),
  };
  const parts: ControllerParts = {
    clock,
    random: new SystemRandom(),
    log,
    store,
    lines,
    signer,
    verifier: verifierFor(signer.publicKeyPem),
    authority: ca,
    sha256: (text: string) => createHash('sha256').update(text).digest('hex'),
    randomKey: (bytes) => randomBytes(bytes).toString('base64'),
  };
  controller = await startController(parts, settingsOf(config), tokens, signal);
  const api = await createApi(controller, { log, version: productVersion });
  const running = new AbortController();
  const own = keepOwnCertificates({ ca, signer, lines, tls, config, clock, log }, running.signal);
  try {
    await api.listen({ path: config.socket });
    log.info('listening', { agents: tokens.controllerUrl, api: config.socket });
    await controller.stopped;
  } finally {
    running.abort();
    await own;
    await api.close();
    await lines.close();
    await store.close();
  }
}

async function joinedBy(controller: Controller | null, request: JoinRequest, ca: ClusterCa, signer: KeySigner): Promise<JoinReply> {
  if (controller === null) throw new Error('a join before the start');
  const { certificatePem, intermediatesPem, crlPems } = await controller.join(request);
  return { certificatePem, intermediatesPem, caPem: ca.rootPem, crlPems: [...crlPems], ticketKeyPem: signer.publicKeyPem };
}

function issueOwn(ca: ClusterCa, config: ControllerConfig, clock: Clock): Promise<ControllerTls> {
  return ca.issueController({ names: [], addresses: [config.listen.address], lifetimeMs: ownCertificateMs, nowMs: clock.nowMs() });
}

interface OwnCertificates {
  readonly ca: ClusterCa;
  readonly signer: KeySigner;
  readonly lines: RunningLineServer;
  readonly tls: ControllerTls;
  readonly config: ControllerConfig;
  readonly clock: Clock;
  readonly log: Log;
}

/** Renews the certificates of the listener and of the receipts' key at two thirds of their lives, until the signal aborts. */
async function keepOwnCertificates({ ca, signer, lines, tls, config, clock, log }: OwnCertificates, signal: AbortSignal): Promise<void> {
  let current = tls;
  while (await pause(clock, ownCertificateLookMs, signal)) {
    try {
      const dueAtMs = current.notAfterMs - (current.notAfterMs - current.notBeforeMs) / 3;
      if (clock.nowMs() >= dueAtMs) {
        current = await issueOwn(ca, config, clock);
        lines.setTls(current);
        log.info("the listener's certificate was renewed", { endsAtMs: current.notAfterMs });
      }
      if (await signer.renewCertificate(clock.nowMs())) log.info("the receipts' certificate was renewed");
    } catch (error) {
      log.error("the controller's own certificates were not renewed, it is tried again", { ...refusalOf(error) });
    }
  }
}

function settingsOf(config: ControllerConfig) {
  const { mode, policy, planIntervalMs, historyDays, certificates } = config;
  return { version: productVersion, mode, policy, planIntervalMs, historyMs: historyDays * dayMs, certificates };
}

function urlOf(config: ControllerConfig, port: number): string {
  const { address } = config.listen;
  return `https://${address.includes(':') ? `[${address}]` : address}:${port}`;
}
