import { LabError } from '#lab/errors.ts';
import { LAB_DEFAULTS, checkOptions } from '#lab/options.ts';
import type { LabOptions } from '#lab/options.ts';

/** A lab whose hosts are virtual machines with a kernel of their own: what the namespace lab has not, and without what it alone has. */
export interface VmLabOptions extends Omit<LabOptions, 'coresPerHost' | 'coresByHost' | 'plimsoll'> {
  /** IP version of the addresses that the hosts tell Plimsoll, underlay and protected; both versions are always set up. */
  readonly ipVersion: 4 | 6;
}

export const VM_LAB_DEFAULTS: VmLabOptions = {
  name: 'vmlab',
  hosts: 2,
  guests: 1,
  guestMemoryMib: 96,
  workingSetMib: 24,
  mtuBytes: 1500,
  rate: undefined,
  memoryPerHostMib: 1024,
  mode: 'observe',
  placement: {},
  controllerConfig: {},
  agentConfig: {},
  ipVersion: 4,
};

const HOSTS_MAX = 8;
/** libvirtd, charon, the agent and Debian itself; less than that and the host swaps QEMU's memory away from itself. */
const HOST_OVERHEAD_MIB = 512;

/** @throws LabError `lab-option-invalid` with the one option to change. */
export function checkVmOptions(given: Partial<VmLabOptions>): LabOptions & VmLabOptions {
  const merged: LabOptions & VmLabOptions = { ...LAB_DEFAULTS, ...VM_LAB_DEFAULTS, ...given };
  const options = { ...merged, ...checkOptions(merged) };
  const need = (ok: boolean, sentence: string): void => {
    if (!ok) throw new LabError('lab-option-invalid', sentence);
  };
  need(options.hosts <= HOSTS_MAX, `${options.hosts} hosts: each is an emulated machine, use at most ${HOSTS_MAX}`);
  const least = HOST_OVERHEAD_MIB + options.guestMemoryMib;
  need(
    options.memoryPerHostMib >= least,
    `a host of ${options.memoryPerHostMib} MiB is too small for its guest: use at least ${least} MiB`,
  );
  return options;
}
