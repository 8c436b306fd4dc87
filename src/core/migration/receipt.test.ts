import { describe, expect, it } from 'vitest';
import { exampleCounters, exampleProof, exampleReading, exampleSa } from '#core/channel/examples.ts';
import type { ChannelReading, TuningRecord } from '#core/model/channel.ts';
import type { Prediction } from '#core/model/forecast.ts';
import type { Measures } from '#core/model/measures.ts';
import type { Decision } from '#core/model/method.ts';
import type { Migration } from '#core/model/migration.ts';
import { examplePlan } from './autopilot-examples.ts';
import { receiptOf } from './receipt.ts';
import { exampleRequest } from './step-examples.ts';
import { begin } from './step.ts';

const tuning: TuningRecord = {
  measuredAtMs: 1,
  pathMtuBytes: 9000,
  limitedBy: 'path',
  overheadBytes: 106,
  mssBeforeBytes: 1406,
  mssAfterBytes: 8906,
  mtuBeforeBytes: 1500,
  mtuAfterBytes: 9000,
  bytesPerSecondBefore: 1,
  bytesPerSecondAfter: 2,
  kept: 'after',
};

function migration(before: ChannelReading | null, after: ChannelReading | null, changes: Partial<Migration['request']> = {}): Migration {
  const request = { vmId: 'v1', cause: 'operator', askedBy: 'ana', approvedBy: 'ben', planId: 'p1', vmEpoch: 3, askedAtMs: 5 } as const;
  const begun = begin(exampleRequest({ ...request, ...changes }));
  return {
    ...begun.migration,
    phase: 'done',
    proof: exampleProof,
    tuning,
    outcome: { totalMs: 900, downtimeMs: 50, memorySentBytes: 1000, iterations: 2 },
    channelBefore: before,
    channelAfter: after,
    endedAtMs: 99,
  };
}

const before = exampleReading(exampleSa({ bytesOut: 100, packetsOut: 1, bytesIn: 10, packetsIn: 1 }), { droppedInPackets: 4 });

describe('a receipt', () => {
  it('says who asked and who approved, what was moved, and when', () => {
    expect(receiptOf(migration(before, before), 7, 'ff')).toMatchObject({
      version: 3,
      sequence: 7,
      previousSha256: 'ff',
      askedBy: 'ana',
      approvedBy: 'ben',
      planId: 'p1',
      vmEpoch: 3,
      askedAtMs: 5,
      endedAtMs: 99,
      outcome: 'moved',
      failure: null,
      transfer: { totalMs: 900, downtimeMs: 50, hypervisorBytes: 1000, iterations: 2 },
    });
  });

  it('carries the proof with both certificates, and the packet sizes before and after', () => {
    const { channel } = receiptOf(migration(before, before), 1, null);
    expect(channel).toMatchObject({ kind: 'ipsec', weaker: false, grantId: null, proof: exampleProof });
    expect(channel.packetSizes).toEqual({
      pathMtuBytes: 9000,
      limitedBy: 'path',
      mtuBeforeBytes: 1500,
      mtuAfterBytes: 9000,
      mssBeforeBytes: 1406,
      mssAfterBytes: 8906,
      kept: 'after',
    });
  });

  it('counts what went through each SA, rekeys included, and compares it with what the hypervisor sent', () => {
    const replaced = [exampleCounters({ bytesOut: 700, packetsOut: 7, bytesIn: 20, packetsIn: 2 })];
    const second = { spiIn: 'in-2', spiOut: 'out-2', bytesOut: 500, packetsOut: 5, bytesIn: 5, packetsIn: 1 };
    const { traffic } = receiptOf(migration(before, exampleReading(exampleSa({ ...second, replaced }))), 1, null).channel;
    expect(traffic).toEqual({
      sas: [exampleCounters({ bytesOut: 600, packetsOut: 6, bytesIn: 10, packetsIn: 1 }), second],
      outer: null,
      rekeys: 1,
      bytesOut: 1100,
      packetsOut: 11,
      bytesIn: 15,
      packetsIn: 2,
      coversHypervisorBytes: true,
    });
  });

  it('says so when IPsec carried less than the hypervisor sent', () => {
    const { traffic } = receiptOf(migration(before, exampleReading(exampleSa({ bytesOut: 1099 }))), 1, null).channel;
    expect(traffic).toMatchObject({ bytesOut: 999, coversHypervisorBytes: false });
  });

  it('counts the AH around ESP by itself', () => {
    const outer = (bytesOut: number) => ({
      ...exampleCounters({ spiIn: 'ah-i', spiOut: 'ah-o', bytesOut }),
      integrity: 'HMAC_SHA2_384_192',
    });
    const from = exampleReading(exampleSa({ outer: outer(50) }));
    const { traffic } = receiptOf(migration(from, exampleReading(exampleSa({ bytesOut: 1000, outer: outer(1250) }))), 1, null).channel;
    expect(traffic?.outer).toEqual(exampleCounters({ spiIn: 'ah-i', spiOut: 'ah-o', bytesOut: 1200 }));
  });

  it('counts drops and errors as what was added during the transfer', () => {
    const errors = { integrityPackets: 2, replayPackets: 1, unknownSpiPackets: 0, plainTextPackets: 0 };
    const after = { ...exampleReading(exampleSa(), { droppedInPackets: 6 }), errors };
    expect(receiptOf(migration(before, after), 1, null).channel.refused).toEqual({
      guardDroppedOutPackets: 0,
      guardDroppedInPackets: 2,
      errors,
    });
    const anew = { ...exampleReading(exampleSa()), errors: null };
    expect(receiptOf(migration(before, anew), 1, null).channel.refused).toMatchObject({ guardDroppedInPackets: null, errors: null });
  });

  it('claims nothing that it does not know', () => {
    const ends: readonly (readonly [ChannelReading | null, ChannelReading | null])[] = [
      [null, null],
      [before, null],
      [before, exampleReading(null)],
      [before, exampleReading(exampleSa({ spiIn: 'x', spiOut: 'y' }))],
    ];
    for (const [from, to] of ends) expect(receiptOf(migration(from, to), 1, null).channel.traffic).toBeNull();
  });

  it('marks every channel but IPsec as weaker, and names the grant', () => {
    for (const channelKind of ['qemu-tls', 'ssh', 'sealed-image', 'none'] as const) {
      const grantId = channelKind === 'none' ? 'g1' : null;
      const { channel } = receiptOf({ ...migration(before, before, { channelKind, grantId }), proof: null, tuning: null }, 1, null);
      expect(channel).toMatchObject({ kind: channelKind, weaker: true, grantId, proof: null, traffic: null, packetSizes: null });
    }
  });

  const range = (expected: number) => ({ low: expected / 2, expected, high: expected * 2 });
  const prediction: Prediction = {
    method: 'pre-copy',
    totalMs: range(1000),
    downtimeMs: range(60),
    bytes: range(1100),
    rounds: 2,
    converges: true,
    memoryBytes: 4096,
    activity: { measuredAtMs: 1, measuredForMs: 1000, usedBytes: 900, dirtyBytesPerSecond: 10, workingSetBytes: 20 },
    bandwidth: { bytesPerSecond: 1000, measuredAtMs: 1, by: 'stream' },
    correctedBy: 0,
  };
  const measures: Measures = {
    method: 'pre-copy',
    attempts: 1,
    totalMs: 900,
    hypervisorDowntimeMs: 50,
    outside: null,
    memorySentBytes: 1000,
    rounds: 2,
    espBytes: 1100,
    espPackets: 11,
    source: { hypervisorCpuSeconds: 1, ipsecCpuSeconds: null, agentCpuSeconds: 0.1 },
    destination: null,
    arrival: null,
  };

  it('says how the VM was to be moved and why, what that was to cost, and what it did cost', () => {
    const plan = examplePlan({ streams: 4 }, {}, { prediction, reason: 'it converges' });
    const { method, prediction: predicted, measures: measured } = receiptOf({ ...migration(before, before), plan, measures }, 1, null);
    expect(method).toEqual({ options: plan.options, reason: 'it converges' });
    expect(predicted).toEqual(prediction);
    expect(measured).toEqual(measures);
  });

  it('says nothing of a method that was never chosen', () => {
    expect(receiptOf(migration(null, null), 1, null)).toMatchObject({
      method: null,
      prediction: null,
      measures: null,
      decisions: [],
      decisionsLeftOut: 0,
    });
  });

  it('keeps decisions and reasons within bounds, the first and the last of them', () => {
    const decisions = Array.from({ length: 200 }, (_, index): Decision => {
      return { by: index === 0 ? 'choice' : 'autopilot', atMs: index, elapsedMs: index, action: 'a'.repeat(300), reason: 'r'.repeat(5000) };
    });
    const receipt = receiptOf({ ...migration(before, before), decisions }, 1, null);
    expect([receipt.decisions.length, receipt.decisionsLeftOut]).toEqual([64, 136]);
    expect([receipt.decisions.at(0)?.by, receipt.decisions.at(31)?.atMs, receipt.decisions.at(32)?.atMs]).toEqual(['choice', 31, 168]);
    expect([receipt.decisions[0]?.action.length, receipt.decisions[0]?.reason.length]).toEqual([200, 1000]);
    const few = decisions.slice(0, 64).map((decision) => ({ ...decision, action: 'post-copy', reason: 'why' }));
    expect(receiptOf({ ...migration(before, before), decisions: few }, 1, null)).toMatchObject({ decisions: few, decisionsLeftOut: 0 });
  });
});
