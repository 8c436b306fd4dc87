import { describe, expect, it } from 'vitest';
import type { VmTruth } from '#core/model/migration.ts';
import type { VmState } from '#core/model/vm.ts';
import { judgeTruth } from './truth.ts';

const absent: VmTruth = { kind: 'absent' };
const unreachable: VmTruth = { kind: 'unreachable' };
const excluded: VmTruth = { kind: 'excluded' };
const standings = ['moving', 'kept', 'given', 'offered', 'opened', 'restoring', 'begun'] as const;
const image = (standing: (typeof standings)[number]): VmTruth => ({ kind: 'image', standing });
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
    ['goes as an image, its source at work', image('moving'), image('opened'), 'wait'],
    ['saved on the source, not given away', image('kept'), absent, 'wait'],
    ['saved on the source, the destination was offered it', image('kept'), image('opened'), 'wait'],
    ['runs on the source, the destination was offered an image', present('running'), image('offered'), 'discard-destination-image'],
    ['runs on the source, the destination holds its image', present('running'), image('opened'), 'discard-destination-image'],
    ['runs on the source, the destination had begun a start', present('running'), image('begun'), 'discard-destination-image'],
    ['paused on the source, the destination holds its image', present('paused'), image('opened'), 'discard-destination-image'],
    ['given away, the destination runs it', image('given'), present('running'), 'forget-source-image'],
    ['given away, the destination has nothing of it', image('given'), absent, 'take-image-back'],
    ['given away, the destination was never told to start it', image('given'), image('opened'), 'discard-destination-image'],
    ['given away, the destination does not even have it yet', image('given'), image('offered'), 'discard-destination-image'],
    ['given away, the destination is starting it', image('given'), image('restoring'), 'wait'],
    ['given away, the destination had begun and does not know the end', image('given'), image('begun'), 'wait'],
    ['given away, the destination has it halted', image('given'), present('paused'), 'wait'],
    ['given away, it ran on the destination and is off', image('given'), present('shut-off'), 'unclear'],
    ['given away, it ran on the destination and crashed', image('given'), present('crashed'), 'unclear'],
    ['given away, the destination out of reach', image('given'), unreachable, 'wait'],
    ['given away, the destination is revoked', image('given'), excluded, 'wait'],
    ['saved on the source, the destination is revoked', image('kept'), excluded, 'wait'],
    ['gone from the source, the destination holds an image', absent, image('opened'), 'wait'],
    ['runs on the source, the destination is revoked', present('running'), excluded, 'on-source'],
    ['a job at work on the source, the destination is revoked', present('running', true), excluded, 'wait'],
    ['halted on the source, the destination is revoked', present('paused'), excluded, 'wait'],
    ['gone from the source, the destination is revoked', absent, excluded, 'wait'],
    ['the source is revoked, the destination runs it', excluded, present('running'), 'wait'],
    ['the source is revoked, the destination has nothing', excluded, absent, 'wait'],
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

  it('says so when a revoked destination was not asked, and only then', () => {
    expect(judgeTruth(present('running'), excluded)).toEqual({ kind: 'on-source', note: expect.stringContaining('revoked') });
    expect(judgeTruth(present('running'), absent)).toEqual({ kind: 'on-source', note: null });
  });

  it('takes an image back only where it was given away and the destination has nothing of it, and throws none away that may be the VM', () => {
    const all = [
      absent,
      unreachable,
      excluded,
      ...standings.map(image),
      ...(['running', 'paused', 'shut-off'] as const).map((s) => present(s)),
    ];
    for (const source of all) {
      for (const destination of all) {
        const verdict = judgeTruth(source, destination).kind;
        if (verdict === 'take-image-back') expect([source, destination]).toEqual([image('given'), absent]);
        if (verdict === 'forget-source-image') expect([source, destination]).toEqual([image('given'), present('running')]);
        if (verdict === 'discard-destination-image') expect(source).not.toEqual(absent);
        if (verdict === 'on-destination') expect(destination).toEqual(present('running'));
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
