import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WayFacts } from '#core/model/channel.ts';
import { exampleProfile, exampleSa } from './examples.ts';
import { keepBetter, packetsPerGibibyte, planMeasurement, planTuning, type TuningFacts, type TuningPlan, tuningRecord } from './tuning.ts';

const way = (changes: Partial<WayFacts> = {}): WayFacts => ({
  interface: 'eth0',
  interfaceMtuBytes: 1500,
  interfaceMtuBytesMax: 9000,
  routeMtuBytes: null,
  tunnelMtuBytes: null,
  ...changes,
});
const facts = (changes: Partial<TuningFacts> = {}, source = way(), destination = way()): TuningFacts => ({
  profile: exampleProfile(),
  sa: exampleSa(),
  source: { hostId: 'a', addresses: { underlay: '10.77.0.1', protected: '10.79.0.1', interface: 'eth0' }, way: source },
  destination: { hostId: 'b', addresses: { underlay: '10.77.0.2', protected: '10.79.0.2', interface: 'eth0' }, way: destination },
  policy: { mode: 'raise', mtuBytesMax: 9000 },
  ...changes,
});
const clamp = { mode: 'clamp', mtuBytesMax: 9000 } as const;
const userspace = way({ tunnelMtuBytes: 1400 });

function plan(given: TuningFacts, pathMtuBytes: number): TuningPlan {
  const result = planTuning(given, pathMtuBytes);
  if (!result.ok) throw new Error(result.why);
  return result.plan;
}

describe('the measurement', () => {
  it('raises the interfaces only where policy allows, and only as far as both devices and policy go', () => {
    expect(planMeasurement(facts()).settings.source).toMatchObject({ interfaceMtuBytes: 9000, mssBytes: null, routeMtuBytes: null });
    expect(planMeasurement(facts({}, way(), way({ interfaceMtuBytesMax: 4000 })))).toMatchObject({
      packetBytesMax: 4000,
      settings: { source: { interfaceMtuBytes: 4000 }, destination: { interfaceMtuBytes: 4000 } },
    });
    expect(planMeasurement(facts({ policy: { mode: 'raise', mtuBytesMax: 4352 } })).packetBytesMax).toBe(4352);
    expect(planMeasurement(facts({ policy: clamp }))).toMatchObject({
      packetBytesMax: 1500,
      settings: { source: null, destination: null },
    });
  });

  it('raises nothing for a device that does not say how far it goes, nor for userspace ESP', () => {
    expect(planMeasurement(facts({}, way({ interfaceMtuBytesMax: null }))).packetBytesMax).toBe(1500);
    expect(planMeasurement(facts({}, userspace, userspace)).settings).toEqual({ source: null, destination: null });
  });

  it('raises only the end that is lower', () => {
    const { settings } = planMeasurement(facts({}, way({ interfaceMtuBytes: 9000 })));
    expect(settings).toMatchObject({ source: null, destination: { interfaceMtuBytes: 9000 } });
  });
});

describe('a tuning', () => {
  it('of a path of 9000 bytes raises both ends and clamps to what fits', () => {
    const { settings, record, prediction, limit } = plan(facts(), 9000);
    expect(settings.source).toEqual({
      peerHostId: 'b',
      peerUnderlay: '10.77.0.2',
      peerChannelAddress: '10.79.0.2',
      interface: 'eth0',
      mssBytes: 8906,
      routeMtuBytes: 9000,
      interfaceMtuBytes: 9000,
    });
    expect(settings.destination).toMatchObject({ peerHostId: 'a', peerChannelAddress: '10.79.0.1', mssBytes: 8906 });
    expect(record).toEqual({
      pathMtuBytes: 9000,
      limitedBy: 'interface',
      overheadBytes: 106,
      mssBeforeBytes: 1406,
      mssAfterBytes: 8906,
      mtuBeforeBytes: 1500,
      mtuAfterBytes: 9000,
    });
    expect(prediction.beforeFits).toBe(true);
    expect(packetsPerGibibyte(prediction.before) / packetsPerGibibyte(prediction.after)).toBeGreaterThan(6);
    expect(limit).toContain('9000');
  });

  it('of a path that carries less than the interfaces says so, and keeps the route to what it carries', () => {
    const jumbo = way({ interfaceMtuBytes: 9000 });
    const { settings, record, prediction } = plan(facts({}, jumbo, jumbo), 1400);
    expect(settings.source).toMatchObject({ interfaceMtuBytes: null, routeMtuBytes: 1400, mssBytes: 1306 });
    expect(record).toMatchObject({ limitedBy: 'path', mtuBeforeBytes: 9000, mtuAfterBytes: 1400 });
    expect(prediction.beforeFits).toBe(false);
  });

  it('changes no MTU where policy only clamps', () => {
    const jumbo = way({ interfaceMtuBytes: 9000 });
    const { settings, record } = plan(facts({ policy: clamp }, jumbo, jumbo), 1400);
    expect(settings.source).toMatchObject({ interfaceMtuBytes: null, routeMtuBytes: null, mssBytes: 1306 });
    expect(record.mtuAfterBytes).toBe(9000);
  });

  it('sets nothing where policy is off', () => {
    expect(plan(facts({ policy: { mode: 'off', mtuBytesMax: 9000 } }), 1500).settings).toEqual({ source: null, destination: null });
  });

  it('leaves a route and interface alone that are right already', () => {
    const jumbo = way({ interfaceMtuBytes: 9000 });
    expect(plan(facts({}, jumbo, jumbo), 9000).settings.source).toMatchObject({ interfaceMtuBytes: null, routeMtuBytes: null });
  });

  it('of userspace ESP is limited by its TUN device, and says so', () => {
    const { record, settings, limit } = plan(facts({ sa: exampleSa({ udpEncapsulated: true }) }, userspace, userspace), 1500);
    expect(record).toMatchObject({ limitedBy: 'userspace-esp', mssBeforeBytes: 1360, mssAfterBytes: 1360 });
    expect(settings.source).toMatchObject({ mssBytes: 1360, interfaceMtuBytes: null, routeMtuBytes: null });
    expect(limit).toContain('1400');
    expect(plan(facts({ sa: null }, userspace, userspace), 1400).record.limitedBy).not.toBe('userspace-esp');
  });

  it('names policy where devices and network would carry more', () => {
    const raise = plan(facts({ policy: { mode: 'raise', mtuBytesMax: 4000 } }), 4000);
    expect(raise.record.limitedBy).toBe('policy');
    expect(raise.limit).toContain('mtuBytesMax');
    const clamped = plan(facts({ policy: clamp }), 1500);
    expect(clamped.record.limitedBy).toBe('policy');
    expect(clamped.limit).toContain('raise');
  });

  it('goes to the underlay address in transport mode', () => {
    const transport = facts({ profile: exampleProfile({ name: 'esp-transport' }), sa: exampleSa({ mode: 'transport' }) });
    expect(plan(transport, 1500).settings.source).toMatchObject({ peerChannelAddress: '10.77.0.2', mssBytes: 1426 });
  });

  it('is refused on a path that carries no segment', () => {
    expect(planTuning(facts(), 150).ok).toBe(false);
  });

  it('never plans a packet that the path does not carry, nor an MTU above policy', () => {
    const mtu = fc.integer({ min: 576, max: 9216 });
    const anyWay = fc.record({
      interface: fc.constant('eth0'),
      interfaceMtuBytes: mtu,
      interfaceMtuBytesMax: fc.option(mtu),
      routeMtuBytes: fc.option(mtu),
      tunnelMtuBytes: fc.constant(null),
    });
    fc.assert(
      fc.property(
        anyWay,
        anyWay,
        fc.integer({ min: 1280, max: 9216 }),
        mtu,
        fc.constantFrom('clamp' as const, 'raise' as const),
        (from, to, max, carried, mode) => {
          const given = facts({ policy: { mode, mtuBytesMax: max } }, from, to);
          const pathMtuBytes = Math.min(carried, planMeasurement(given).packetBytesMax);
          const { prediction, settings } = plan(given, pathMtuBytes);
          expect(prediction.after.packetBytes).toBeLessThanOrEqual(pathMtuBytes);
          for (const [end, wayOfEnd] of [
            [settings.source, from],
            [settings.destination, to],
          ] as const) {
            expect(end?.interfaceMtuBytes ?? 0).toBeLessThanOrEqual(max);
            expect(end?.interfaceMtuBytes ?? 65_535).toBeGreaterThan(wayOfEnd.interfaceMtuBytes);
            expect(end?.routeMtuBytes ?? 0).toBeLessThanOrEqual(pathMtuBytes);
          }
        },
      ),
    );
  });
});

describe('the comparison', () => {
  const speed = (bytesPerSecond: number) => ({ bytesPerSecond });

  it('keeps the new settings unless they are measurably slower', () => {
    expect(keepBetter(speed(100), speed(200))).toBe('after');
    expect(keepBetter(speed(100), speed(98))).toBe('after');
    expect(keepBetter(speed(100), speed(90))).toBe('before');
    expect(keepBetter(speed(0), speed(1))).toBe('after');
  });

  it('goes by the prediction where nothing was measured, and back where only the old settings carried anything', () => {
    expect(keepBetter(null, null)).toBe('after');
    expect(keepBetter(null, speed(1))).toBe('after');
    expect(keepBetter(speed(100), null)).toBe('before');
    expect(keepBetter(speed(0), speed(0))).toBe('before');
  });

  it('ends in a record', () => {
    const record = tuningRecord(plan(facts(), 9000), { before: speed(1), after: speed(2) }, 5);
    expect(record).toMatchObject({ measuredAtMs: 5, bytesPerSecondBefore: 1, bytesPerSecondAfter: 2, kept: 'after', mssAfterBytes: 8906 });
  });
});
