import { describe, expect, it } from 'vitest';
import type { VmTruth } from '#core/model/migration.ts';
import type { PostCopyState, VmState } from '#core/model/vm.ts';
import { judgeTruth } from './truth.ts';

const absent: VmTruth = { kind: 'absent' };
const unreachable: VmTruth = { kind: 'unreachable' };
const fenced: VmTruth = { kind: 'fenced' };
const excluded: VmTruth = { kind: 'excluded' };
const standings = ['moving', 'kept', 'given', 'offered', 'opened', 'restoring', 'begun'] as const;
const image = (standing: (typeof standings)[number]): VmTruth => ({ kind: 'image', standing });
const present = (state: VmState, jobActive = false, postCopy: PostCopyState | null = null): VmTruth => {
  return { kind: 'present', state, jobActive, postCopy };
};
/** A post-copy that failed: paused where it was sent from, and with a newer hypervisor called running where it went to. */
const half = present('paused', true, 'failed');
const runningHalf = present('running', true, 'failed');
const everything = [
  absent,
  unreachable,
  fenced,
  excluded,
  ...standings.map(image),
  ...(['running', 'paused', 'incoming', 'shut-off', 'crashed', 'unknown'] as const).flatMap((state) => [
    present(state),
    present(state, true),
    present(state, true, 'active'),
    present(state, true, 'failed'),
  ]),
];

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
    [
      'runs on the source, whose job has ended; the destination goes on waiting',
      present('running'),
      present('incoming', true),
      'destroy-abandoned-copy',
    ],
    ['the same, with a copy that libvirt calls paused', present('running'), present('paused', true), 'destroy-abandoned-copy'],
    ['runs on the source, the destination runs it and is at work', present('running'), present('running', true), 'wait'],
    ['paused on the source, the destination is at work', present('paused'), present('paused', true), 'wait'],
    ['runs on the source, the destination is in post-copy', present('running'), present('paused', true, 'active'), 'wait'],
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
    ['paused on the source, it ran on the destination and crashed', present('paused'), present('crashed'), 'unclear'],
    ['runs on the source, a crashed copy is on the destination', present('running'), present('crashed'), 'on-source'],
    ['the source waits for memory itself, the destination has nothing', present('incoming'), absent, 'wait'],
    ['the source waits for memory itself, the destination runs it', present('incoming'), present('running'), 'destroy-source-copy'],
    ['the source does not know the state of its copy', present('unknown'), absent, 'wait'],
    ['the destination does not know the state of its copy', present('paused'), present('unknown'), 'wait'],
    ['runs on the source, the destination has saved it itself', present('running'), image('kept'), 'wait'],
    ['the source starts it from an image of its own', image('restoring'), absent, 'wait'],
    ['in post-copy, both ends say so', present('paused', true, 'active'), present('running', true, 'active'), 'wait'],
    ['in post-copy, only the destination has noticed', present('paused', true), present('running', true, 'active'), 'wait'],
    ['in post-copy, only the source has lost the other', half, present('running', true, 'active'), 'recover-post-copy'],
    ['in post-copy, only the destination has lost the other', present('paused', true, 'active'), half, 'wait'],
    ['two halves', half, half, 'recover-post-copy'],
    ['two halves, the one that misses nothing yet runs', half, runningHalf, 'recover-post-copy'],
    ['a half, and all of it runs on the destination', half, present('running'), 'destroy-source-copy'],
    ['a half, the destination out of reach', half, unreachable, 'wait'],
    ['a half, the source out of reach', unreachable, half, 'wait'],
    ['fenced on the source, the destination has nothing', fenced, absent, 'unclear'],
    ['fenced on the source, the destination has its definition', fenced, present('shut-off'), 'unclear'],
    ['fenced on the source, it has crashed on the destination', fenced, present('crashed'), 'unclear'],
    ['fenced on the source, the destination runs it', fenced, present('running'), 'on-destination'],
    ['fenced on the source, halted on the destination', fenced, present('paused'), 'wait'],
    ['fenced on the source, the destination waits for its memory', fenced, present('incoming'), 'wait'],
    ['fenced on the source, the destination is at work', fenced, present('incoming', true), 'wait'],
    ['fenced on the source, the destination is out of reach', fenced, unreachable, 'wait'],
    ['fenced on the source, the destination is revoked', fenced, excluded, 'wait'],
    ['fenced on the source, the destination has its image', fenced, image('opened'), 'wait'],
    ['fenced on both', fenced, fenced, 'unclear'],
    ['runs on the source, fenced on the destination', present('running'), fenced, 'on-source'],
    ['halted on the source, fenced on the destination', present('paused'), fenced, 'wait'],
    ['gone from the source, fenced on the destination', absent, fenced, 'unclear'],
    ['out of reach on the source, fenced on the destination', unreachable, fenced, 'wait'],
    ['a job at work on the source, fenced on the destination', present('running', true), fenced, 'wait'],
    ['its image given away, fenced on the destination', image('given'), fenced, 'wait'],
    ['its image kept, fenced on the destination', image('kept'), fenced, 'wait'],
    ['a half, fenced on the destination', half, fenced, 'unclear'],
    ['fenced on the source, half on the destination', fenced, half, 'unclear'],
    ['a half, the destination is revoked', half, excluded, 'wait'],
    ['a half, the source is revoked', excluded, half, 'wait'],
    ['a half, the destination has nothing', half, absent, 'unclear'],
    ['a half, the destination is off', half, present('shut-off'), 'unclear'],
    ['a half, the source has nothing', absent, half, 'unclear'],
    ['a half, the destination is halted and does not say why', half, present('paused'), 'wait'],
    ['a half, the source is halted and does not say why', present('paused'), half, 'wait'],
    ['a half beside a source that runs', present('running'), runningHalf, 'unclear'],
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
    for (const source of everything) {
      for (const destination of everything) {
        const verdict = judgeTruth(source, destination).kind;
        if (verdict === 'take-image-back') expect([source, destination]).toEqual([image('given'), absent]);
        if (verdict === 'forget-source-image') expect([source, destination]).toEqual([image('given'), present('running')]);
        if (verdict === 'discard-destination-image') expect(source).not.toEqual(absent);
        if (verdict === 'on-destination') expect(destination).toEqual(present('running'));
      }
    }
  });

  it('destroys an older halted copy only of a VM that is started anew by itself, and only where it has run on the destination', () => {
    expect(judgeTruth(present('paused'), present('crashed'), true)).toEqual({ kind: 'destroy-older-copy' });
    for (const source of everything) {
      for (const destination of everything) {
        expect(judgeTruth(source, destination).kind).not.toBe('destroy-older-copy');
        const verdict = judgeTruth(source, destination, true);
        if (verdict.kind !== 'destroy-older-copy') continue;
        expect([source, destination]).toEqual([present('paused'), present('crashed')]);
      }
    }
  });

  it('says that a VM that is started anew by itself has ended where it has run last, and not that it is nowhere', () => {
    for (const source of [absent, present('shut-off')]) {
      expect(judgeTruth(source, present('crashed'), true)).toMatchObject({ refusal: { code: 'ended-on-destination' } });
      expect(judgeTruth(source, present('crashed'))).toMatchObject({ refusal: { code: 'zero-copies' } });
      expect(judgeTruth(source, absent, true)).toMatchObject({ refusal: { code: 'zero-copies' } });
    }
  });

  it('never destroys a running copy, nor a half unless all of the VM runs on the destination', () => {
    const isHalf = (one: VmTruth) => one.kind === 'present' && one.postCopy !== null;
    for (const source of everything) {
      for (const destination of everything) {
        const verdict = judgeTruth(source, destination).kind;
        if (verdict === 'destroy-source-copy') {
          expect(source).not.toMatchObject({ state: 'running', postCopy: null });
          expect(destination).toEqual(present('running'));
        }
        if (verdict === 'destroy-destination-copy') {
          expect(destination).not.toMatchObject({ state: 'running' });
          expect([isHalf(source), isHalf(destination)]).toEqual([false, false]);
        }
        if (verdict === 'resume-source') expect(source).toEqual(present('paused'));
        if (verdict === 'recover-post-copy') expect([isHalf(source), isHalf(destination)]).toEqual([true, true]);
      }
    }
  });

  it('says of a lost half which one is left, and of a running source beside a half that there may be two', () => {
    expect(judgeTruth(half, absent)).toMatchObject({
      refusal: { code: 'memory-lost', message: expect.stringContaining('the source has one half') },
    });
    expect(judgeTruth(absent, half)).toMatchObject({
      refusal: { code: 'memory-lost', message: expect.stringContaining('the destination has one half') },
    });
    expect(judgeTruth(present('running'), half)).toMatchObject({ refusal: { code: 'two-copies' } });
    expect(judgeTruth(present('paused'), present('crashed'))).toMatchObject({ refusal: { code: 'zero-copies' } });
  });
});
