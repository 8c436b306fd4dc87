import { describe, expect, it } from 'vitest';
import type { VmTruth } from '#core/model/migration.ts';
import type { VmState } from '#core/model/vm.ts';
import { judgeTruth } from './truth.ts';

const absent: VmTruth = { kind: 'absent' };
const unreachable: VmTruth = { kind: 'unreachable' };
const present = (state: VmState, jobActive = false): VmTruth => ({ kind: 'present', state, jobActive });

describe('where the VM is', () => {
  const table: readonly (readonly [string, VmTruth, VmTruth, string])[] = [
    ['runs on the source alone', present('running'), absent, 'on-source'],
    ['runs on the source, the destination kept a definition', present('running'), present('shut-off'), 'on-source'],
    ['runs on the source, the destination has a halted copy', present('running'), present('paused'), 'destroy-destination-copy'],
    ['runs on the source, the destination still waits for memory', present('running'), present('incoming'), 'destroy-destination-copy'],
    ['runs on both', present('running'), present('running'), 'unclear'],
    ['paused on the source alone', present('paused'), absent, 'resume-source'],
    ['paused on both', present('paused'), present('paused'), 'destroy-destination-copy'],
    ['runs on the destination, the source kept a halted copy', present('paused'), present('running'), 'destroy-source-copy'],
    ['runs on the destination alone', absent, present('running'), 'on-destination'],
    ['runs on the destination, the source kept a definition', present('shut-off'), present('running'), 'on-destination'],
    ['halted on the destination alone', absent, present('paused'), 'wait'],
    ['on neither', absent, absent, 'unclear'],
    ['a job at work on the source', present('running', true), present('incoming'), 'wait'],
    ['a job at work on the destination', absent, present('incoming', true), 'wait'],
    ['source out of reach', unreachable, present('running'), 'wait'],
    ['destination out of reach', present('running'), unreachable, 'wait'],
  ];

  it.each(table)('%s', (_story, source, destination, verdict) => {
    expect(judgeTruth(source, destination).kind).toBe(verdict);
  });

  it('never destroys or resumes anything while a host is out of reach or a job is at work', () => {
    const states: readonly VmState[] = ['running', 'paused', 'incoming', 'shut-off', 'crashed', 'unknown'];
    for (const state of states) {
      for (const other of [unreachable, present(state, true)]) {
        expect(judgeTruth(other, present(state)).kind).toBe('wait');
        expect(judgeTruth(present(state), other).kind).toBe('wait');
      }
    }
  });

  it('never destroys a running copy', () => {
    const halves = [absent, present('running'), present('paused'), present('incoming'), present('shut-off'), present('crashed')];
    for (const source of halves) {
      for (const destination of halves) {
        const verdict = judgeTruth(source, destination).kind;
        if (verdict === 'destroy-source-copy') expect(source).not.toEqual(present('running'));
        if (verdict === 'destroy-destination-copy') expect(destination).not.toEqual(present('running'));
      }
    }
  });
});
