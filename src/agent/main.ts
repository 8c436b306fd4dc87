/** The agent's process: the only place of the agent that names drivers. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { PlimsollError } from '#core/model/result.ts';
import type { Transports } from '#core/transports.ts';
import { loadYamlConfig } from '#drivers/config/yaml-config.ts';
import { createLibvirtHypervisor, type LibvirtDriver } from '#drivers/libvirt/hypervisor.ts';
import { hostSurroundings, type Surroundings } from '#drivers/libvirt/surroundings.ts';
import { createDialer } from '#drivers/line/dialer.ts';
import { joinCluster } from '#drivers/line/join-cluster.ts';
import { FileAgentMemory } from '#drivers/linux/agent-memory.ts';
import { NftGuard } from '#drivers/linux/guard.ts';
import { LinuxCostMeter } from '#drivers/linux/cost-meter.ts';
import { LinuxHostMeter } from '#drivers/linux/host-meter.ts';
import { LinuxInterfaces } from '#drivers/linux/interfaces.ts';
import { FileLeaseBook } from '#drivers/linux/lease-book.ts';
import { JsonLog } from '#drivers/linux/json-log.ts';
import { LinuxNetwork } from '#drivers/linux/network.ts';
import { LinuxProber } from '#drivers/linux/prober.ts';
import { SystemClock } from '#drivers/linux/system-clock.ts';
import { SystemRandom } from '#drivers/linux/system-random.ts';
import { LinuxWitness } from '#drivers/linux/witness.ts';
import { readIfPresent, replaceDurably } from '#drivers/pki/durable-file.ts';
import { createHostKey, createHostRequest } from '#drivers/pki/host-key.ts';
import { saveIdentity } from '#drivers/pki/identity-folder.ts';
import { openIdentity } from '#drivers/pki/identity-keeper.ts';
import { revocationCheck } from '#drivers/pki/revocation-list.ts';
import { verifierFor } from '#drivers/pki/signer.ts';
import { createStrongswanIpsec } from '#drivers/strongswan/ipsec.ts';
import { hostTransports } from '#drivers/transports/host-transports.ts';
import { LocalImageDestination } from '#drivers/transports/image-destination.ts';
import { LocalImageSource } from '#drivers/transports/image-source.ts';
import { type AgentConfig, AgentConfigSchema, agentConfigOf } from '#wire/agent-config.ts';
import { productVersion } from '#wire/version.ts';
import { runAgent as serve } from './agent.ts';
import type { AgentParts } from './parts.ts';

const ticketKeyFile = 'ticket-key.pem';
/** A source saves the VM before it sends it. */
const imageArrivalMsMax = 15 * 60_000;
const imageSilenceMsMax = 30_000;
const sshConnectMsMax = 10_000;
const interfacesMsMax = 5_000;
/** Of sockets, whose paths are short, and of what ends with the machine. */
const runFolder = '/run/plimsoll';

export interface JoinOrder {
  readonly configPath: string;
  readonly token: string;
  readonly caFingerprint: string;
}

/** Exchanges a one-time token for this host's certificate; the key is made here and never leaves. */
export async function joinAgent(order: JoinOrder, signal: AbortSignal): Promise<void> {
  const config = configOf(order.configPath);
  const privateKeyPem = createHostKey();
  const requestPem = await createHostRequest(config.hostId, privateKeyPem);
  const { token, caFingerprint } = order;
  const { hostId, addresses, controllerUrl } = config;
  const joined = await joinCluster({ controllerUrl, token, hostId, addresses, requestPem, caFingerprint }, signal);
  const { certificatePem, caPem, intermediatesPem, crlPems } = joined;
  await saveIdentity(config.identityDir, { hostId, certificatePem, privateKeyPem, caPem, intermediatesPem, crlPems });
  await replaceDurably(join(config.identityDir, ticketKeyFile), joined.controllerPublicKeyPem);
}

/** Runs the agent of this configuration file until the signal aborts. Throws `config-invalid`. */
export async function runAgent(configPath: string, signal: AbortSignal): Promise<void> {
  const config = configOf(configPath);
  const parts = await partsOf(config);
  const { hostId, addresses, sampleIntervalMs, memoryCapacityBytes, channelWatch } = config;
  try {
    await serve(parts, { hostId, addresses, sampleIntervalMs, memoryCapacityBytes, channelWatch, version: productVersion }, signal);
  } finally {
    await parts.hypervisor.close();
    await parts.ipsec.close();
  }
}

async function partsOf(config: AgentConfig): Promise<AgentParts> {
  const identity = await openIdentity(config.identityDir);
  const { hostId } = identity.current();
  if (hostId !== config.hostId) {
    throw new PlimsollError(
      'config-invalid',
      `the certificate in ${config.identityDir} is of ${hostId}, not of ${config.hostId}: join again`,
    );
  }
  const ticketKeyPath = join(config.identityDir, ticketKeyFile);
  const ticketKeyPem = await readIfPresent(ticketKeyPath);
  if (ticketKeyPem === null)
    throw new PlimsollError('config-invalid', `${ticketKeyPath} is missing: join this host to the cluster with a new token`);
  const log = new JsonLog('agent', { hostId: config.hostId });
  const hypervisor = createLibvirtHypervisor({
    socketPath: config.libvirtSocket,
    uri: config.libvirtUri,
    pkiPath: join(config.identityDir, 'libvirt'),
    surroundings: surroundingsOfHost(),
  });
  return {
    clock: new SystemClock(),
    random: new SystemRandom(),
    log,
    hypervisor,
    ipsec: createStrongswanIpsec({ socketPath: config.viciSocket, establishTimeoutMs: config.establishMsMax, log }),
    guard: new NftGuard(),
    prober: new LinuxProber(),
    network: new LinuxNetwork({ stateDir: config.stateDir }),
    transports: transportsOf(config, hypervisor),
    hostMeter: new LinuxHostMeter({ clock: new SystemClock(), cgroup: config.cgroup }),
    costMeter: new LinuxCostMeter({ overheadCpuSeconds: (vmId, signal) => hypervisor.overheadCpuSeconds(vmId, signal) }),
    witness: new LinuxWitness(),
    dialer: createDialer({
      url: config.controllerUrl,
      identity: () => identity.current(),
      isRevoked: ({ crlPems }, certificate) => revocationCheck(crlPems)(certificate),
    }),
    memory: new FileAgentMemory(join(config.stateDir, 'agent-memory.json')),
    leaseBook: new FileLeaseBook(join(runFolder, 'lease.json')),
    identity,
    sha256: (data) => createHash('sha256').update(data).digest('hex'),
    ticketVerifier: verifierFor(ticketKeyPem),
  };
}

/** A host's interfaces are asked of the kernel: /sys may be that of another network namespace. */
function surroundingsOfHost(): Surroundings {
  const interfaces = new LinuxInterfaces();
  const limited = () => AbortSignal.timeout(interfacesMsMax);
  return {
    ...hostSurroundings(),
    bridges: () => interfaces.bridges(limited()).catch(() => []),
    hasInterface: (name) => interfaces.has(name, limited()).catch(() => false),
  };
}

function transportsOf({ stateDir, addresses, images, ssh, libvirtSocket }: AgentConfig, hypervisor: LibvirtDriver): Transports {
  const silenceMsMax = imageSilenceMsMax;
  const { underlay: address } = addresses;
  const sshRest = { runFolder, peerSocketPath: libvirtSocket, connectDeadlineMs: sshConnectMsMax };
  return hostTransports({
    hypervisor,
    kept: new LocalImageSource({ hypervisor, stateFolder: join(stateDir, 'saved-images'), silenceMsMax }),
    incoming: new LocalImageDestination({
      hypervisor,
      address,
      channelAddresses: [addresses.protected],
      ...images,
      arrivalMsMax: imageArrivalMsMax,
      silenceMsMax,
    }),
    ssh: ssh && { ...ssh, ...sshRest },
  });
}

function configOf(path: string): AgentConfig {
  return agentConfigOf(loadYamlConfig(path, AgentConfigSchema));
}
