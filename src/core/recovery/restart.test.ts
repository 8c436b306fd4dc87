import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Recovery, ToldStanding } from '#core/model/recovery.ts';
import { beginRecovery, hasStorageLock, type RecoveryEvent, restartLimits, step } from './restart.ts';
import { type Act, definition, hostIds, RestartWorld, type Rules, soundRules, vmId } from './restart-world.ts';

const anyHost = fc.constantFrom(...hostIds);
const anyAct: fc.Arbitrary<Act> = fc.oneof(
  { arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(1000, 5000, 20_000, 80_000, 200_000) }), weight: 8 },
  { arbitrary: fc.record({ kind: fc.constantFrom('cut' as const, 'heal', 'power-off', 'power-on'), host: anyHost }), weight: 5 },
  { arbitrary: fc.record({ kind: fc.constantFrom('crash' as const, 'shut-down', 'controller-restarts', 'user-starts') }), weight: 2 },
  {
    arbitrary: fc.record({
      kind: fc.constant('orders-go' as const),
      how: fc.constantFrom('well' as const, 'refused', 'unheard'),
      lateMs: fc.option(fc.nat({ max: 200_000 })),
    }),
    weight: 2,
  },
  { arbitrary: fc.record({ kind: fc.constant('move' as const), to: anyHost, forMs: fc.nat({ max: 30_000 }) }), weight: 2 },
);
const anyActs = fc.array(anyAct, { minLength: 4, maxLength: 25 });

function play(acts: readonly Act[], rules: Rules = soundRules): RestartWorld {
  const world = new RestartWorld(rules);
  world.do({ kind: 'pass', ms: 30_000 });
  for (const act of acts) world.do(act);
  return world;
}

const neverTwice = (rules: Rules) => fc.property(anyActs, (acts) => play(acts, rules).copiesMax === 1);

describe('a restartable VM', () => {
  it('never runs twice, whatever fails, without any lock on its storage', { timeout: 60_000 }, () => {
    fc.assert(neverTwice(soundRules), { numRuns: 3000 });
  });

  it('runs again once everything has healed, unless a person ended it or it was given up', { timeout: 60_000 }, () => {
    const heals = fc.property(anyActs, (acts) => {
      const world = play(acts);
      for (const host of hostIds) for (const kind of ['heal', 'power-on'] as const) world.do({ kind, host });
      world.do({ kind: 'orders-go', how: 'well', lateMs: null });
      world.do({ kind: 'pass', ms: 1_600_000 });
      return world.copies === 1 || world.recovery.phase === 'off' || world.recovery.phase === 'given-up';
    });
    fc.assert(heals, { numRuns: 500 });
  });

  const lie = (change: (event: RecoveryEvent) => RecoveryEvent): Rules => ({ ...soundRules, told: change });
  const broken: readonly (readonly [story: string, rules: Rules])[] = [
    ['were leases not waited out', { ...soundRules, isOver: () => true }],
    ['were a start of unknown outcome not waited out', { ...soundRules, settleMs: 0 }],
    [
      'were hosts that do not answer taken for empty ones',
      lie((event) =>
        event.kind === 'looked'
          ? { ...event, hosts: event.hosts.map((host) => ({ ...host, standing: host.standing ?? 'absent' })) }
          : event.kind === 'tick'
            ? { ...event, leaseOver: true }
            : event,
      ),
    ],
  ];
  it.each(broken)('would run twice %s', (_story, rules) => {
    expect(fc.check(neverTwice(rules), { numRuns: 3000 }).failed).toBe(true);
  });
});

const nowMs = 1_000_000;
const watched: Recovery = {
  ...beginRecovery(vmId, 'web', 0),
  phase: 'watched',
  hostId: 'a',
  bootId: 'boot1',
  toldHostIds: ['a'],
  coveredHostIds: ['a'],
  definition,
};
const down: Recovery = { ...watched, phase: 'down', phaseSinceMs: nowMs };
const seenAs = (standing: ToldStanding, more: object = {}): RecoveryEvent => ({
  kind: 'seen',
  hostId: 'a',
  bootId: 'boot1',
  standing,
  migrationOpen: false,
  ...more,
});
const lookedAt = (standings: Readonly<Record<string, ToldStanding | null>>, over = true): RecoveryEvent => ({
  kind: 'looked',
  migrationOpen: false,
  hasText: true,
  hosts: Object.entries(standings).map(([hostId, standing]) => ({ hostId, standing, leaseOver: over })),
});
const after = (recovery: Recovery, event: RecoveryEvent, atMs = nowMs) => step(recovery, event, atMs, restartLimits);

describe('why a VM ended', () => {
  it.each([
    ['crashed', 'down'],
    ['fenced', 'down'],
    ['stopped', 'off'],
    ['unknown', 'off'],
    ['absent', 'watched'],
    ['gone', 'watched'],
  ] as const)('decides: %s leads to %s', (standing, phase) => {
    expect(after(watched, seenAs(standing)).recovery.phase).toBe(phase);
  });

  it('is the restart of its host, when that has booted since it was last seen to run', () => {
    for (const standing of ['unknown', 'absent'] as const)
      expect(after(watched, seenAs(standing, { bootId: 'boot2' })).recovery.phase).toBe('down');
    expect(after(watched, seenAs('stopped', { bootId: 'boot2' })).recovery.phase).toBe('off');
  });

  it('is told by the host that it ran on, and not while a migration of it is open', () => {
    expect(after(watched, seenAs('crashed', { hostId: 'b' })).recovery).toBe(watched);
    expect(after(watched, seenAs('crashed', { migrationOpen: true })).recovery).toBe(watched);
  });

  it('is not judged anew: a VM that a person ended stays off', () => {
    const off = after(watched, seenAs('stopped')).recovery;
    expect(after(off, seenAs('crashed')).recovery.phase).toBe('off');
    expect(after(off, seenAs('here')).recovery.phase).toBe('watched');
  });
});

describe('a migration as an image whose end nobody knows', () => {
  it('leaves the VM to a person: its image may come back to life without anybody', () => {
    const { recovery, effect } = after(watched, { kind: 'image-left', hostIds: ['a', 'b'] });
    expect([recovery.phase, effect.kind]).toEqual(['off', 'none']);
    expect(after(recovery, { kind: 'tick', leaseOver: true, migrationOpen: false }).recovery.phase).toBe('off');
    expect(after(recovery, seenAs('here')).recovery.phase).toBe('watched');
  });
});

describe('a migration that ended without a winner', () => {
  const bothTold = { ...watched, toldHostIds: ['a', 'b'], coveredHostIds: ['a', 'b'] };
  it('is down at once where it is known to have ended on its destination, also if a person has removed what was left on its source', () => {
    const { recovery } = after(bothTold, { kind: 'lost', hostIds: ['a', 'b'], endedOn: 'b' });
    expect(recovery).toMatchObject({ phase: 'down', reason: expect.stringContaining('has ended there') });
    expect(after(recovery, lookedAt({ a: 'stopped', b: 'absent' })).effect.kind).toBe('choose');
  });

  const missing = after(bothTold, { kind: 'lost', hostIds: ['a', 'b'], endedOn: null }).recovery;

  it('has the VM looked for, once it is not migrated any more', () => {
    expect(missing).toMatchObject({ phase: 'missing', reason: expect.stringContaining('a or b') });
    expect(after(missing, { kind: 'tick', leaseOver: true, migrationOpen: true }).effect.kind).toBe('none');
    expect(after(missing, { kind: 'tick', leaseOver: true, migrationOpen: false }).effect.kind).toBe('look');
    expect(after(missing, seenAs('crashed')).recovery).toBe(missing);
    expect(after(missing, seenAs('here', { hostId: 'b' })).recovery).toMatchObject({ phase: 'watched', hostId: 'b' });
  });

  it.each<[standings: Readonly<Record<string, ToldStanding | null>>, phase: string, effect: string, reason: string]>([
    [{ a: 'gone', b: 'fenced', c: 'absent' }, 'down', 'choose', 'b has ended it because its lease had ended'],
    [{ a: 'stopped', b: 'fenced' }, 'down', 'choose', 'b has ended it because its lease had ended'],
    [{ a: 'absent', b: 'crashed' }, 'down', 'choose', 'its process on b has died'],
    [{ a: null, b: null, c: 'absent' }, 'down', 'choose', 'a is silent and its lease is over'],
    [{ a: 'unknown', b: 'absent' }, 'down', 'choose', 'it ended on a, and its hypervisor does not say why'],
    [{ a: 'absent', b: 'absent', c: 'crashed' }, 'down', 'choose', 'no host has it'],
    [{ a: 'absent', b: 'stopped' }, 'off', 'none', 'it was shut down, destroyed or saved on b'],
    [{ a: 'stopped', b: 'crashed' }, 'off', 'none', 'it was shut down, destroyed or saved on a'],
    [{ a: 'gone', b: 'arriving' }, 'missing', 'none', 'b is just about to run it'],
    [{ a: 'absent', b: 'here' }, 'watched', 'none', 'it runs on b'],
    [{ a: 'absent', c: 'absent' }, 'missing', 'none', 'b has had it, and is not asked'],
  ])('is explained by %j: %s', (standings, phase, effect, reason) => {
    const found = after(missing, lookedAt(standings));
    expect([found.recovery.phase, found.effect.kind]).toEqual([phase, effect]);
    const told = found.effect.kind === 'choose' ? found.effect.why : found.recovery.reason;
    expect(told).toContain(reason);
  });

  it('waits for hosts that may still run it', () => {
    expect(after(missing, lookedAt({ a: null, b: 'fenced' }, false)).recovery.phase).toBe('missing');
    expect(after({ ...missing, coveredHostIds: ['b'] }, lookedAt({ a: null, b: 'fenced' })).recovery.phase).toBe('missing');
  });

  it('says nothing new of a VM that is not thought to run', () => {
    for (const phase of ['off', 'down', 'starting', 'given-up'] as const)
      expect(after({ ...bothTold, phase }, { kind: 'lost', hostIds: ['a', 'b'], endedOn: null }).recovery.phase).toBe(phase);
  });
});

describe('the boot that a VM was started in', () => {
  it('is known from the order on: a host that is restarted before it is seen there has not ended it for a person', () => {
    const order = after(down, { kind: 'chosen', hostId: 'b', bootId: 'boot1', vmEpoch: 2, why: 'a test' }).recovery;
    const started = after(order, { kind: 'ordered', outcome: 'started', unseen: false, why: 'it runs on b' }).recovery;
    expect(started).toMatchObject({ phase: 'watched', hostId: 'b', bootId: 'boot1' });
    expect(after(started, seenAs('unknown', { hostId: 'b', bootId: 'boot2' })).recovery.phase).toBe('down');
    expect(after(started, seenAs('unknown', { hostId: 'b', bootId: 'boot1' })).recovery.phase).toBe('off');
    expect(after(order, lookedAt({ a: 'absent', b: 'here' })).recovery.bootId).toBe('boot1');
    expect(after(order, lookedAt({ a: 'here', b: 'absent' })).recovery.bootId).toBeNull();
  });
});

describe('a silent host', () => {
  const tick = (leaseOver: boolean, migrationOpen = false): RecoveryEvent => ({ kind: 'tick', leaseOver, migrationOpen });

  it('is waited for until its lease is over, and never given up while a migration is open', () => {
    expect(after(watched, tick(false)).recovery).toBe(watched);
    expect(after(watched, tick(true, true)).recovery).toBe(watched);
    expect(after(watched, tick(true)).recovery).toMatchObject({ phase: 'down', reason: 'a is silent and its lease is over' });
  });

  it('whose agent never confirmed that it ends the VM is a matter for a person', () => {
    const { recovery } = after({ ...watched, coveredHostIds: [] }, tick(true));
    expect(recovery).toMatchObject({ phase: 'watched', reason: expect.stringContaining('never confirmed') });
  });
});

describe('a start', () => {
  it('needs every host to say that it does not run the VM, or its lease to be over', () => {
    expect(after(down, lookedAt({ a: 'crashed', b: 'absent' })).effect.kind).toBe('choose');
    expect(after(down, lookedAt({ a: null, b: 'absent' })).effect.kind).toBe('choose');
    expect(after(down, lookedAt({ a: null, b: 'absent' }, false)).effect.kind).toBe('none');
    expect(after(down, lookedAt({ a: 'crashed', b: null }, false)).effect.kind).toBe('none');
    expect(after({ ...down, coveredHostIds: [] }, lookedAt({ a: null, b: 'absent' })).effect.kind).toBe('none');
    expect(after(down, lookedAt({ b: 'absent' })).recovery.reason).toBe('a has had it, and is not asked');
    expect(after(down, lookedAt({ a: 'crashed', b: 'arriving' })).effect.kind).toBe('none');
    expect(after(down, lookedAt({ a: 'crashed', b: 'here' })).recovery).toMatchObject({ phase: 'watched', hostId: 'b' });
  });

  it('needs a definition, its text, a lock on the storage, and no open migration', () => {
    const fine = lookedAt({ a: 'crashed' });
    expect(after({ ...down, definition: null }, fine).effect.kind).toBe('none');
    expect(after(down, { ...fine, hasText: false } as RecoveryEvent).effect.kind).toBe('none');
    expect(after({ ...down, definition: { ...definition, leases: [] } }, fine).effect.kind).toBe('none');
    expect(after(down, { ...fine, migrationOpen: true } as RecoveryEvent).effect.kind).toBe('none');
  });

  it('tells why it is made, and not what it has waited for', () => {
    const late = { ...down, reason: 'b does not answer, and its lease is not over', toldHostIds: ['a', 'c'], coveredHostIds: ['a', 'c'] };
    const because = (standings: Readonly<Record<string, ToldStanding | null>>) => after(late, lookedAt(standings)).effect;
    expect(because({ a: null, b: 'absent', c: 'absent' })).toEqual({
      kind: 'choose',
      why: 'a is silent and its lease is over',
      unseen: true,
    });
    expect(because({ a: 'absent', b: null, c: 'fenced' })).toMatchObject({
      why: 'c has ended it because its lease had ended',
      unseen: false,
    });
    expect(because({ a: 'absent', b: 'crashed', c: 'crashed' })).toMatchObject({ why: 'its process on c has died' });
  });

  it('is ordered once, is tried again later each time, and in the end no more', () => {
    let recovery = down;
    let atMs = nowMs;
    const pauses: number[] = [];
    for (let attempt = 1; attempt <= restartLimits.attemptsMax; attempt += 1) {
      const order = after(recovery, { kind: 'chosen', hostId: 'b', bootId: 'boot1', vmEpoch: attempt, why: 'a test' }, atMs);
      expect(order.effect).toEqual({ kind: 'start', hostId: 'b', vmEpoch: attempt });
      expect(after(order.recovery, { kind: 'chosen', hostId: 'c', bootId: 'boot1', vmEpoch: 99, why: 'a test' }, atMs).effect.kind).toBe(
        'none',
      );
      ({ recovery } = after(order.recovery, { kind: 'ordered', outcome: 'refused', unseen: false, why: 'no emulator' }, atMs));
      pauses.push(recovery.notBeforeMs - atMs);
      expect(after(recovery, { kind: 'tick', leaseOver: true, migrationOpen: false }, recovery.notBeforeMs - 1).effect.kind).toBe('none');
      atMs = recovery.notBeforeMs;
    }
    expect(pauses).toEqual([10_000, 20_000, 40_000, 80_000, 160_000]);
    ({ recovery } = after(recovery, { kind: 'tick', leaseOver: true, migrationOpen: false }, atMs));
    expect(recovery.phase).toBe('given-up');
    expect(after(recovery, seenAs('here'), atMs).recovery).toMatchObject({ phase: 'watched', attempts: 0 });
  });

  it.each([
    { outcome: 'held', unseen: false },
    { outcome: 'refused', unseen: true },
  ] as const)('that is $outcome, unseen $unseen, does not count, however often: the VM may run somewhere', (answer) => {
    let recovery = { ...down, attempts: 1 };
    for (let atMs = nowMs, time = 0; time < 3 * restartLimits.attemptsMax; time += 1) {
      expect(after(recovery, { kind: 'tick', leaseOver: true, migrationOpen: false }, atMs).effect.kind).toBe('look');
      const order = after(recovery, { kind: 'chosen', hostId: 'b', bootId: 'boot1', vmEpoch: time, why: 'a test' }, atMs);
      ({ recovery } = after(order.recovery, { kind: 'ordered', ...answer, why: 'lock held' }, atMs));
      expect(recovery).toMatchObject({ phase: 'down', attempts: 1, notBeforeMs: atMs + restartLimits.heldMs });
      atMs = recovery.notBeforeMs;
    }
  });

  it('is forgotten when the VM has run for long, and not before', () => {
    const ran = { ...watched, attempts: 2, phaseSinceMs: 0 };
    expect(after(ran, seenAs('here'), restartLimits.steadyMs - 1).recovery.attempts).toBe(2);
    expect(after(ran, seenAs('here'), restartLimits.steadyMs).recovery.attempts).toBe(0);
  });

  it('of a VM whose mark was taken away is never made', () => {
    expect(after({ ...down, wanted: false }, lookedAt({ a: 'crashed' })).effect.kind).toBe('none');
  });
});

describe('the lock on the storage', () => {
  const disk = { target: 'vda', kind: 'file', source: '/vm.img', readOnly: false, shareable: false, cache: null };
  const bare = { ...definition, leases: [] };

  it('is a lease, or an image that QEMU locks', () => {
    expect(hasStorageLock(definition)).toBe(true);
    expect(hasStorageLock({ ...bare, disks: [disk] })).toBe(true);
    expect(hasStorageLock(bare)).toBe(false);
    expect(hasStorageLock({ ...bare, disks: [{ ...disk, kind: 'network' }] })).toBe(false);
    expect(hasStorageLock({ ...bare, disks: [{ ...disk, shareable: true }] })).toBe(false);
    expect(hasStorageLock({ ...bare, disks: [{ ...disk, readOnly: true }] })).toBe(false);
  });
});
