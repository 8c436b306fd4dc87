import { describe, expect, it } from 'vitest';
import type { ChannelProfile, GuardState, OuterAssociation, ProofFacts, SecurityAssociation } from '#core/model/channel.ts';
import { exampleCounters, exampleGuard, exampleProfile, exampleSa } from './examples.ts';
import { judgeOwnEnd, judgeProof, proofPolicy } from './proof.ts';

const crossed = { packetsIn: 8, packetsOut: 8 };
const mirrored = { peerHostId: 'a', spiIn: 'out-a', spiOut: 'in-a' };
const sa = (changes: Partial<SecurityAssociation> = {}): SecurityAssociation => exampleSa({ udpEncapsulated: true, ...changes });
const guard = (droppedProbePackets = 0, installed = true): GuardState => exampleGuard({ installed, droppedProbePackets });
const source: ProofFacts = {
  hostId: 'a',
  peerHostId: 'b',
  certificateSha256: 'a'.repeat(64),
  before: sa(),
  after: sa(crossed),
  guardBefore: guard(),
  guardAfter: guard(),
  protectedProbes: proofPolicy.protectedProbes,
  plainProbes: proofPolicy.plainProbes,
};
const destination: ProofFacts = {
  hostId: 'b',
  peerHostId: 'a',
  certificateSha256: 'b'.repeat(64),
  before: sa(mirrored),
  after: sa({ ...mirrored, ...crossed }),
  guardBefore: guard(1),
  guardAfter: guard(5),
  protectedProbes: proofPolicy.protectedProbes,
  plainProbes: 0,
};
const profile = exampleProfile();

/** Both ends' SAs changed in the same way. */
function both(changes: Partial<SecurityAssociation>): readonly [ProofFacts, ProofFacts] {
  const change = (facts: ProofFacts): ProofFacts => ({
    ...facts,
    before: facts.before && { ...facts.before, ...changes },
    after: facts.after && { ...facts.after, ...changes },
  });
  return [change(source), change(destination)];
}

describe('the proof of a channel', () => {
  it.each(['certificate', 'psk'] as const)(
    'says how the peers authenticated (%s), and whether with a post-quantum key',
    (authentication) => {
      const shown = (facts: ProofFacts): ProofFacts => (authentication === 'psk' ? { ...facts, certificateSha256: null } : facts);
      for (const postQuantumKey of [true, false]) {
        const wanted = exampleProfile({ authentication, postQuantumKey });
        expect(judgeProof(wanted, shown(source), shown(destination), 1)).toMatchObject({ proof: { authentication, postQuantumKey } });
      }
    },
  );

  it('holds when probes crossed inside the SA and plain ones were dropped and counted', () => {
    expect(judgeProof(profile, source, destination, 77)).toEqual({
      ok: true,
      proof: {
        provenAtMs: 77,
        profile: 'esp-tunnel',
        authentication: 'certificate',
        postQuantumKey: false,
        sourceCertificateSha256: 'a'.repeat(64),
        destinationCertificateSha256: 'b'.repeat(64),
        encryption: 'AES_GCM_16-256',
        integrity: null,
        keyExchange: 'ECP_384',
        extendedSequenceNumbers: true,
        mode: 'tunnel, UDP-encapsulated',
        spiSourceToDestination: 'out-a',
        spiDestinationToSource: 'in-a',
        protectedProbes: 8,
        plainProbesDropped: 4,
      },
    });
  });

  const broken: readonly (readonly [string, ProofFacts, ProofFacts])[] = [
    ['a plain probe was delivered', source, { ...destination, plainProbes: 1 }],
    ['no plain probe was counted by the guard', source, { ...destination, guardAfter: guard(1) }],
    ['the plain probes were never sent', { ...source, plainProbes: 0 }, destination],
    ['the guard of the destination is not installed', source, { ...destination, guardAfter: guard(5, false) }],
    ['the guard of the source is not installed', { ...source, guardBefore: guard(0, false) }, destination],
    ['there is no SA', { ...source, after: null }, destination],
    ['the SA is being deleted', { ...source, after: sa({ ...crossed, state: 'deleting' }) }, destination],
    ['the SA is with somebody else', { ...source, after: sa({ ...crossed, peerHostId: 'c' }) }, destination],
    ['the SA was replaced during the proof', { ...source, before: sa({ spiOut: 'older' }) }, destination],
    ["the source's counter did not move", { ...source, after: sa({ packetsOut: 3 }) }, destination],
    ["the destination's counter did not move", source, { ...destination, after: sa(mirrored) }],
    [
      'the ends hold different SAs',
      source,
      { ...destination, before: sa({ ...mirrored, spiIn: 'other' }), after: sa({ ...mirrored, ...crossed, spiIn: 'other' }) },
    ],
    ['the ends name different peers', source, { ...destination, peerHostId: 'c' }],
    ['probes were lost', source, { ...destination, protectedProbes: 7 }],
    ['the source tells no certificate', { ...source, certificateSha256: null }, destination],
    ['the destination tells no certificate', source, { ...destination, certificateSha256: null }],
    [
      'the ends tell different algorithms',
      source,
      { ...destination, after: sa({ ...mirrored, ...crossed, extendedSequenceNumbers: false }) },
    ],
    ['the cipher is weak', ...both({ encryption: '3DES_CBC', integrity: 'HMAC_SHA1_96' })],
    ['nothing is encrypted at all', ...both({ encryption: 'NULL', integrity: 'HMAC_SHA2_256_128' })],
    ['the cipher is a good one that the profile does not name', ...both({ encryption: 'CHACHA20_POLY1305' })],
    ['the key exchange is another one', ...both({ keyExchange: 'MODP_1024' })],
    ['the mode is another one', ...both({ mode: 'transport' })],
    ['the protocol is another one', ...both({ protocol: 'ah', encryption: 'none', integrity: 'HMAC_SHA2_384_192' })],
  ];

  it.each(broken)('fails when %s', (_story, from, to) => {
    expect(judgeProof(profile, from, to, 0)).toMatchObject({ ok: false, refusal: { code: 'proof-failed' } });
  });

  it("is judged by the source's agent for its own end too", () => {
    expect(judgeOwnEnd(profile, source)).toBeNull();
    expect(judgeOwnEnd(profile, { ...source, after: sa({ packetsOut: 0 }) })).toContain('did not go through it');
    expect(judgeOwnEnd(exampleProfile({ espProposals: ['aes128gcm16-ecp384'] }), source)).toContain('not accepted');
  });
});

describe('the proof of a channel with pre-shared keys', () => {
  const psk: ChannelProfile = exampleProfile({ authentication: 'psk' });
  const without = (facts: ProofFacts): ProofFacts => ({ ...facts, certificateSha256: null });

  it('names no certificates, and holds without them only there', () => {
    const verdict = judgeProof(psk, without(source), without(destination), 0);
    expect(verdict).toMatchObject({ ok: true, proof: { authentication: 'psk', sourceCertificateSha256: null } });
    expect(judgeProof(psk, source, destination, 0).ok).toBe(false);
    expect(judgeProof(profile, without(source), without(destination), 0).ok).toBe(false);
  });
});

describe('the proof of ESP inside AH', () => {
  const bundle = exampleProfile({ name: 'ah+esp' });
  const ah = (changes: Partial<OuterAssociation> = {}): OuterAssociation => ({
    ...exampleCounters({ spiIn: 'ah-in-a', spiOut: 'ah-out-a' }),
    integrity: 'HMAC_SHA2_384_192',
    ...changes,
  });
  const mirroredAh = { spiIn: 'ah-out-a', spiOut: 'ah-in-a' };
  const wrap = (facts: ProofFacts, before: OuterAssociation, after: OuterAssociation): ProofFacts => ({
    ...facts,
    before: facts.before && { ...facts.before, mode: 'transport', udpEncapsulated: false, outer: before },
    after: facts.after && { ...facts.after, mode: 'transport', udpEncapsulated: false, outer: after },
  });
  const from = wrap(source, ah(), ah(crossed));
  const to = wrap(destination, ah(mirroredAh), ah({ ...mirroredAh, ...crossed }));

  it('holds when the counters of both associations moved, and names both integrities', () => {
    expect(judgeProof(bundle, from, to, 0)).toMatchObject({ ok: true, proof: { integrity: 'AH HMAC_SHA2_384_192', mode: 'transport' } });
  });

  it.each<readonly [string, ProofFacts, ProofFacts]>([
    ["the source's AH counter did not move", wrap(source, ah(), ah()), to],
    ["the destination's AH counter did not move", from, wrap(destination, ah(mirroredAh), ah(mirroredAh))],
    ['the AH SA was replaced during the proof', wrap(source, ah({ spiOut: 'older' }), ah(crossed)), to],
    [
      'the ends hold different AH SAs',
      from,
      wrap(destination, ah({ spiIn: 'x', spiOut: 'y' }), ah({ spiIn: 'x', spiOut: 'y', ...crossed })),
    ],
    ['AH uses an algorithm that the profile does not name', wrap(source, ah(), ah({ ...crossed, integrity: 'HMAC_MD5_96' })), to],
    ['there is no AH', source, destination],
  ])('fails when %s', (_story, a, b) => {
    expect(judgeProof(bundle, a, b, 0)).toMatchObject({ ok: false, refusal: { code: 'proof-failed' } });
  });
});
