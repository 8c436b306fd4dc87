import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EventName, EventOf, ScenarioEvent } from './scenario.ts';
import { scenarioOf } from './scenario.ts';
import { scenarioFrom, type Schedule, scheduleOf, type Unit } from './schedule.ts';
import { type FaultKind, faultKinds } from './schedule-faults.ts';

const seeds = fc.integer({ min: 0, max: 2 ** 31 });
const quietAt = ({ scenario: { cluster } }: Schedule) => cluster.runForSeconds - (cluster.quietSeconds ?? 0);
const faultsOf = ({ units }: Schedule) => units.filter(({ kind }) => faultKinds.includes(kind as FaultKind));

type Words = { readonly [Name in EventName]?: (event: EventOf<Name>) => string | null };

/** What an event begins, by the words that end it; null for what is over as soon as it happens. */
const beginnings: Words = {
  kill: ({ what, host }) => `start ${what} ${host}`,
  'kill-controller': () => 'start-controller',
  'pause-controller': () => 'go-on-controller',
  cut: ({ between }) => `heal ${between.join()}`,
  'cut-one-way': ({ from, to }) => `heal-one-way ${from} ${to}`,
  isolate: ({ host }) => `rejoin ${host}`,
  power: ({ becomes, host }) => (becomes === 'off' ? `power on ${host}` : null),
  pause: ({ what, host }) => `go-on ${what} ${host}`,
  'pause-qemu': ({ vm, which }) => `go-on-qemu ${vm} ${which}`,
  guard: ({ becomes, host }) => (becomes === 'broken' ? `guard absent ${host}` : null),
  disk: ({ becomes, of }) => (becomes === 'ok' ? null : `disk ok ${of}`),
  drift: ({ ppm, of }) => (ppm === 0 ? null : `drift 0 ${of}`),
  lie: ({ becomes, about, host }) => (becomes === 'on' ? `lie off ${about} ${host}` : null),
  link: (event) => (isGood(event) ? null : `link ${event.between.join()}`),
};

/** The same words, of the event that ends it. */
const ends: Words = {
  start: ({ what, host }) => `start ${what} ${host}`,
  'start-controller': () => 'start-controller',
  'go-on-controller': () => 'go-on-controller',
  heal: ({ between }) => `heal ${between.join()}`,
  'heal-one-way': ({ from, to }) => `heal-one-way ${from} ${to}`,
  rejoin: ({ host }) => `rejoin ${host}`,
  power: ({ becomes, host }) => `power ${becomes} ${host}`,
  'go-on': ({ what, host }) => `go-on ${what} ${host}`,
  'go-on-qemu': ({ vm, which }) => `go-on-qemu ${vm} ${which}`,
  guard: ({ becomes, host }) => `guard ${becomes} ${host}`,
  disk: ({ becomes, of }) => `disk ${becomes} ${of}`,
  drift: ({ ppm, of }) => `drift ${ppm} ${of}`,
  lie: ({ becomes, about, host }) => `lie ${becomes} ${about} ${host}`,
  link: (event) => (isGood(event) ? `link ${event.between.join()}` : null),
};

function wordsOf(words: Words, event: ScenarioEvent): string | null {
  const tell = words[event.do] as ((event: ScenarioEvent) => string | null) | undefined;
  return tell?.(event) ?? null;
}

/** As new: nothing is said of it. */
function isGood(event: EventOf<'link'>): boolean {
  return Object.keys(event).every((key) => ['at', 'do', 'between'].includes(key));
}

function isAfter(end: ScenarioEvent['at'], begin: ScenarioEvent['at']): boolean {
  if (typeof end === 'number' || typeof begin === 'number') return typeof end === 'number' && typeof begin === 'number' && end >= begin;
  const isSameMoment = end.vm === begin.vm && end.reaches === begin.reaches;
  return isSameMoment && (end.plusSeconds ?? 0) >= (begin.plusSeconds ?? 0);
}

function unended({ events }: Unit): readonly ScenarioEvent[] {
  return events.filter((event, index) => {
    const end = wordsOf(beginnings, event);
    return end !== null && !events.slice(index + 1).some((later) => wordsOf(ends, later) === end && isAfter(later.at, event.at));
  });
}

/** Schedules are checked as files are, which takes a busy machine its time. */
const wallMsMax = 60_000;

describe('a schedule', { timeout: wallMsMax }, () => {
  test('is the same for the same seed, and another one for another', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        expect(scheduleOf(seed)).toEqual(scheduleOf(seed));
      }),
    );
    const different = new Set(Array.from({ length: 50 }, (_, seed) => JSON.stringify(scheduleOf(seed).scenario.events)));
    expect(different.size).toBe(50);
  });

  test('is a scenario as its files would be, also after a way through text', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const { cluster, events } = scheduleOf(seed).scenario;
        const read = JSON.parse(JSON.stringify({ cluster, events })) as { cluster: unknown; events: unknown };
        expect(scenarioOf(read.cluster, read.events)).toEqual({ cluster, events });
      }),
    );
  });

  test('ends every fault that it begins, after its beginning and before the quiet time', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const schedule = scheduleOf(seed);
        for (const unit of faultsOf(schedule)) {
          expect(unended(unit), unit.kind).toEqual([]);
          // A clock that has jumped jumps back.
          expect(unit.events.reduce((sum, event) => sum + (event.do === 'clock' ? event.jumpMs : 0), 0)).toBe(0);
          for (const { at } of unit.events) if (typeof at === 'number') expect(at).toBeLessThanOrEqual(quietAt(schedule));
        }
      }),
    );
  });

  test('that forgets an end is noticed by the test above', () => {
    const schedule = scheduleOf(1, { kinds: ['controller-dies', 'isolated', 'power-off', 'disk-full', 'bad-link'] });
    const faults = [1, 2, 3, 4, 5].flatMap((seed) => faultsOf(scheduleOf(seed, { kinds: ['controller-dies', 'isolated', 'power-off'] })));
    expect(quietAt(schedule)).toBeGreaterThan(0);
    expect(faults.length).toBeGreaterThan(0);
    for (const unit of faults) expect(unended({ ...unit, events: unit.events.slice(0, 1) })).toHaveLength(1);
  });

  test('breaks nothing but what it was asked to, and each kind comes from some seed', () => {
    for (const kind of faultKinds) {
      const kinds = new Set([1, 2, 3, 4, 5, 6].flatMap((seed) => faultsOf(scheduleOf(seed, { kinds: [kind] })).map((unit) => unit.kind)));
      expect([...kinds]).toEqual([kind]);
    }
  });

  test('leaves room on its hosts, so that a VM can go somewhere', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const { hosts, vms } = scheduleOf(seed).scenario.cluster;
        for (const [hostId, { memoryGiB }] of Object.entries(hosts)) {
          const here = Object.values(vms).filter(({ host }) => host === hostId);
          expect(here.reduce((sum, vm) => sum + vm.memoryGiB, 0)).toBeLessThanOrEqual(memoryGiB / 2);
        }
      }),
    );
  });

  test('never starts or kills a process on the host that may lose its power', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const events = faultsOf(scheduleOf(seed, { kinds: ['power-off', 'agent-dies', 'libvirtd-dies', 'process-paused'] })).flatMap(
          (unit) => unit.events,
        );
        const off = new Set(events.flatMap((event) => (event.do === 'power' ? [event.host] : [])));
        const touched = events.flatMap((event) => ('what' in event ? [event.host] : []));
        expect(touched.filter((host) => off.has(host))).toEqual([]);
      }),
    );
  });

  test('has as many hosts as are asked for', () => {
    expect(Object.keys(scheduleOf(3, { hosts: 5 }).scenario.cluster.hosts)).toHaveLength(5);
  });

  test('made of some of its units ends as the whole one does', () => {
    const { scenario, units } = scheduleOf(9);
    const { certificateLifeSeconds: _, ...cluster } = scenario.cluster;
    expect(new Set(scenarioFrom(cluster, []).events.map((event) => event.do))).toEqual(new Set(['mode', 'abort']));
    expect(scenarioFrom(scenario.cluster, units)).toEqual(scenario);
  });
});
