import { describe, expect, it } from 'vitest';
import type { TransferPlan } from '#core/model/forecast.ts';
import type { Measures, OutsideView } from '#core/model/measures.ts';
import type { Method } from '#core/model/method.ts';
import type { Migration } from '#core/model/migration.ts';
import { pilotPolicyOf } from '#core/model/policy.ts';
import { noCorrections } from './forecast-corrections.ts';
import { exampleFacts, exampleOptions, examplePast } from './forecast-examples.ts';
import { pastTransferOf, predictionErrors } from './past-transfer.ts';
import { predict } from './prediction.ts';
import { begin } from './step.ts';

function planOf(method: Method): TransferPlan {
  const options = exampleOptions({ method });
  const prediction = predict(options, { ...exampleFacts(), corrections: noCorrections });
  return { options, pilot: pilotPolicyOf('balanced'), reason: '', prediction };
}

const outside: OutsideView = {
  witnessHostId: 'c',
  address: '192.0.2.7',
  intervalMs: 5,
  sent: 1000,
  answered: 900,
  downtimeMs: 333,
  brownoutMs: 0,
  delayMsP50: 1,
  delayMsP99: 2,
};

const measures: Measures = {
  method: 'pre-copy',
  attempts: 1,
  totalMs: 9000,
  hypervisorDowntimeMs: 250,
  outside,
  memorySentBytes: 270_000_000,
  rounds: 2,
  espBytes: null,
  espPackets: null,
  source: null,
  destination: null,
  arrival: null,
};

function migration(changes: Partial<Migration>): Migration {
  const request = {
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
    wish: { method: 'auto' },
    askedAtMs: 0,
  } as const;
  const outcome = { totalMs: 9100, downtimeMs: 260, memorySentBytes: 271_000_000, iterations: 2 };
  const done = { phase: 'done', endedAtMs: 20_000, plan: planOf('pre-copy'), measures, outcome } as const;
  return { ...begin(request).migration, ...done, ...changes };
}

describe('what a migration teaches', () => {
  it('is what was measured, beside what had been said', () => {
    expect(pastTransferOf(migration({}))).toEqual({
      pair: { fromHostId: 'a', toHostId: 'b' },
      endedAtMs: 20_000,
      options: exampleOptions(),
      prediction: planOf('pre-copy').prediction,
      totalMs: 9000,
      downtimeMs: 250,
      bytes: 270_000_000,
      limitMs: 300,
      asPlanned: true,
    });
  });

  it('is not how well it was predicted, where its hosts had lost each other', () => {
    const lost = { by: 'recovery', atMs: 1, elapsedMs: 1, action: 'recover post-copy', reason: '' } as const;
    expect(pastTransferOf(migration({ decisions: [lost] }))).toMatchObject({ asPlanned: false });
  });

  it('is what the hypervisor said where nothing else was measured', () => {
    expect(pastTransferOf(migration({ measures: null }))).toMatchObject({ totalMs: 9100, downtimeMs: 260, bytes: 271_000_000 });
  });

  it('is nothing where the VM was not moved, nothing was predicted, or nothing is known', () => {
    expect(pastTransferOf(migration({ phase: 'failed' }))).toBeNull();
    expect(pastTransferOf(migration({ phase: 'copying' }))).toBeNull();
    expect(pastTransferOf(migration({ plan: null }))).toBeNull();
    expect(pastTransferOf(migration({ plan: { ...planOf('pre-copy'), prediction: null } }))).toBeNull();
    expect(pastTransferOf(migration({ measures: null, outcome: null }))).toBeNull();
  });

  it('is marked when the autopilot began again or took another method', () => {
    expect(pastTransferOf(migration({ measures: { ...measures, attempts: 2 } }))?.asPlanned).toBe(false);
    expect(pastTransferOf(migration({ measures: { ...measures, method: 'hybrid' } }))?.asPlanned).toBe(false);
  });

  it('says nothing of the downtime limit when the autopilot may have changed it', () => {
    const decision = { atMs: 0, elapsedMs: 0, action: 'any', reason: 'any' } as const;
    expect(pastTransferOf(migration({ decisions: [{ ...decision, by: 'choice' }] }))?.limitMs).toBe(300);
    expect(pastTransferOf(migration({ decisions: [{ ...decision, by: 'autopilot' }] }))?.limitMs).toBeNull();
  });

  it('is, where a VM waits for its pages after it was started, what a client saw alone', () => {
    for (const method of ['post-copy', 'hybrid'] as const) {
      const started = { ...measures, method, hypervisorDowntimeMs: 19 } as const;
      const outcome = { totalMs: 9100, downtimeMs: 19, memorySentBytes: 271_000_000, iterations: 2 };
      const plan = planOf(method);
      expect(pastTransferOf(migration({ plan, outcome, measures: started }))?.downtimeMs).toBe(333);
      expect(pastTransferOf(migration({ plan, outcome, measures: { ...started, outside: null } }))?.downtimeMs).toBeNull();
      expect(pastTransferOf(migration({ plan, outcome, measures: null }))?.downtimeMs).toBeNull();
      // The autopilot went on to it.
      expect(pastTransferOf(migration({ outcome, measures: { ...started, outside: null } }))?.downtimeMs).toBeNull();
    }
  });

  it('counts a VM that was stopped before the transfer as its client saw it, else as stopped all the time', () => {
    const plan = planOf('stop-and-copy');
    const stopped = { ...measures, method: 'stop-and-copy', hypervisorDowntimeMs: 3 } as const;
    expect(pastTransferOf(migration({ plan, measures: stopped }))?.downtimeMs).toBe(333);
    expect(pastTransferOf(migration({ plan, measures: { ...stopped, outside: null } }))?.downtimeMs).toBe(9000);
  });
});

describe('the error of predictions', () => {
  it('is the median of what was off, in percent of what happened', () => {
    const facts = exampleFacts();
    // Twice as long as said: 50 % off. Half as long: 100 %. As said: 0 %.
    const history = [2, 0.5, 1].map((total) => examplePast(facts, { total, downtime: 1 }));
    const found = predictionErrors(history);
    expect(found.migrations).toBe(3);
    expect(found.totalPercent).toBeCloseTo(50, 6);
    expect(found.downtimePercent).toBeCloseTo(0, 6);
    const [first, second] = history;
    expect(predictionErrors([first, second].flatMap((past) => past ?? [])).totalPercent).toBeCloseTo(75, 6);
  });

  it('is unknown without history, and leaves out downtimes that nobody saw', () => {
    expect(predictionErrors([])).toEqual({ migrations: 0, totalPercent: null, downtimePercent: null });
    const unseen = { ...examplePast(exampleFacts()), downtimeMs: null };
    expect(predictionErrors([unseen])).toMatchObject({ migrations: 1, downtimePercent: null });
  });

  it('counts what did not go as planned too', () => {
    const changed = { ...examplePast(exampleFacts(), { total: 4 }), asPlanned: false };
    expect(predictionErrors([changed]).totalPercent).toBeCloseTo(75, 6);
  });
});
