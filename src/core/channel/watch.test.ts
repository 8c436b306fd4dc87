import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ChannelReading, SaCounters, SecurityAssociation } from '#core/model/channel.ts';
import { exampleCounters, exampleProof, exampleReading, exampleSa } from './examples.ts';
import { carried, carriedBetween, errorsBetween, judgeReading, rekeysBetween } from './watch.ts';

const first = exampleReading();
const judge = (now: ChannelReading): string => {
  const verdict = judgeReading(exampleProof, first, now);
  return verdict.kind === 'fine' ? 'fine' : `${verdict.kind}: ${verdict.refusal.code}`;
};
const rekeyed = (changes: Partial<SecurityAssociation> = {}): SecurityAssociation =>
  exampleSa({ spiIn: 'in-2', spiOut: 'out-2', replaced: [exampleCounters()], ...changes });

describe('the watch over a transfer', () => {
  it('finds nothing while the SA carries on, also with new keys', () => {
    expect(judge(exampleReading(exampleSa({ bytesOut: 5000, packetsOut: 5, state: 'rekeying' })))).toBe('fine');
    expect(judge(exampleReading(rekeyed()))).toBe('fine');
  });

  it.each<readonly [string, SecurityAssociation | null]>([
    ['is gone', null],
    ['is being deleted', exampleSa({ state: 'deleting' })],
    ['is another one', exampleSa({ spiIn: 'x', spiOut: 'y' })],
    ['has another cipher after a rekey', rekeyed({ encryption: 'AES_GCM_16-128' })],
    ['has another mode after a rekey', rekeyed({ mode: 'transport' })],
    ['is AH after a rekey', rekeyed({ protocol: 'ah' })],
    ['gave up 64-bit sequence numbers', rekeyed({ extendedSequenceNumbers: false })],
    ['is with another peer', rekeyed({ peerHostId: 'c' })],
    ['lost the AH around it', rekeyed({ outer: { ...exampleCounters(), integrity: 'HMAC_SHA2_256_128' } })],
  ])('aborts when the SA %s', (_story, sa) => {
    expect(judge(exampleReading(sa))).toBe('abort: channel-failed');
  });

  it('aborts when the transfer did not begin with the SA that was proven', () => {
    const verdict = judgeReading({ ...exampleProof, spiSourceToDestination: 'other' }, first, first);
    expect(verdict).toMatchObject({ kind: 'abort', refusal: { code: 'channel-failed' } });
  });

  it('aborts when the guard is gone, or was made anew', () => {
    expect(judge(exampleReading(exampleSa(), { installed: false }))).toBe('abort: guard-missing');
    const counted = exampleReading(exampleSa(), { droppedOutPackets: 3 });
    expect(judgeReading(exampleProof, counted, first)).toMatchObject({ kind: 'abort', refusal: { code: 'guard-missing' } });
  });

  it('aborts when plain text tried to leave', () => {
    const now = exampleReading(exampleSa(), { droppedOutPackets: 1 });
    expect(judge(now)).toBe('abort: plain-text-seen');
  });

  it('is not impressed by what a stranger on the network can cause', () => {
    const noise = { integrityPackets: 9, replayPackets: 9, unknownSpiPackets: 9, plainTextPackets: 9 };
    expect(judge({ ...exampleReading(exampleSa(), { droppedInPackets: 99, droppedProbePackets: 9 }), errors: noise })).toBe('fine');
    expect(judge({ ...exampleReading(), errors: null })).toBe('fine');
  });
});

describe('what a channel has carried', () => {
  const amount = fc.integer({ min: 0, max: 1e9 });
  const counters = fc.record({ bytesIn: amount, bytesOut: amount, packetsIn: amount, packetsOut: amount });

  it('is the same however often keys were replaced on the way', () => {
    fc.assert(
      fc.property(fc.array(counters, { minLength: 1, maxLength: 40 }), fc.nat({ max: 39 }), (amounts, at) => {
        const sas: readonly SaCounters[] = amounts.map((each, index) => ({ spiIn: `in-${index}`, spiOut: `out-${index}`, ...each }));
        const start = at % sas.length;
        const now = exampleSa({ ...sas.at(-1), replaced: sas.slice(0, -1) });
        const begun = exampleSa({ ...sas[start], bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0 });
        expect(rekeysBetween(begun, now)).toBe(sas.length - 1 - start);
        const sum = sas.slice(start).reduce((before, sa) => before + sa.bytesOut, 0);
        expect(carriedBetween(begun, now)?.bytesOut).toBe(sum);
        expect(carried(now).packetsIn).toBe(sas.reduce((before, sa) => before + sa.packetsIn, 0));
      }),
    );
  });

  it('counts from what the first reading had', () => {
    expect(carriedBetween(exampleSa({ bytesOut: 10 }), exampleSa({ bytesOut: 25 }))?.bytesOut).toBe(15);
    expect(
      carriedBetween(exampleSa({ bytesOut: 10 }), rekeyed({ bytesOut: 5, replaced: [exampleCounters({ bytesOut: 30 })] }))?.bytesOut,
    ).toBe(25);
  });

  it('is not known of an SA that does not follow from the first', () => {
    expect(carriedBetween(exampleSa(), exampleSa({ spiIn: 'x', spiOut: 'y' }))).toBeNull();
  });

  it('is at least what a host remembers after more rekeys than that', () => {
    const replaced = Array.from({ length: 64 }, (_, index) => exampleCounters({ spiIn: `i${index}`, spiOut: `o${index}`, bytesOut: 10 }));
    const now = rekeyed({ bytesOut: 1, replaced });
    expect(rekeysBetween(exampleSa(), now)).toBe(64);
    expect(carriedBetween(exampleSa({ bytesOut: 500 }), now)?.bytesOut).toBe(641);
  });
});

describe('error counters', () => {
  const errors = (integrityPackets: number) => ({ integrityPackets, replayPackets: 0, unknownSpiPackets: 0, plainTextPackets: 0 });

  it('count from the first reading, or from 0 after a restart of the daemon', () => {
    expect(errorsBetween(errors(3), errors(5))?.integrityPackets).toBe(2);
    expect(errorsBetween(errors(3), errors(1))?.integrityPackets).toBe(1);
    expect(errorsBetween(null, errors(1))).toBeNull();
  });
});
