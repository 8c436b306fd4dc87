/** Labs whose hosts are virtual machines with the kernel's own ESP and AH, for tests and benches. */
export { vmLabUp } from './up.ts';
export { VmLab, openVmLab } from './vm-lab.ts';
export { VmHost } from './vm-host.ts';
export type { HostExecOptions } from './vm-host.ts';
export { startVmAgent } from './host-setup.ts';
export { VM_LAB_DEFAULTS } from './options.ts';
export type { VmLabOptions } from './options.ts';
