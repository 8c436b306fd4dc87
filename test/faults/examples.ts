import type { RunRecord } from './record.ts';

/** A fault that did no harm, for the tests of the pure parts. */
export const exampleRun: RunRecord = {
  fault: 'kill controller',
  phase: 'perform late',
  time: 1,
  atMs: 1_000,
  guest: 'vm1',
  from: 'host1',
  to: 'host2',
  migrationId: 'abc',
  said: 'done',
  place: 'destination',
  isLate: false,
  vmKilled: false,
  noneMs: 300,
  twoCopiesInARow: 0,
  recoveryMs: 2_000,
  vmBackMs: 0,
  afterFaultMs: 2_000,
  diskBad: false,
  guestErrors: 0,
  violations: [],
  notes: [],
};
