import type { AgentConfigFile } from '#wire/agent-config.ts';
import type { ControllerConfigFile } from '#wire/controller-config.ts';
import { LabError } from './errors.ts';

export type LabMode = 'observe' | 'approve' | 'automatic';

export interface LabOptions {
  readonly name: string;
  readonly hosts: number;
  readonly guests: number;
  readonly guestMemoryMib: number;
  /** MiB of guest memory that hold the marker and are written by the dirty load. */
  readonly workingSetMib: number;
  readonly mtuBytes: number;
  /** A rate as `tc` writes it, for example 1gbit; undefined: unlimited. */
  readonly rate: string | undefined;
  readonly coresPerHost: number;
  /** Host name to its cores, where it has not `coresPerHost` of them. */
  readonly coresByHost: Readonly<Record<string, number>>;
  readonly memoryPerHostMib: number;
  readonly mode: LabMode;
  /** False: no controller and no agents; the lab makes the hosts' certificates itself. */
  readonly plimsoll: boolean;
  /** Guest name to host name; guests that are not named go round robin. */
  readonly placement: Readonly<Record<string, string>>;
  /** Further keys of controller.yaml and agent.yaml, over what the lab writes there. */
  readonly controllerConfig: Partial<ControllerConfigFile>;
  readonly agentConfig: Partial<AgentConfigFile>;
}

export const LAB_DEFAULTS: LabOptions = {
  name: 'lab',
  hosts: 3,
  guests: 6,
  guestMemoryMib: 96,
  workingSetMib: 24,
  mtuBytes: 1500,
  rate: undefined,
  coresPerHost: 1,
  coresByHost: {},
  memoryPerHostMib: 2048,
  mode: 'observe',
  plimsoll: true,
  placement: {},
  controllerConfig: {},
  agentConfig: {},
};

const GUEST_MEMORY_OVERHEAD_MIB = 56; // measured: what Debian's cloud kernel and the workload need beside the working set

function need(ok: boolean, sentence: string): void {
  if (!ok) throw new LabError('lab-option-invalid', sentence);
}

const isWhole = (n: number, min: number, max: number): boolean => Number.isInteger(n) && n >= min && n <= max;

const isCores = (n: number): boolean => n >= 0.05 && n <= 256;

/** CPU capacity of a host, its VMs included. */
export const coresOf = (o: Pick<LabOptions, 'coresPerHost' | 'coresByHost'>, host: string): number => o.coresByHost[host] ?? o.coresPerHost;

/** A name becomes part of paths, namespaces and control groups; its length keeps socket paths below 108 bytes. */
export function checkName(name: string): void {
  need(/^[a-z][a-z0-9-]{0,15}$/.test(name), `'${name}' is not a lab name: use 1 to 16 of a-z, 0-9 and '-', a letter first`);
}

/** @throws LabError `lab-option-invalid` with the one option to change. */
export function checkOptions(given: Partial<LabOptions>): LabOptions {
  const o: LabOptions = { ...LAB_DEFAULTS, ...given };
  checkName(o.name);
  need(isWhole(o.hosts, 1, 64), `--hosts ${o.hosts}: use a whole number from 1 to 64`);
  need(isWhole(o.guests, 0, 99), `--guests ${o.guests}: use a whole number from 0 to 99`);
  need(isWhole(o.guestMemoryMib, 80, 65_536), `--guest-memory ${o.guestMemoryMib}: use a whole number of MiB from 80`);
  need(isWhole(o.mtuBytes, 1280, 9000), `--mtu ${o.mtuBytes}: use a whole number of bytes from 1280 to 9000`);
  need(o.rate === undefined || /^\d+(\.\d+)?[kmg]bit$/.test(o.rate), `--rate ${o.rate}: use a rate such as 1gbit or 100mbit`);
  need(isCores(o.coresPerHost), `--cores-per-host ${o.coresPerHost}: use a number of cores from 0.05`);
  need(isWhole(o.memoryPerHostMib, 128, 1 << 20), `--memory-per-host ${o.memoryPerHostMib}: use a whole number of MiB from 128`);
  need(
    isWhole(o.workingSetMib, 0, o.guestMemoryMib - GUEST_MEMORY_OVERHEAD_MIB),
    `a working set of ${o.workingSetMib} MiB does not fit a guest of ${o.guestMemoryMib} MiB: leave ${GUEST_MEMORY_OVERHEAD_MIB} MiB`,
  );
  need(['observe', 'approve', 'automatic'].includes(o.mode), `--mode ${o.mode}: use observe, approve or automatic`);
  for (const [host, cores] of Object.entries(o.coresByHost)) {
    need(hostNames(o.hosts).includes(host), `cores are given for host '${host}', but the hosts are host1 to host${o.hosts}`);
    need(isCores(cores), `${cores} cores for ${host}: use a number of cores from 0.05`);
  }
  for (const [guest, host] of Object.entries(o.placement)) {
    need(guestNames(o.guests).includes(guest), `--placement names guest '${guest}', but the guests are vm1 to vm${o.guests}`);
    need(hostNames(o.hosts).includes(host), `--placement names host '${host}', but the hosts are host1 to host${o.hosts}`);
  }
  return o;
}

/** vm1=host1,vm2=host1 */
export function parsePlacement(text: string): Record<string, string> {
  const pairs = text.split(',').map((part) => part.split('='));
  for (const pair of pairs) need(pair.length === 2 && pair.every((x) => x !== ''), `--placement '${text}': write vm1=host1,vm2=host3`);
  return Object.fromEntries(pairs) as Record<string, string>;
}

export const hostNames = (count: number): string[] => Array.from({ length: count }, (_, i) => `host${i + 1}`);
export const guestNames = (count: number): string[] => Array.from({ length: count }, (_, i) => `vm${i + 1}`);
