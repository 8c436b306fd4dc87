import { describe, expect, it } from 'vitest';
import { exampleSnapshot, gibibyte } from './examples.ts';
import type { ExampleFacts, ExampleHost } from './examples.ts';
import { makePlan } from './make-plan.ts';

const hosts: readonly ExampleHost[] = [
  {
    id: 'hot',
    vms: [
      { id: 'busy', cores: 3.6, gib: 8 },
      { id: 'calm', cores: 3.4, gib: 8 },
    ],
  },
  { id: 'free', vms: [{ id: 'x', cores: 0.5, gib: 4 }] },
  { id: 'fuller', vms: [{ id: 'y', cores: 1, gib: 4 }] },
  { id: 'loaded', vms: [{ id: 'z', cores: 4.5, gib: 4 }] },
];

const firstMove = (facts: ExampleFacts = {}, given = hosts) => makePlan(exampleSnapshot(given, facts)).moves[0];

describe('what a move was preferred to', () => {
  it('the best other host, the next one, and another VM; each with what was against it', () => {
    const move = firstMove();
    expect(move).toMatchObject({ vmId: 'calm', toHostId: 'free' });
    const shown = move?.alternatives?.map(({ vmId, toHostId, code }) => ({ vmId, toHostId, code }));
    expect(shown).toEqual([
      { vmId: 'calm', toHostId: 'fuller', code: 'less-good' },
      { vmId: 'calm', toHostId: 'loaded', code: 'no-target-cpu' },
      { vmId: 'busy', toHostId: 'free', code: 'less-good' },
    ]);
    const [best, full] = move?.alternatives ?? [];
    expect(best?.scoreAfter).toBeGreaterThan(move?.scoreAfter ?? Number.NaN);
    expect(best?.reason).toContain(`possible, and leaves a score of ${best?.scoreAfter.toFixed(1)} where the chosen move leaves`);
    expect(full?.reason).toBe('it would be at 98.8 % CPU, 60 % is the most');
  });

  it('a host that a cordon closes is named with it, and one without memory with what it has', () => {
    const changed = hosts.map((host) => {
      if (host.id === 'fuller') return { ...host, cordoned: true };
      return host.id === 'loaded' ? { ...host, gib: 8 } : host;
    });
    const codes = Object.fromEntries((firstMove({}, changed)?.alternatives ?? []).map(({ toHostId, code }) => [toHostId, code]));
    expect(codes).toMatchObject({ fuller: 'cordoned', loaded: 'no-target-memory' });
  });

  it('by balance too, where what VMs wait for counts', () => {
    const waiting = hosts.map((host) => (host.id === 'fuller' ? { ...host, vms: [{ id: 'y', cores: 1, gib: 4, delayCores: 6 }] } : host));
    const move = firstMove({ policy: { strategy: 'balance' } }, waiting);
    const fuller = move?.alternatives?.find(({ toHostId }) => toHostId === 'fuller');
    expect(fuller).toMatchObject({ code: 'no-target-cpu', reason: expect.stringContaining('want more than it has') });
  });
});

describe('how well it is known what both hosts will do', () => {
  const forecast = (confidencePercent: number) => ({ meanCores: 1, highCores: 2, horizonMs: 60_000, confidencePercent }) as never;

  it('is not said where nothing is forecast', () => {
    expect(firstMove()?.confidencePercent).toBeNull();
  });

  it('is what the forecasts of both hosts have earned, by cores in use', () => {
    const told = hosts.map((host) => {
      if (host.id === 'hot')
        return {
          ...host,
          vms: [
            { id: 'busy', cores: 4, gib: 8, forecast: forecast(80) },
            { id: 'calm', cores: 3, gib: 8 },
          ],
        };
      return host.id === 'free' ? { ...host, vms: [{ id: 'x', cores: 1, gib: 4, forecast: forecast(40) }] } : host;
    });
    const snapshot = exampleSnapshot(told);
    expect(snapshot.vms[0]?.memoryBytes).toBe(8 * gibibyte);
    // (80 x 4 + 0 x 3 + 40 x 1) / 8
    expect(makePlan(snapshot).moves[0]).toMatchObject({ toHostId: 'free', confidencePercent: 45 });
  });
});
