/** Values for tests: a channel between hosts a and b of the default profile, seen from a. */
import type { ChannelProfile, ChannelReading, GuardState, Proof, SaCounters, SecurityAssociation } from '#core/model/channel.ts';
import { defaultProfile } from '#core/model/policy.ts';

export function exampleProfile(changes: Partial<ChannelProfile> = {}): ChannelProfile {
  return { ...defaultProfile, ...changes };
}

export function exampleCounters(changes: Partial<SaCounters> = {}): SaCounters {
  return { spiIn: 'in-a', spiOut: 'out-a', bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0, ...changes };
}

export function exampleSa(changes: Partial<SecurityAssociation> = {}): SecurityAssociation {
  return {
    peerHostId: 'b',
    ikeUniqueId: '1',
    childUniqueId: '1',
    protocol: 'esp',
    state: 'installed',
    mode: 'tunnel',
    udpEncapsulated: false,
    encryption: 'AES_GCM_16-256',
    integrity: null,
    keyExchange: 'ECP_384',
    extendedSequenceNumbers: true,
    ...exampleCounters(),
    outer: null,
    replaced: [],
    ...changes,
  };
}

export function exampleGuard(changes: Partial<GuardState> = {}): GuardState {
  return { installed: true, droppedInPackets: 0, droppedOutPackets: 0, droppedProbePackets: 0, exemptPeers: [], ...changes };
}

export function exampleReading(sa: SecurityAssociation | null = exampleSa(), guard: Partial<GuardState> = {}): ChannelReading {
  return {
    sa,
    guard: exampleGuard(guard),
    errors: { integrityPackets: 0, replayPackets: 0, unknownSpiPackets: 0, plainTextPackets: 0 },
  };
}

export const exampleProof: Proof = {
  provenAtMs: 1,
  profile: 'esp-tunnel',
  authentication: 'certificate',
  postQuantumKey: false,
  sourceCertificateSha256: 'a'.repeat(64),
  destinationCertificateSha256: 'b'.repeat(64),
  encryption: 'AES_GCM_16-256',
  integrity: null,
  keyExchange: 'ECP_384',
  extendedSequenceNumbers: true,
  mode: 'tunnel',
  spiSourceToDestination: 'out-a',
  spiDestinationToSource: 'in-a',
  protectedProbes: 8,
  plainProbesDropped: 4,
};
