import { describe, expect, it } from 'vitest';
import { exampleProof, exampleReading, exampleSa } from '#core/channel/examples.ts';
import type { Decision } from '#core/model/method.ts';
import type { Migration } from '#core/model/migration.ts';
import { examplePlan } from './autopilot-examples.ts';
import {
  absent,
  aborting,
  copying,
  events,
  exampleLimits as limits,
  exampleProgress as progress,
  exampleRequest,
  excluded,
  failed,
  image,
  lost,
  play,
  present,
  refused,
  running,
  times,
  truth,
  unreachable,
} from './step-examples.ts';
import { begin, type MigrationEvent, outcomeOf, recover, step } from './step.ts';

const request = exampleRequest();
const proof = exampleProof;
const reading = exampleReading();
const onDestination = truth(absent, present('running'));
const onSource = truth(present('running'), absent);
/** Said twice, then its storage locks are taken again, and both hosts are asked anew. */
const stayed = [onSource, onSource, events.relocked, onSource];
const decision = (by: Decision['by'], action: string): Decision => ({ by, atMs: 1, elapsedMs: 0, action, reason: 'an example' });

describe('a migration', () => {
  it('goes through check, channel, transfer, truth and verification, in this order', () => {
    const effects: string[] = [begin(request).effect.kind];
    let current = begin(request);
    for (const event of [...copying, events.completed, onDestination, events.verified] as const) {
      current = step(current.migration, event, 1000, limits);
      effects.push(current.effect.kind);
    }
    expect(effects).toEqual(['check', 'secure', 'choose', 'start-transfer', 'watch-transfer', 'ask-truth', 'verify', 'finish']);
    expect(current.migration.phase).toBe('done');
    expect(outcomeOf(current.migration)).toBe('moved');
  });

  it('does not believe the source that says completed while the VM still runs there', () => {
    const { migration } = play([...copying, events.completed, ...stayed]);
    expect(migration.phase).toBe('failed');
    expect(outcomeOf(migration)).toBe('stayed');
  });

  it('counts as moved when the source says failed but the VM runs on the destination', () => {
    const { migration } = play([...copying, lost(), onDestination, { ...events.verified, reading: null }]);
    expect(migration.phase).toBe('done');
    expect(migration.failure).toBeNull();
  });

  it('keeps the tuning, and the readings of the channel as the transfer began and ended', () => {
    const end = exampleReading(exampleSa({ bytesOut: 500 }));
    const late = exampleReading(exampleSa({ bytesOut: 900 }));
    const story: readonly MigrationEvent[] = [...copying, { ...events.completed, reading: end }, onDestination];
    const { migration } = play([...story, { ...events.verified, reading: late }]);
    expect(migration).toMatchObject({ proof, tuning: null, channelBefore: reading, channelAfter: end });
  });

  it('takes the reading after verification where there is none of the end of the transfer', () => {
    const late = exampleReading(exampleSa({ bytesOut: 900 }));
    const gone = exampleReading(null);
    for (const atEnd of [null, gone]) {
      const story: readonly MigrationEvent[] = [...copying, { ...events.completed, reading: atEnd }, onDestination];
      expect(play([...story, { ...events.verified, reading: late }]).migration.channelAfter).toEqual(late);
    }
  });

  it('keeps the reading of a transfer that failed', () => {
    const { migration } = play([...copying, failed('plain-text-seen', 'x', { reading }), ...stayed]);
    expect(migration.channelAfter).toEqual(reading);
    expect(migration.failure?.code).toBe('plain-text-seen');
  });

  it('sends nothing over IPsec without a proof, and has none on a channel that is not IPsec', () => {
    const unproven: readonly MigrationEvent[] = [events.checked, events.unproven];
    const { migration, effect } = play(unproven);
    expect(effect.kind).toBe('finish');
    expect(migration.failure?.code).toBe('proof-missing');
    expect(play(unproven, begin(exampleRequest({ channelKind: 'qemu-tls' }))).effect.kind).toBe('choose');
  });

  it('sends nothing when the channel is refused', () => {
    const { migration, effect } = play([events.checked, refused('proof-failed')]);
    expect(effect.kind).toBe('finish');
    expect(migration.failure?.code).toBe('proof-failed');
  });

  it('keeps how the transfer was chosen, and lets the autopilot tell all of its decisions each time', () => {
    const chosen: MigrationEvent = { ...events.chosen, decisions: [decision('choice', 'start pre-copy')] };
    const said = (...actions: readonly string[]) => running(null, { decisions: actions.map((action) => decision('autopilot', action)) });
    const story = [events.checked, events.secured, chosen, events.started, said('raise downtime'), said('raise downtime', 'post-copy')];
    const { migration } = play(story);
    expect(migration.plan).toEqual(examplePlan());
    expect(migration.decisions.map(({ action }) => action)).toEqual(['start pre-copy', 'raise downtime', 'post-copy']);
    const all = ['raise downtime', 'post-copy', 'give up'];
    const end = (actions: readonly string[]) =>
      failed('not-converging', 'x', { decisions: actions.map((action) => decision('autopilot', action)) });
    expect(play([...story, end(all)]).migration.decisions.map(({ action }) => action)).toEqual(['start pre-copy', ...all]);
    // An agent that has died and come back knows of none.
    expect(play([...story, end([])]).migration.decisions).toEqual(migration.decisions);
  });

  it('takes the storage locks of a VM that stayed again, tries three times, and says when it could not', () => {
    const silent: MigrationEvent = { kind: 'relocked', refusal: { code: 'link-lost', message: 'x' } };
    const twice = [onSource, onSource];
    const { effect, migration } = play([...copying, failed('hypervisor-failed'), ...twice]);
    expect([effect.kind, migration.phase]).toEqual(['relock-source', 'resolving']);
    expect(play([...copying, failed('hypervisor-failed'), ...stayed]).migration.failure?.message).not.toContain('lock');
    const end = play([...copying, failed('hypervisor-failed'), ...twice, silent, ...twice, silent, ...twice, silent, ...twice]);
    expect(end.migration).toMatchObject({ phase: 'failed', failure: { message: expect.stringContaining('storage lock') as string } });
  });

  it('keeps what it cost', () => {
    const measures = { method: 'pre-copy' } as NonNullable<Migration['measures']>;
    const { migration } = play([...copying, events.completed, onDestination, { ...events.verified, measures }]);
    expect(migration.measures).toBe(measures);
  });

  it('asks both hosts twice before it destroys a copy, and starts counting anew when the answer changes', () => {
    const halted = truth(present('paused'), present('running'));
    const end = failed('hypervisor-failed');
    expect(play([...copying, end, halted]).effect.kind).toBe('ask-truth');
    expect(play([...copying, end, halted, halted]).effect.kind).toBe('destroy-source-copy');
    expect(play([...copying, end, halted, onSource, halted]).effect.kind).toBe('ask-truth');
  });

  it('is aborted on request, and says so', () => {
    const asked = aborting(play(copying));
    expect(play([running(null)], asked).effect.kind).toBe('abort-transfer');
    const { migration } = play([running(null), events.abortSent, failed('aborted'), ...stayed], asked);
    expect(migration.failure?.code).toBe('aborted');
  });

  it('says that plain text was seen, whoever asked for an abort meanwhile', () => {
    const asked = aborting(play([...copying, failed('plain-text-seen')]));
    expect(play([...stayed], asked).migration.failure?.code).toBe('plain-text-seen');
  });

  it.each([
    ['while it is checked', [], events.checked],
    ['while the channel is secured', [events.checked], events.secured],
    ['while it is chosen how', [events.checked, events.secured], events.chosen],
  ] as const)('sends no byte when the abort comes before the transfer, %s', (_when, before, event) => {
    const { migration, effect } = play([event], aborting(play(before)));
    expect(effect.kind).toBe('finish');
    expect(migration.failure?.code).toBe('aborted');
  });

  it('is aborted when not a byte has moved for too long', () => {
    const moving = Array.from({ length: 20 }, (_, index) => running(progress(500, { memorySentBytes: index })));
    expect(play([...copying, ...moving]).effect.kind).toBe('watch-transfer');
    const { effect, migration } = play([...copying, ...times(12, running(progress(500)))]);
    expect(effect.kind).toBe('abort-transfer');
    const { failure } = play([events.abortSent, failed('aborted'), ...stayed], { effect, migration }).migration;
    expect(failure?.code).toBe('migration-stalled');
  });

  it('has all its time to find the truth, although the abort of a stalled transfer took long', () => {
    const aborted = [...copying, ...times(200, running(progress(500))), failed('aborted')];
    expect(play([...aborted, truth(unreachable, absent)]).migration.phase).toBe('resolving');
  });

  it('calls for a person when the truth stays out of reach', () => {
    const silent = truth(unreachable, unreachable);
    expect(play([...copying, lost('link-lost'), ...times(30, silent)]).migration.phase).toBe('resolving');
    const { migration } = play([...copying, lost('link-lost'), ...times(70, silent)]);
    expect(migration.failure?.code).toBe('truth-unknown');
    expect(outcomeOf(migration)).toBe('unclear');
  });

  it('calls for a person only when the same thing was seen five times in a row', () => {
    const [none, two] = [truth(absent, absent), truth(present('running'), present('running'))];
    expect(play([...copying, lost(), none, none, none, two, two]).migration.phase).toBe('resolving');
    expect(play([...copying, lost(), ...times(5, two)]).migration.failure?.code).toBe('two-copies');
  });
});

describe('the wait for the truth', () => {
  const sending = present('running', true);
  const moving = truth(sending, present('incoming', true));
  const movingToNowhere = truth(sending, unreachable);
  const stopped = truth(present('paused', true), present('incoming', true));
  const silent = truth(present('running'), unreachable);
  const halted = truth(present('paused'), absent);

  it('lasts as long as the hypervisor is at work, and only then begins to count', () => {
    const afterwards = (count: number) => play([...copying, lost(), ...times(500, moving), ...times(count, silent)]).migration;
    expect(afterwards(0).phase).toBe('resolving');
    expect(afterwards(50).phase).toBe('resolving');
    expect(afterwards(70).failure?.code).toBe('truth-unknown');
  });

  it('aborts a transfer that nobody watches any more as soon as that is asked', () => {
    const asked = aborting(play([...copying, lost(), moving]));
    for (const seen of [moving, movingToNowhere]) expect(play([seen], asked).effect.kind).toBe('abort-transfer');
  });

  it('aborts a switch-over that stalls with nobody at its side, and says that it did', () => {
    expect(play([...copying, lost(), ...times(20, stopped)]).effect.kind).toBe('ask-truth');
    const { migration, effect } = play([...copying, lost(), ...times(22, stopped)]);
    expect(effect.kind).toBe('abort-transfer');
    expect(play([events.abortSent, ...stayed], { migration, effect }).migration.failure?.code).toBe('switch-over-stalled');
    const goingOn = times(8, stopped, stopped, moving, moving);
    expect(play([...copying, lost(), ...goingOn]).effect.kind).toBe('ask-truth');
  });

  it('aborts a transfer that goes on for too long after its agent has died', () => {
    expect(play([...copying, lost(), ...times(600, moving)]).effect.kind).toBe('ask-truth');
    const { migration, effect } = play([...copying, lost(), ...times(602, moving)]);
    expect([effect.kind, migration.resolution?.cause?.code]).toEqual(['abort-transfer', 'migration-stalled']);
  });

  it('ends for a person when the hypervisor does not carry out the abort', () => {
    const { migration } = play([...copying, lost(), ...times(700, moving)]);
    expect(migration.failure).toEqual({ code: 'truth-unknown', message: expect.stringContaining('does not carry out the abort') });
  });

  it('ends for a person when the hosts do not carry out what would put it right', () => {
    const again = (count: number) => play([...copying, lost(), ...times(count, halted, halted, events.corrected)]);
    expect(again(10).migration.phase).toBe('resolving');
    const { migration } = again(80);
    expect(migration.failure?.code).toBe('truth-unknown');
    expect(outcomeOf(migration)).toBe('unclear');
  });
});

describe('a VM that goes as a sealed image', () => {
  const asImage = begin(exampleRequest({ channelKind: 'sealed-image' }));
  const begun: readonly MigrationEvent[] = [events.checked, events.unproven, events.chosen, events.started];
  const silent = lost('host-down', 'silent');
  const sending = truth(image('moving'), image('opened'));
  const given = truth(image('given'), absent);

  it('is watched again when its source, silent for a while, turns out to be sending still', () => {
    const { migration, effect } = play([...begun, silent, sending], asImage);
    expect([effect.kind, migration.phase]).toEqual(['watch-transfer', 'copying']);
    expect(play([running(null)], { migration, effect }).migration.resolution).toBeNull();
    expect(play([sending], aborting(play([...begun, silent], asImage))).effect.kind).toBe('abort-transfer');
  });

  it('ends for a person when its source goes on to say that it is sending, and that its transfer is over', () => {
    const contradictions = times(40, sending, failed('hypervisor-failed'));
    const { migration } = play([...begun, silent, ...contradictions], asImage);
    expect(migration.failure).toEqual({ code: 'truth-unknown', message: expect.stringContaining('its transfer is over') });
    const heard = times(40, sending, running(null), silent);
    expect(play([...begun, silent, ...heard], asImage).migration.phase).toBe('resolving');
  });

  it('is taken back after both hosts have said twice that nobody runs it, and then counts as stayed', () => {
    const unclear = failed('truth-unknown', 'no answer');
    expect(play([...begun, unclear, given], asImage).effect.kind).toBe('ask-truth');
    expect(play([...begun, unclear, given, given], asImage).effect.kind).toBe('take-image-back');
    const { migration } = play([...begun, unclear, given, given, events.corrected, ...stayed], asImage);
    expect(migration.failure).toEqual({ code: 'migration-failed', message: expect.stringContaining('no answer') });
    expect(outcomeOf(migration)).toBe('stayed');
  });

  it('does not stall while its source waits for the destination, and does when it does not', () => {
    const waiting = (awaitsPeer: boolean) => times(30, running(progress(500), { awaitsPeer }));
    expect(play([...begun, ...waiting(true)], asImage).effect.kind).toBe('watch-transfer');
    expect(play([...begun, ...waiting(false)], asImage).effect.kind).toBe('abort-transfer');
  });

  it('that stays where it was says so when its destination was revoked and not asked', () => {
    const revoked = truth(present('running'), excluded);
    const { migration } = play([...begun, silent, revoked, revoked, events.relocked, revoked], asImage);
    expect(migration.failure).toEqual({ code: 'host-down', message: 'silent; the destination was not asked: it is revoked' });
  });
});

describe('a migration after the controller died', () => {
  const at = (phase: Migration['phase'], changes: Partial<Migration> = {}): Migration => ({
    ...begin(request).migration,
    phase,
    ...changes,
  });

  it.each([
    ['asked', 'finish'],
    ['checked', 'finish'],
    ['copying', 'watch-transfer'],
    ['resolving', 'ask-truth'],
    ['verifying', 'ask-truth'],
    ['done', 'finish'],
    ['failed', 'finish'],
  ] as const)('that was %s goes on with %s', (phase, effect) => {
    expect(recover(at(phase), 5000).effect.kind).toBe(effect);
  });

  it('that had sent nothing is given up, and the VM counts as stayed', () => {
    for (const nothingSent of [at('checked'), at('secured')]) {
      const { migration } = recover(nothingSent, 5000);
      expect([migration.failure?.code, outcomeOf(migration)]).toEqual(['controller-restarted', 'stayed']);
    }
  });

  it('that may have begun asks both hosts', () => {
    const { migration, effect } = recover(at('secured', { plan: examplePlan() }), 5000);
    expect([migration.phase, effect.kind]).toEqual(['resolving', 'ask-truth']);
  });

  it('counts no answer from before, and not the time in which nobody asked', () => {
    const halted = truth(present('paused'), absent);
    const before = play([...copying, lost(), halted]).migration;
    const { migration } = recover(before, 900_000);
    expect(step(migration, halted, 901_000, limits).effect.kind).toBe('ask-truth');
    expect(step(migration, truth(unreachable, absent), 901_000, limits).migration.phase).toBe('resolving');
  });

  it('is not called moved by what was true before: the VM may have died since', () => {
    const moved = play([...copying, events.completed, onDestination]).migration;
    expect(moved.phase).toBe('verifying');
    const { migration } = play(times(5, truth(absent, absent)), recover(moved, 900_000));
    expect(migration.failure?.code).toBe('zero-copies');
    expect(outcomeOf(play([onDestination, events.verified], recover(moved, 900_000)).migration)).toBe('moved');
  });
});
