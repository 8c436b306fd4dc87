import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { groupsOf } from './cgroup.ts';
import type { CgroupRoots } from './cgroup.ts';
import { daemon } from './daemons.ts';
import { LabError } from './errors.ts';
import { AGENT_CONFIG, CHECKOUT, CONTROLLER_LAST, HOST_PKI, controllerSocket, hostDirectory, underlayAddress } from './layout.ts';
import type { Layout } from './layout.ts';
import type { Machine } from './machine.ts';
import { must } from './process.ts';
import type { HostRecord, LabRecord } from './record.ts';
import { accepts, waitFor } from './wait.ts';

/** The lab as an operator of Plimsoll: only its commands and its configuration files are used. */

const PLIMSOLL = join(CHECKOUT, 'bin', 'plimsoll');
export const CONTROLLER_PORT = 7443;
const START_MS_MAX = 30_000;

function controllerConfig(lab: Layout, record: LabRecord): object {
  return {
    dataDir: join(lab.dataDirectory, 'controller'),
    listen: { address: underlayAddress(lab, CONTROLLER_LAST), port: CONTROLLER_PORT },
    socket: controllerSocket(lab),
    mode: record.options.mode,
    ...record.options.controllerConfig,
  };
}

function agentConfig(roots: CgroupRoots, lab: Layout, record: LabRecord, host: HostRecord): object {
  const [unified = '', cpu = unified] = groupsOf(roots, lab, host.name);
  return {
    hostId: host.name,
    controller: `https://${underlayAddress(lab, CONTROLLER_LAST)}:${CONTROLLER_PORT}`,
    identityDir: HOST_PKI,
    stateDir: '/var/lib/plimsoll',
    libvirt: { socket: '/run/libvirt/libvirt-sock', uri: 'qemu:///system' },
    ipsec: { viciSocket: '/run/charon.vici' },
    addresses: { underlay: host.underlay, protected: host.protected, interface: 'eth0' },
    capacity: { cgroup: { cpuDirectory: cpu, pressureDirectory: unified }, memoryBytes: record.options.memoryPerHostMib * 2 ** 20 },
    ...record.options.agentConfig,
  };
}

export async function startController(lab: Layout, record: LabRecord, ctl: Machine, signal?: AbortSignal): Promise<void> {
  const config = controllerConfigPath(lab);
  await mkdir(join(lab.dataDirectory, 'controller'), { recursive: true });
  await writeFile(config, stringify(controllerConfig(lab, record)));
  const log = join(lab.runDirectory, 'log', 'controller.log');
  await ctl.startService({ name: 'controller', argv: [PLIMSOLL, 'controller', 'run', '--config', config], restart: 'always', log });
  await waitFor(() => accepts(controllerSocket(lab)), { what: `the controller (its log: ${log})`, timeoutMs: START_MS_MAX, signal });
}

const controllerConfigPath = (lab: Layout): string => join(lab.runDirectory, 'controller.yaml');

/** Replaces keys of controller.yaml; the controller reads it when it starts. */
export async function changeControllerConfig(lab: Layout, changes: object): Promise<void> {
  const path = controllerConfigPath(lab);
  const present = parse(await readFile(path, 'utf8')) as object;
  await writeFile(path, stringify({ ...present, ...changes }));
}

interface Token {
  readonly token: string;
  readonly caFingerprint: string;
}

export async function createToken(lab: Layout, host: string, signal?: AbortSignal): Promise<Token> {
  const env = { PLIMSOLL_CONTROLLER: `unix:${controllerSocket(lab)}` };
  const text = await must([PLIMSOLL, 'host', 'token', host, '-o', 'json'], { env, signal, timeoutMs: START_MS_MAX });
  const given = JSON.parse(text) as Partial<Token>;
  if (given.token === undefined || given.caFingerprint === undefined) {
    throw new LabError('lab-command-failed', `'plimsoll host token ${host}' gave no token and fingerprint: ${text.slice(0, 200)}`);
  }
  return { token: given.token, caFingerprint: given.caFingerprint };
}

/** Gives the host its identity by a one-time token, as an operator does it. */
export async function joinHost(
  roots: CgroupRoots,
  lab: Layout,
  record: LabRecord,
  host: HostRecord,
  machine: Machine,
  signal?: AbortSignal,
): Promise<void> {
  await writeFile(join(hostDirectory(lab, host.name), 'etc-plimsoll/agent.yaml'), stringify(agentConfig(roots, lab, record, host)));
  const { token, caFingerprint } = await createToken(lab, host.name, signal);
  const command = [PLIMSOLL, 'agent', 'join', '--config', AGENT_CONFIG, '--token-file', '-', '--ca-fingerprint', caFingerprint];
  const result = await machine.exec(command, { input: token, signal, timeoutMs: START_MS_MAX });
  if (result.code !== 0) throw new LabError('lab-command-failed', `${host.name} cannot join: ${result.stderr.trim().slice(-2000)}`);
}

export async function startAgent(machine: Machine): Promise<void> {
  await machine.startService(daemon('agent', [PLIMSOLL, 'agent', 'run', '--config', AGENT_CONFIG]));
}
