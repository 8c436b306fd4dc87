/** What is made of what the hosts say, one answer after the other. */
import { describe, expect, it } from 'vitest';
import {
  absent,
  aborting,
  copying,
  events,
  exampleProgress as progress,
  excluded,
  failed,
  fenced,
  lost,
  play,
  present,
  running,
  times,
  truth,
  unreachable,
} from './step-examples.ts';
import { type MigrationEvent, outcomeOf, recover } from './step.ts';

const onDestination = truth(absent, present('running'));

describe('a destination that had said twice that its copy is gone', () => {
  const halted = present('paused');
  const silentSource = truth(unreachable, absent);
  const begun: readonly MigrationEvent[] = [...copying, running(progress(500, { memorySentBytes: 7 })), lost()];
  const heard = [...begun, silentSource, silentSource];

  it.each([
    ['was restarted', present('crashed')],
    ['is silent', unreachable],
    ['is silent past its lease', fenced],
  ] as const)('and then %s leaves no doubt: the halted source is resumed', (_story, then) => {
    expect(play([...heard, truth(unreachable, then), truth(halted, then)]).effect.kind).toBe('ask-truth');
    expect(play([...heard, truth(halted, then), truth(halted, then)]).effect.kind).toBe('resume-source');
    const { migration } = play([...heard, ...times(2, truth(present('running'), then)), events.relocked, truth(present('running'), then)]);
    expect(outcomeOf(migration)).toBe('stayed');
  });

  it('is remembered over the death of the controller', () => {
    const { migration } = play(heard);
    expect(play(times(2, truth(halted, unreachable)), recover(migration, 900_000)).effect.kind).toBe('resume-source');
  });

  it('is not, when it had said so once before that and once after it', () => {
    const { migration } = play([...begun, silentSource]);
    const anew = play([silentSource, ...times(9, truth(halted, unreachable))], recover(migration, 900_000));
    expect(anew.effect.kind).toBe('ask-truth');
  });

  it.each([
    ['once only', [...begun, silentSource]],
    ['once before a silence and once after it', [...begun, silentSource, truth(unreachable, unreachable), silentSource]],
    ['before a byte was sent', [...copying, lost(), silentSource, silentSource]],
    ['and then that it has one', [...heard, truth(unreachable, present('incoming'))]],
    [
      'after the VM had run there in post-copy',
      [...copying, running(progress(5, { stage: 'post-copy', memorySentBytes: 7 })), lost(), ...times(2, silentSource)],
    ],
  ])('%s: a person decides which copy is older', (_story, before) => {
    expect(play([...before, ...times(9, truth(halted, unreachable))]).effect.kind).toBe('ask-truth');
    expect(play([...before, ...times(5, truth(halted, present('crashed')))]).migration.failure?.code).toBe('zero-copies');
  });

  it('and is revoked is not asked, as ever', () => {
    expect(play([...heard, ...times(9, truth(halted, excluded))]).effect.kind).toBe('ask-truth');
  });
});

describe('a VM with half of its memory on each host', () => {
  const [active, broken] = [present('paused', true, 'active'), present('paused', true, 'failed')];
  const fetching = truth(active, present('running', true, 'active'));
  const halves = truth(broken, broken);
  const alone = truth(broken, unreachable);
  const end = failed('post-copy-broken');

  it.each(['post-copy', 'post-copy-failed'] as const)('is not called back, whoever asks and however long it takes: stage %s', (stage) => {
    const event = running(progress(500, { stage }));
    expect(play(times(50, event), aborting(play(copying))).effect.kind).not.toBe('abort-transfer');
    expect(play([event, running(null)], aborting(play(copying))).effect.kind).toBe('watch-transfer');
    expect(play([running(progress(500))], aborting(play(copying))).effect.kind).toBe('abort-transfer');
  });

  it('is not called back either when nobody watches it any more', () => {
    const asked = aborting(play([...copying, lost()]));
    expect(play(times(2000, fetching), asked).effect.kind).toBe('ask-truth');
    const hidden = truth(present('paused', true), present('running', true, 'active'));
    expect(play(times(2000, hidden), asked).effect.kind).toBe('ask-truth');
  });

  it('is brought together again when both hosts have said twice that they have lost each other, also after an abort was asked for', () => {
    expect(play([...copying, end, halves]).effect.kind).toBe('ask-truth');
    for (const start of [play([...copying, end]), aborting(play([...copying, end]))]) {
      expect(play([halves, halves], start).effect.kind).toBe('recover-post-copy');
      const { migration } = play([halves, halves, events.corrected, fetching, onDestination, events.verified], start);
      expect(outcomeOf(migration)).toBe('moved');
    }
  });

  it('waits much longer than another VM for a host out of reach, because nobody could do better, and then calls for a person', () => {
    expect(play([...copying, end, ...times(590, alone)]).migration.phase).toBe('resolving');
    const { migration } = play([...copying, end, ...times(610, alone)]);
    expect(migration.failure).toEqual({ code: 'truth-unknown', message: expect.stringContaining('destroy neither') });
    expect(outcomeOf(migration)).toBe('unclear');
  });

  it('is not at work while it waits: an abort has nothing to stop', () => {
    expect(play([alone], aborting(play([...copying, end]))).effect.kind).toBe('ask-truth');
  });

  it('that is whole on its destination calls for a person as soon as any other, when its old half is not removed', () => {
    const leftBehind = truth(present('paused', false, 'failed'), present('running'));
    const refusing = (count: number) => play([...copying, end, ...times(count, leftBehind, leftBehind, events.corrected)]).migration;
    expect(refusing(30).phase).toBe('resolving');
    expect(refusing(60).failure).toEqual({ code: 'truth-unknown', message: expect.stringContaining('destroy-source-copy') });
    const halvesAgain = play([...copying, end, ...times(60, halves, halves, events.corrected)]).migration;
    expect(halvesAgain.phase).toBe('resolving');
  });

  it('is lost when one half is gone, and a person is told', () => {
    const { migration } = play([...copying, end, ...times(5, truth(broken, absent))]);
    expect(migration.failure?.code).toBe('memory-lost');
    expect(outcomeOf(migration)).toBe('unclear');
  });
});
