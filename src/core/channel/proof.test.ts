import { describe, expect, it } from 'vitest';
import type { GuardState, ProofFacts, SecurityAssociation } from '#core/model/channel.ts';
import { judgeOwnEnd, judgeProof, proofPolicy } from './proof.ts';

const sa = (changes: Partial<SecurityAssociation> = {}): SecurityAssociation => ({
  peerHostId: 'b',
  ikeUniqueId: '1',
  childUniqueId: '1',
  state: 'installed',
  mode: 'tunnel',
  udpEncapsulated: true,
  encryption: 'AES_GCM_16-256',
  integrity: null,
  keyExchange: 'ECP_384',
  spiIn: 'in-a',
  spiOut: 'out-a',
  bytesIn: 0,
  bytesOut: 0,
  packetsIn: 0,
  packetsOut: 0,
  ...changes,
});
const guard = (droppedProbePackets = 0, installed = true): GuardState => ({
  installed,
  droppedInPackets: droppedProbePackets,
  droppedOutPackets: 0,
  droppedProbePackets,
});
const source: ProofFacts = {
  hostId: 'a',
  peerHostId: 'b',
  before: sa(),
  after: sa({ packetsOut: 8, packetsIn: 8 }),
  guardBefore: guard(),
  guardAfter: guard(),
  protectedProbes: proofPolicy.protectedProbes,
  plainProbes: proofPolicy.plainProbes,
};
const mirrored = { peerHostId: 'a', spiIn: 'out-a', spiOut: 'in-a' };
const destination: ProofFacts = {
  hostId: 'b',
  peerHostId: 'a',
  before: sa(mirrored),
  after: sa({ ...mirrored, packetsIn: 8, packetsOut: 8 }),
  guardBefore: guard(1),
  guardAfter: guard(5),
  protectedProbes: proofPolicy.protectedProbes,
  plainProbes: 0,
};

describe('the proof of a channel', () => {
  it('holds when probes crossed inside the SA and plain ones were dropped and counted', () => {
    const verdict = judgeProof(source, destination, 77);
    expect(verdict).toMatchObject({ ok: true, proof: { provenAtMs: 77, plainProbesDropped: 4, spiSourceToDestination: 'out-a' } });
  });

  const broken: readonly (readonly [string, ProofFacts, ProofFacts])[] = [
    ['a plain probe was delivered', source, { ...destination, plainProbes: 1 }],
    ['no plain probe was counted by the guard', source, { ...destination, guardAfter: guard(1) }],
    ['the plain probes were never sent', { ...source, plainProbes: 0 }, destination],
    ['the guard of the destination is not installed', source, { ...destination, guardAfter: guard(5, false) }],
    ['the guard of the source is not installed', { ...source, guardBefore: guard(0, false) }, destination],
    ['there is no SA', { ...source, after: null }, destination],
    ['the SA is being deleted', { ...source, after: sa({ state: 'deleting', packetsOut: 8 }) }, destination],
    ['the SA was replaced during the proof', { ...source, before: sa({ spiOut: 'older' }) }, destination],
    ["the source's counter did not move", { ...source, after: sa({ packetsOut: 3 }) }, destination],
    ["the destination's counter did not move", source, { ...destination, after: sa(mirrored) }],
    ['the ends hold different SAs', source, { ...destination, after: sa({ ...mirrored, spiIn: 'other', packetsIn: 8 }) }],
    ['the ends name different peers', source, { ...destination, peerHostId: 'c' }],
    ['the cipher is weak', { ...source, after: sa({ encryption: '3DES_CBC', packetsOut: 8 }) }, destination],
    ['nothing is encrypted at all', { ...source, after: sa({ encryption: 'NULL', packetsOut: 8 }) }, destination],
    ['probes were lost', source, { ...destination, protectedProbes: 7 }],
  ];

  it.each(broken)('fails when %s', (_story, from, to) => {
    expect(judgeProof(from, to, 0)).toMatchObject({ ok: false, refusal: { code: 'proof-failed' } });
  });

  it("is judged by the source's agent for its own end too", () => {
    expect(judgeOwnEnd(source)).toBeNull();
    expect(judgeOwnEnd({ ...source, after: sa({ packetsOut: 0 }) })).toContain('did not go through it');
  });
});
