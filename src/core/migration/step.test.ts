import { describe, expect, it } from 'vitest';
import { exampleProof, exampleReading, exampleSa } from '#core/channel/examples.ts';
import type { Migration, MigrationRequest, Progress, VmTruth } from '#core/model/migration.ts';
import { askAbort, begin, type MigrationEvent, outcomeOf, recover, step, type Step } from './step.ts';

const limits = { noProgressMsMax: 10_000, truthWaitMsMax: 60_000 };
const request: MigrationRequest = {
  migrationId: 'm1',
  vmId: '00000000-0000-4000-8000-000000000001',
  vmName: 'web1',
  fromHostId: 'a',
  toHostId: 'b',
  cause: 'balance',
  askedBy: 'planner',
  approvedBy: null,
  channelKind: 'ipsec',
  grantId: null,
  planId: null,
  vmEpoch: 1,
  askedAtMs: 0,
};
const proof = exampleProof;
const reading = exampleReading();
const progress = (memoryRemainingBytes: number): Progress => ({
  elapsedMs: 1,
  memoryTotalBytes: 100,
  memoryRemainingBytes,
  memorySentBytes: 0,
  bandwidthBytesPerSecond: null,
  dirtyPagesPerSecond: null,
  pageSizeBytes: null,
  iteration: null,
  expectedDowntimeMs: null,
});
const outcome = { totalMs: 900, downtimeMs: 50, memorySentBytes: 100, iterations: 2 };
const onDestination: MigrationEvent = {
  kind: 'truth',
  source: { kind: 'absent' },
  destination: { kind: 'present', state: 'running', jobActive: false },
};
const onSource: MigrationEvent = {
  kind: 'truth',
  source: { kind: 'present', state: 'running', jobActive: false },
  destination: { kind: 'absent' },
};

function play(events: readonly MigrationEvent[], start: Step = begin(request)): Step {
  let now = 0;
  let current = start;
  for (const event of events) {
    now += 1000;
    current = step(current.migration, event, now, limits);
  }
  return current;
}

const copying: readonly MigrationEvent[] = [
  { kind: 'checked' },
  { kind: 'secured', proof, tuning: null },
  { kind: 'transfer-started', reading },
];

describe('a migration', () => {
  it('goes through check, channel, transfer, truth and verification, in this order', () => {
    const effects: string[] = [begin(request).effect.kind];
    let current = begin(request);
    for (const event of [
      ...copying,
      { kind: 'transfer-completed', outcome, reading },
      onDestination,
      { kind: 'verified', reading },
    ] as const) {
      current = step(current.migration, event, 1000, limits);
      effects.push(current.effect.kind);
    }
    expect(effects).toEqual(['check', 'secure', 'start-transfer', 'watch-transfer', 'ask-truth', 'verify', 'finish']);
    expect(current.migration.phase).toBe('done');
    expect(outcomeOf(current.migration)).toBe('moved');
  });

  it('does not believe the source that says completed while the VM still runs there', () => {
    const { migration } = play([...copying, { kind: 'transfer-completed', outcome, reading }, onSource, onSource]);
    expect(migration.phase).toBe('failed');
    expect(outcomeOf(migration)).toBe('stayed');
  });

  it('counts as moved when the source says failed but the VM runs on the destination', () => {
    const lost: MigrationEvent = { kind: 'transfer-lost', refusal: { code: 'agent-restarted', message: 'gone' } };
    const { migration } = play([...copying, lost, onDestination, { kind: 'verified', reading: null }]);
    expect(migration.phase).toBe('done');
    expect(migration.failure).toBeNull();
  });

  it('keeps the tuning, and the readings of the channel as the transfer began and ended', () => {
    const end = exampleReading(exampleSa({ bytesOut: 500 }));
    const late = exampleReading(exampleSa({ bytesOut: 900 }));
    const events: readonly MigrationEvent[] = [...copying, { kind: 'transfer-completed', outcome, reading: end }, onDestination];
    const { migration } = play([...events, { kind: 'verified', reading: late }]);
    expect(migration).toMatchObject({ proof, tuning: null, channelBefore: reading, channelAfter: end });
  });

  it('takes the reading after verification where there is none of the end of the transfer', () => {
    const late = exampleReading(exampleSa({ bytesOut: 900 }));
    const gone = exampleReading(null);
    for (const atEnd of [null, gone]) {
      const events: readonly MigrationEvent[] = [...copying, { kind: 'transfer-completed', outcome, reading: atEnd }, onDestination];
      expect(play([...events, { kind: 'verified', reading: late }]).migration.channelAfter).toEqual(late);
    }
  });

  it('keeps the reading of a transfer that failed', () => {
    const failed: MigrationEvent = { kind: 'transfer-failed', refusal: { code: 'plain-text-seen', message: 'x' }, reading };
    const { migration } = play([...copying, failed, onSource, onSource]);
    expect(migration.channelAfter).toEqual(reading);
    expect(migration.failure?.code).toBe('plain-text-seen');
  });

  it('sends nothing over IPsec without a proof, and has none on a channel that is not IPsec', () => {
    const unproven: readonly MigrationEvent[] = [{ kind: 'checked' }, { kind: 'secured', proof: null, tuning: null }];
    const { migration, effect } = play(unproven);
    expect(effect.kind).toBe('finish');
    expect(migration.failure?.code).toBe('proof-missing');
    expect(play(unproven, begin({ ...request, channelKind: 'qemu-tls' })).effect.kind).toBe('start-transfer');
  });

  it('sends nothing when the channel is refused', () => {
    const { migration, effect } = play([{ kind: 'checked' }, { kind: 'refused', refusal: { code: 'proof-failed', message: 'no' } }]);
    expect(effect.kind).toBe('finish');
    expect(migration.failure?.code).toBe('proof-failed');
  });

  it('asks both hosts twice before it destroys a copy, and starts counting anew when the answer changes', () => {
    const halted: MigrationEvent = {
      kind: 'truth',
      source: { kind: 'present', state: 'paused', jobActive: false },
      destination: { kind: 'present', state: 'running', jobActive: false },
    };
    const failed: MigrationEvent = { kind: 'transfer-failed', refusal: { code: 'hypervisor-failed', message: 'x' }, reading: null };
    expect(play([...copying, failed, halted]).effect.kind).toBe('ask-truth');
    expect(play([...copying, failed, halted, halted]).effect.kind).toBe('destroy-source-copy');
    expect(play([...copying, failed, halted, onSource, halted]).effect.kind).toBe('ask-truth');
  });

  it('is aborted on request, and says so', () => {
    const running = play(copying);
    const asked = { migration: askAbort(running.migration), effect: running.effect };
    const failed: MigrationEvent = { kind: 'transfer-failed', refusal: { code: 'aborted', message: 'x' }, reading: null };
    expect(play([{ kind: 'transfer-running', progress: null }], asked).effect.kind).toBe('abort-transfer');
    const { migration } = play([{ kind: 'transfer-running', progress: null }, { kind: 'abort-sent' }, failed, onSource, onSource], asked);
    expect(migration.failure?.code).toBe('aborted');
  });

  it('sends no byte when the abort comes before the transfer', () => {
    const checked = play([{ kind: 'checked' }]);
    const { migration, effect } = play([{ kind: 'secured', proof, tuning: null }], { ...checked, migration: askAbort(checked.migration) });
    expect(effect.kind).toBe('finish');
    expect(migration.failure?.code).toBe('aborted');
  });

  it('is aborted when the remaining memory has not shrunk for too long', () => {
    const running = (bytes: number): MigrationEvent => ({ kind: 'transfer-running', progress: progress(bytes) });
    const shrinking = Array.from({ length: 20 }, (_, index) => running(1000 - index));
    expect(play([...copying, ...shrinking]).effect.kind).toBe('watch-transfer');
    const stuck = Array.from({ length: 12 }, () => running(500));
    const { effect, migration } = play([...copying, ...stuck]);
    expect(effect.kind).toBe('abort-transfer');
    const failed: MigrationEvent = { kind: 'transfer-failed', refusal: { code: 'aborted', message: 'x' }, reading: null };
    expect(play([{ kind: 'abort-sent' }, failed, onSource, onSource], { effect, migration }).migration.failure?.code).toBe(
      'migration-stalled',
    );
  });

  it('calls for a person when the truth stays out of reach', () => {
    const silent: MigrationEvent = { kind: 'truth', source: { kind: 'unreachable' }, destination: { kind: 'unreachable' } };
    const lost: MigrationEvent = { kind: 'transfer-lost', refusal: { code: 'link-lost', message: 'gone' } };
    expect(play([...copying, lost, ...Array.from({ length: 30 }, () => silent)]).migration.phase).toBe('resolving');
    const { migration } = play([...copying, lost, ...Array.from({ length: 70 }, () => silent)]);
    expect(migration.failure?.code).toBe('truth-unknown');
    expect(outcomeOf(migration)).toBe('unclear');
  });
});

describe('the wait for the truth', () => {
  const lost: MigrationEvent = { kind: 'transfer-lost', refusal: { code: 'agent-restarted', message: 'gone' } };
  const at = (source: VmTruth, destination: VmTruth): MigrationEvent => ({ kind: 'truth', source, destination });
  const movingToNowhere = at({ kind: 'present', state: 'running', jobActive: true }, { kind: 'unreachable' });
  const moving = at({ kind: 'present', state: 'running', jobActive: true }, { kind: 'present', state: 'incoming', jobActive: true });
  const silent = at({ kind: 'present', state: 'running', jobActive: false }, { kind: 'unreachable' });
  const halted = at({ kind: 'present', state: 'paused', jobActive: false }, { kind: 'absent' });

  it('lasts as long as the hypervisor is at work, and only then begins to count', () => {
    const worked = [...copying, lost, ...Array.from({ length: 500 }, () => moving)];
    const afterwards = (count: number) => play([...worked, ...Array.from({ length: count }, () => silent)]).migration;
    expect(afterwards(0).phase).toBe('resolving');
    expect(afterwards(50).phase).toBe('resolving');
    expect(afterwards(70).failure?.code).toBe('truth-unknown');
  });

  it('aborts a transfer that nobody watches any more as soon as that is asked', () => {
    const { migration, effect } = play([...copying, lost, moving]);
    for (const seen of [moving, movingToNowhere])
      expect(play([seen], { migration: askAbort(migration), effect }).effect.kind).toBe('abort-transfer');
  });

  it('ends for a person when the hosts do not carry out what would put it right', () => {
    const again = (count: number) =>
      play([
        ...copying,
        lost,
        ...(Array.from({ length: count }, () => [halted, halted, { kind: 'corrected' }]).flat() as MigrationEvent[]),
      ]);
    expect(again(10).migration.phase).toBe('resolving');
    const { migration } = again(80);
    expect(migration.failure?.code).toBe('truth-unknown');
    expect(outcomeOf(migration)).toBe('unclear');
  });
});

describe('a VM that goes as a sealed image', () => {
  const asImage = begin({ ...request, channelKind: 'sealed-image' });
  const begun: readonly MigrationEvent[] = [
    { kind: 'checked' },
    { kind: 'secured', proof: null, tuning: null },
    { kind: 'transfer-started', reading },
  ];
  const lost: MigrationEvent = { kind: 'transfer-lost', refusal: { code: 'host-down', message: 'silent' } };
  const at = (source: VmTruth, destination: VmTruth): MigrationEvent => ({ kind: 'truth', source, destination });
  const absent: VmTruth = { kind: 'absent' };
  const sending = at({ kind: 'image', standing: 'moving' }, { kind: 'image', standing: 'opened' });
  const given = at({ kind: 'image', standing: 'given' }, absent);

  it('is watched again when its source, silent for a while, turns out to be sending still', () => {
    const { migration, effect } = play([...begun, lost, sending], asImage);
    expect([effect.kind, migration.phase, migration.resolution]).toEqual(['watch-transfer', 'copying', null]);
    const resolving = play([...begun, lost], asImage);
    const asked = { ...resolving, migration: askAbort(resolving.migration) };
    expect(play([sending], asked).effect.kind).toBe('abort-transfer');
  });

  it('is taken back after both hosts have said twice that nobody runs it, and then counts as stayed', () => {
    const unclear: MigrationEvent = { kind: 'transfer-failed', refusal: { code: 'truth-unknown', message: 'no answer' }, reading: null };
    expect(play([...begun, unclear, given], asImage).effect.kind).toBe('ask-truth');
    expect(play([...begun, unclear, given, given], asImage).effect.kind).toBe('take-image-back');
    const { migration } = play([...begun, unclear, given, given, { kind: 'corrected' }, onSource, onSource], asImage);
    expect(migration.failure).toEqual({ code: 'migration-failed', message: expect.stringContaining('no answer') });
    expect(outcomeOf(migration)).toBe('stayed');
  });

  it('does not stall while its source waits for the destination, and does when it does not', () => {
    const waiting = (awaitsPeer: boolean) =>
      Array.from({ length: 30 }, (): MigrationEvent => {
        return { kind: 'transfer-running', progress: progress(500), awaitsPeer };
      });
    expect(play([...begun, ...waiting(true)], asImage).effect.kind).toBe('watch-transfer');
    expect(play([...begun, ...waiting(false)], asImage).effect.kind).toBe('abort-transfer');
  });

  it('that stays where it was says so when its destination was revoked and not asked', () => {
    const revoked = at({ kind: 'present', state: 'running', jobActive: false }, { kind: 'excluded' });
    const { migration } = play([...begun, lost, revoked, revoked], asImage);
    expect(migration.failure).toEqual({ code: 'host-down', message: 'silent; the destination was not asked: it is revoked' });
  });
});

describe('a migration after the controller died', () => {
  const at = (phase: Migration['phase']): Migration => ({ ...begin(request).migration, phase });

  it.each([
    ['asked', 'finish'],
    ['checked', 'finish'],
    ['secured', 'ask-truth'],
    ['copying', 'watch-transfer'],
    ['resolving', 'ask-truth'],
    ['verifying', 'verify'],
  ] as const)('that was %s goes on with %s', (phase, effect) => {
    expect(recover(at(phase), 5000).effect.kind).toBe(effect);
  });

  it('that had sent nothing is given up, and the VM counts as stayed', () => {
    expect(outcomeOf(recover(at('checked'), 5000).migration)).toBe('stayed');
  });
});
