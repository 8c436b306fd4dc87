import type { Section } from '#drivers/strongswan/message.ts';
import type { FakeCharon } from './fake-charon.ts';
import { sectionOf } from './fake-credentials.ts';

/** One IKE_SA with its one CHILD_SA. */
export interface FakeSa {
  readonly name: string;
  readonly childName: string;
  ikeId: string;
  childId: string;
  readonly peer: FakeCharon;
  readonly initiator: boolean;
  established: boolean;
  spiIn: string;
  spiOut: string;
  bytesIn: number;
  bytesOut: number;
  packetsIn: number;
  packetsOut: number;
}

/** The shape of test/fixtures/strongswan/list-sa-event.hex. */
export function ikeSaMessage(sa: FakeSa, local: FakeCharon, withChildren: boolean): Section {
  const established: Section = {
    'encr-alg': 'AES_GCM_16',
    'encr-keysize': '256',
    'prf-alg': 'PRF_HMAC_SHA2_384',
    'dh-group': 'ECP_384',
    established: '0',
    'rekey-time': '13000',
  };
  const ike: Section = {
    uniqueid: sa.ikeId,
    version: '2',
    state: sa.established ? 'ESTABLISHED' : 'CONNECTING',
    'local-host': local.underlay,
    'local-port': '4500',
    'local-id': local.name,
    'remote-host': sa.peer.underlay,
    'remote-port': '4500',
    'remote-id': sa.established ? sa.peer.name : '%any',
    ...(sa.initiator ? { initiator: 'yes' } : {}),
    'initiator-spi': '6e62bd56e3c4e261',
    'responder-spi': sa.established ? 'b9a3f0b5d1e0c8a7' : '0000000000000000',
    'nat-remote': 'yes',
    'nat-any': 'yes',
    ...(sa.established ? established : {}),
    'local-vips': [],
    ...(withChildren && sa.established ? { 'child-sas': { [`${sa.childName}-${sa.childId}`]: childSaMessage(sa, local) } } : {}),
  };
  return { [sa.name]: ike };
}

export function childSaMessage(sa: FakeSa, local?: FakeCharon): Section {
  return {
    name: sa.childName,
    uniqueid: sa.childId,
    reqid: '1',
    state: 'INSTALLED',
    mode: 'TUNNEL',
    protocol: 'ESP',
    encap: 'yes',
    'spi-in': sa.spiIn,
    'spi-out': sa.spiOut,
    'encr-alg': 'AES_GCM_16',
    'encr-keysize': '256',
    'bytes-in': String(sa.bytesIn),
    'packets-in': String(sa.packetsIn),
    'bytes-out': String(sa.bytesOut),
    'packets-out': String(sa.packetsOut),
    'rekey-time': '3300',
    'life-time': '3960',
    'install-time': '0',
    ...(local === undefined ? {} : { 'local-ts': [`${local.protected}/32`], 'remote-ts': [`${sa.peer.protected}/32`] }),
  };
}

/** The shape of test/fixtures/strongswan/list-conn-event.hex. */
export function connMessage(name: string, config: Section): Section {
  return {
    [name]: {
      local_addrs: config['local_addrs'] ?? [],
      remote_addrs: config['remote_addrs'] ?? [],
      version: 'IKEv2',
      children: sectionOf(config, 'children'),
    },
  };
}
