import type { Section } from '#drivers/strongswan/message.ts';
import { sectionOf } from './fake-credentials.ts';
import { type FakeChild, type FakeIke, algorithmFields } from './fake-sa.ts';

/** The shape of test/fixtures/strongswan/list-sa-event.hex, with these children. */
export function ikeSaMessage(ike: FakeIke, children: readonly FakeChild[]): Section {
  const established: Section = {
    'encr-alg': 'AES_GCM_16',
    'encr-keysize': '256',
    'prf-alg': 'PRF_HMAC_SHA2_384',
    'dh-group': 'ECP_384',
    ...(ike.postQuantumKey ? { ppk: 'yes' } : {}),
    established: '0',
    'rekey-time': '13000',
  };
  const fields: Section = {
    uniqueid: ike.ikeId,
    version: '2',
    state: ike.established ? 'ESTABLISHED' : 'CONNECTING',
    'local-host': ike.local.underlay,
    'local-port': '4500',
    'local-id': ike.local.name,
    'remote-host': ike.peer.underlay,
    'remote-port': '4500',
    'remote-id': ike.established ? ike.peer.name : '%any',
    ...(ike.initiator ? { initiator: 'yes' } : {}),
    'initiator-spi': '6e62bd56e3c4e261',
    'responder-spi': ike.established ? 'b9a3f0b5d1e0c8a7' : '0000000000000000',
    'nat-remote': 'yes',
    'nat-any': 'yes',
    ...(ike.established ? established : {}),
    'local-vips': [],
    'child-sas': Object.fromEntries(children.map((child) => [`${child.name}-${child.id}`, childSaMessage(child, ike)])),
  };
  return { [ike.name]: fields };
}

export function childSaMessage(child: FakeChild, ike: FakeIke): Section {
  return {
    name: child.name,
    uniqueid: child.id,
    reqid: '1',
    state: child.state,
    mode: child.agreement.mode,
    protocol: child.agreement.protocol,
    ...(ike.local.backend === 'libipsec' ? { encap: 'yes' } : {}),
    'spi-in': child.spiIn,
    'spi-out': child.spiOut,
    ...algorithmFields(child.agreement),
    'bytes-in': String(child.bytesIn),
    'packets-in': String(child.packetsIn),
    'bytes-out': String(child.bytesOut),
    'packets-out': String(child.packetsOut),
    'rekey-time': '3300',
    'life-time': '3960',
    'install-time': '0',
    'local-ts': child.localSelectors,
    'remote-ts': child.remoteSelectors,
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

export function failed(reason: string): Section {
  return { success: 'no', errmsg: reason };
}
