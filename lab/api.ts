/** The lab for tests, benches and the demo. */
export { labUp } from './up.ts';
export type { UpControl } from './up.ts';
export { Lab, LabHost, openLab } from './lab.ts';
export { LabClient } from './lab-client.ts';
export { LabGuest } from './lab-guest.ts';
export type { Capture } from './capture.ts';
export type { GuestBeats, ProbeGap, ProbeReport, Steering } from './client/protocol.ts';
export type { DiskLog } from './disk-log.ts';
export { LabError } from './errors.ts';
export type { LabErrorCode } from './errors.ts';
export type { Machine } from './machine.ts';
export type { ServiceSpec, ServiceStatus } from './supervisor.ts';
export { LAB_DEFAULTS } from './options.ts';
export type { LabMode, LabOptions } from './options.ts';
export type { ScanResult } from './scan.ts';
export { removeAllLabs, removeLab } from './down.ts';
export { waitFor } from './wait.ts';
export type { WaitOptions } from './wait.ts';
