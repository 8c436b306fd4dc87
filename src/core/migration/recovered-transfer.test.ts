import { describe, expect, it } from 'vitest';
import { exampleReading, exampleSa } from '#core/channel/examples.ts';
import type { ChannelReading } from '#core/model/channel.ts';
import { receiptOf } from './receipt.ts';
import { joinedReadings } from './recovered-transfer.ts';
import {
  absent,
  events,
  exampleLimits,
  exampleOutcome,
  exampleProgress,
  exampleRequest,
  failed,
  present,
  running,
  truth,
} from './step-examples.ts';
import { askAbort, begin, type MigrationEvent, step, type Step } from './step.ts';

const broken = present('paused', true, 'failed');
const halves = truth(broken, broken);
const split = (elapsedMs: number) => running(exampleProgress(500, { stage: 'post-copy', elapsedMs }));
const waiting = running(exampleProgress(500, { stage: 'post-copy-failed' }));
const lost = failed('post-copy-broken');
const sent = (bytesOut: number, spiOut = 'out-a'): ChannelReading =>
  exampleReading(exampleSa({ spiOut, bytesOut, packetsOut: bytesOut / 100 }));
const arrived = (reading: ChannelReading | null, totalMs = 4000): MigrationEvent => {
  return { kind: 'transfer-completed', outcome: { ...exampleOutcome, totalMs, memorySentBytes: 900 }, reading, decisions: [] };
};
const onDestination = truth(absent, present('running'));

/** One event each second. */
function play(
  story: readonly MigrationEvent[],
  start: Step & { readonly nowMs?: number } = begin(exampleRequest()),
): Step & { readonly nowMs: number } {
  let nowMs = start.nowMs ?? 0;
  let { migration, effect }: Step = start;
  for (const event of story) {
    nowMs += 1000;
    ({ migration, effect } = step(migration, event, nowMs, exampleLimits));
  }
  return { migration, effect, nowMs };
}

const inPieces = () =>
  play([
    events.checked,
    events.secured,
    events.chosen,
    { kind: 'transfer-started', reading: sent(0) },
    split(2000),
    { ...lost, reading: sent(400) },
  ]);
const recoveries = ({ migration }: Step) => migration.decisions.filter(({ by }) => by === 'recovery');

describe('a post-copy that was taken up again', () => {
  it('is watched as after its start, and tells how far it is', () => {
    const again = play([halves, halves, events.recovered, waiting, split(500)], inPieces());
    expect(again.effect.kind).toBe('watch-transfer');
    expect(again.migration).toMatchObject({ phase: 'copying', resolution: null, progress: { stage: 'post-copy', elapsedMs: 500 } });
  });

  it('has it in its record, once, with the time for which the hosts had lost each other', () => {
    const again = play([halves, halves, events.recovered, waiting, split(500), split(900)], inPieces());
    // Heard of at second 6; the memory goes over again at second 11.
    expect(recoveries(again)).toEqual([
      { by: 'recovery', atMs: 11_000, elapsedMs: 7000, action: 'recover post-copy', reason: expect.stringContaining('for 5.0 s') },
    ]);
  });

  it('has it in its record also when it arrives before it was seen to go on', () => {
    const done = play([halves, halves, events.recovered, arrived(sent(1000))], inPieces());
    expect(recoveries(done)).toHaveLength(1);
  });

  it('keeps it beside what the autopilot decides, which tells all of its decisions each time', () => {
    const pilot = (atMs: number, action: string) => ({ by: 'autopilot' as const, atMs, elapsedMs: 1, action, reason: 'an example' });
    const said = running(exampleProgress(500, { stage: 'post-copy' }), {
      decisions: [pilot(5500, 'wait for the link'), pilot(99_000, 'go on')],
    });
    const again = play([halves, halves, events.recovered, split(500), said], inPieces());
    expect(again.migration.decisions.map(({ action }) => action)).toEqual(['wait for the link', 'recover post-copy', 'go on']);
  });

  it('takes the word of a hypervisor that counts from the first byte on', () => {
    const { migration } = play([halves, halves, events.recovered, split(500), arrived(sent(1000), 12_000)], inPieces());
    expect(migration.outcome).toMatchObject({ totalMs: 12_000 });
  });

  it('tells of all of the transfer: the time from its first byte on, and no CPU time of its last part alone', () => {
    const sourceCost = { hypervisorCpuSeconds: 1, ipsecCpuSeconds: 1, agentCpuSeconds: 1 };
    const part = arrived(sent(1000));
    const whole = part.kind === 'transfer-completed' ? { ...part, outcome: { ...part.outcome, sourceCost } } : part;
    const { migration } = play([halves, halves, events.recovered, split(500), whole], inPieces());
    // 2 s before the loss, 4 s of it, 4 s after it.
    expect(migration.outcome).toMatchObject({ totalMs: 10_000, memorySentBytes: 900, sourceCost: null });
  });

  it('is not called back, whoever asks, also before it is seen to go on', () => {
    const recovered = play([halves, halves, events.recovered], inPieces());
    for (const event of [running(null), waiting, split(1)])
      expect(play([event], { ...recovered, migration: askAbort(recovered.migration) }).effect.kind).toBe('watch-transfer');
  });

  it('is taken up again as often as it takes, and each time is told', () => {
    const story = [halves, halves, events.recovered, split(500), lost];
    const often = play([...story, ...story], inPieces());
    expect(recoveries(often)).toHaveLength(2);
    expect(play([halves, halves], often).effect.kind).toBe('recover-post-copy');
  });

  it('tells the newest of very many times', () => {
    const story: MigrationEvent[] = Array.from({ length: 40 }, () => [halves, halves, events.recovered, split(500), lost]).flat();
    const told = recoveries(play(story, inPieces()));
    expect([told.length, told.at(-1)?.atMs]).toEqual([32, 6000 + 1000 * (39 * 5 + 4)]);
  });

  it('calls for a person when it is taken up again and again and never goes on', () => {
    const story: MigrationEvent[] = Array.from({ length: 300 }, () => [halves, halves, events.recovered, waiting, lost]).flat();
    const { migration } = play(story, inPieces());
    expect(migration).toMatchObject({ phase: 'failed', failure: { code: 'truth-unknown' } });
    expect(recoveries({ migration, effect: { kind: 'finish' } })).toEqual([]);
  });

  it('is brought together too where only the source has noticed, and its hypervisor waits for the word of the destination', () => {
    const start = play([events.checked, events.secured, events.chosen, events.started, split(2000)]);
    expect(play([waiting, waiting, waiting], start).effect.kind).toBe('watch-transfer');
    const told = play([waiting, waiting, waiting, waiting], start);
    expect(told).toMatchObject({ effect: { kind: 'ask-truth' }, migration: { resolution: { cause: { code: 'post-copy-broken' } } } });
    const halfNoticed = truth(broken, present('running', true, 'active'));
    const again = play([halfNoticed, halfNoticed, events.recovered, split(9000)], told);
    // The last byte moved at second 5, the next one at second 13.
    expect(recoveries(again)).toMatchObject([{ reason: expect.stringContaining('for 8.0 s') }]);
  });

  it('is left to the hypervisor while that tries, and asked about when that takes long', () => {
    const again = play([halves, halves, events.recovered, ...Array.from({ length: 20 }, () => waiting)], inPieces());
    expect(again.effect.kind).toBe('watch-transfer');
    expect(
      play(
        Array.from({ length: 41 }, () => waiting),
        again,
      ),
    ).toMatchObject({ effect: { kind: 'ask-truth' }, migration: { phase: 'resolving' } });
  });

  it('calls for a person when the hypervisor tries for ever', () => {
    const tried = play([halves, halves, events.recovered, ...Array.from({ length: 61 }, () => waiting)], inPieces());
    const { migration } = play(Array.from({ length: 1200 }, () => [halves, halves, events.corrected]).flat(), tried);
    expect(migration.failure).toEqual({ code: 'truth-unknown', message: expect.stringContaining('recover-post-copy') });
  });

  it('is not believed to have been when nobody asked for it', () => {
    expect(play([events.recovered], inPieces()).effect.kind).toBe('ask-truth');
    expect(play([halves, events.recovered], inPieces()).migration.phase).toBe('resolving');
  });
});

describe("a receipt's traffic", () => {
  const trafficOf = (end: ChannelReading | null) => {
    const { migration } = play([halves, halves, events.recovered, split(500), arrived(end), onDestination, events.verified], inPieces());
    return receiptOf(migration, 1, null).channel.traffic;
  };

  it('is counted to the end of the last part, through the SA that outlived the loss', () => {
    expect(trafficOf(sent(1000))).toMatchObject({ bytesOut: 1000, packetsOut: 10, coversHypervisorBytes: true });
  });

  it('is counted over both SAs where the channel was made anew', () => {
    const traffic = trafficOf(sent(600, 'out-new'));
    expect(traffic).toMatchObject({ bytesOut: 1000, coversHypervisorBytes: true });
    expect(traffic?.sas.map(({ spiOut, bytesOut }) => [spiOut, bytesOut])).toEqual([
      ['out-a', 400],
      ['out-new', 600],
    ]);
  });

  it('is counted to the loss alone where the end could not be read, and does not cover then', () => {
    expect(trafficOf(null)).toMatchObject({ bytesOut: 400, coversHypervisorBytes: false });
  });
});

describe('two readings of the ends of a transfer', () => {
  it('are the one there is where the other names no SA', () => {
    const none = exampleReading(null);
    expect(joinedReadings(null, sent(1))).toEqual(sent(1));
    expect(joinedReadings(sent(1), null)).toEqual(sent(1));
    expect(joinedReadings(sent(1), none)).toEqual(sent(1));
    expect(joinedReadings(none, sent(1))).toEqual(sent(1));
    expect(joinedReadings(null, none)).toEqual(none);
    expect(joinedReadings(null, null)).toBeNull();
  });
});
