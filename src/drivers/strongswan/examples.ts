/** Values for tests: the peer of a host and what charon lists of the channel to it. */
import { suites } from '#core/channel/algorithms.ts';
import type { ChannelProfile } from '#core/model/channel.ts';
import type { ChannelPeer } from '#core/ports.ts';
import { childName } from './child-config.ts';
import type { ChildSa, IkeSa } from './sa.ts';

export function exampleProfile(changes: Partial<ChannelProfile> = {}): ChannelProfile {
  return {
    name: 'esp-tunnel',
    ...suites['aes-gcm'],
    udpEncapsulation: 'when-needed',
    authentication: 'certificate',
    postQuantumKey: false,
    rekeySeconds: 3_600,
    rekeyBytes: 1_000_000_000,
    replayWindowPackets: 1_024,
    ...changes,
  };
}

/** Host b, seen from host a. */
export function examplePeer(profile: Partial<ChannelProfile> = {}, secrets: Partial<ChannelPeer['secrets']> = {}): ChannelPeer {
  return {
    localAddresses: { underlay: '10.0.0.1', protected: '10.1.0.1', interface: 'eth0' },
    peerHostId: 'host-b',
    peerAddresses: { underlay: '10.0.0.2', protected: '10.1.0.2', interface: 'eth0' },
    profile: exampleProfile(profile),
    secrets: { preSharedKey: null, postQuantumKey: null, ...secrets },
  };
}

/** What `exampleProfile` leads to. */
export function exampleChild(changes: Partial<ChildSa> = {}): ChildSa {
  return {
    name: childName('channel', exampleProfile()),
    uniqueId: '7',
    state: 'INSTALLED',
    mode: 'TUNNEL',
    protocol: 'ESP',
    udpEncapsulated: false,
    spiIn: 'c0000001',
    spiOut: 'c0000002',
    encryptionAlgorithm: 'AES_GCM_16',
    encryptionKeyBits: 256,
    integrityAlgorithm: undefined,
    integrityKeyBits: undefined,
    keyExchange: undefined,
    extendedSequenceNumbers: false,
    bytesIn: 0,
    bytesOut: 0,
    packetsIn: 0,
    packetsOut: 0,
    localSelectors: ['10.1.0.1/32'],
    remoteSelectors: ['10.1.0.2/32'],
    ...changes,
  };
}

export function exampleIke(children: readonly ChildSa[] = [exampleChild()], changes: Partial<IkeSa> = {}): IkeSa {
  return {
    name: 'plimsoll-host-b',
    uniqueId: '3',
    state: 'ESTABLISHED',
    localHost: '10.0.0.1',
    remoteHost: '10.0.0.2',
    localId: 'host-a',
    remoteId: 'host-b',
    initiator: true,
    encryptionAlgorithm: 'AES_GCM_16',
    encryptionKeyBits: 256,
    keyExchange: 'ECP_384',
    postQuantumKey: false,
    children,
    ...changes,
  };
}
