import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ChannelPeer } from '#core/ports.ts';
import { examplePeer } from './examples.ts';
import { isOurReqid, reqidsOf } from './reqid.ts';
import { bundlePolicies, policyDelete, policyUpdate, readPolicies } from './xfrm-policy.ts';
import { readStates, stateDelete } from './xfrm-state.ts';

const addresses = (underlay: string): ChannelPeer['localAddresses'] => ({ underlay, protected: '10.1.0.1', interface: 'eth0' });
const peer = examplePeer({ name: 'ah+esp' });
const { esp, ah } = reqidsOf('host-b');

/** As iproute2 6.1 prints it with -o. */
const lineOf = (reqids: readonly number[], head = 'src 10.0.0.1/32 dst 10.0.0.2/32 proto tcp ', direction = 'out'): string =>
  `${head}\\\tdir ${direction} priority 1000 ptype main \\${reqids.map((reqid) => `\ttmpl src 10.0.0.1 dst 10.0.0.2\\\t\tproto esp reqid ${reqid} mode transport\\`).join('')}`;

describe('the policies of a bundle', () => {
  it('cover TCP and every pair of probe ports, in and out, and nothing of IKE', () => {
    const policies = bundlePolicies(peer);
    const out = policies.filter(({ direction }) => direction === 'out');
    expect(out.map(({ selector }) => selector.join(' ')).toSorted()).toEqual([
      'proto tcp',
      'proto udp sport 49149 dport 49149',
      'proto udp sport 49149 dport 49150',
      'proto udp sport 49150 dport 49149',
      'proto udp sport 49150 dport 49150',
    ]);
    expect(policies).toHaveLength(10);
    for (const { direction, source, destination } of policies)
      expect([source, destination]).toEqual(direction === 'out' ? ['10.0.0.1', '10.0.0.2'] : ['10.0.0.2', '10.0.0.1']);
  });

  it('want ESP inside AH, required, by request ids that nobody else has', () => {
    const [first] = bundlePolicies(peer);
    expect(first && policyUpdate(first).join(' ')).toBe(
      'xfrm policy update src 10.0.0.1/32 dst 10.0.0.2/32 proto tcp dir out priority 1000 ' +
        `tmpl src 10.0.0.1 dst 10.0.0.2 proto esp reqid ${esp} mode transport level required ` +
        `tmpl src 10.0.0.1 dst 10.0.0.2 proto ah reqid ${ah} mode transport level required`,
    );
    expect(first && policyDelete(first).join(' ')).toBe('xfrm policy delete src 10.0.0.1/32 dst 10.0.0.2/32 proto tcp dir out');
  });

  it('are written for IPv6 too', () => {
    const [first] = bundlePolicies({ ...peer, localAddresses: addresses('FD00::0001'), peerAddresses: addresses('fd00::2') });
    expect(first && policyDelete(first).join(' ')).toBe('xfrm policy delete src fd00::1/128 dst fd00::2/128 proto tcp dir out');
  });
});

describe('a listing of policies', () => {
  it('is read for ours alone, with what deletes them', () => {
    const theirs = lineOf([1], 'src 10.0.0.0/24 dst 10.9.0.0/24 ');
    const ours = lineOf([esp, ah]);
    const charons = lineOf([esp], 'src 10.1.0.1/32 dst 10.1.0.2/32 ', 'fwd');
    const policies = readPolicies([theirs, ours, charons, 'src ::/0 dst ::/0 \\\tsocket in priority 0 ptype main \\', ''].join('\n'));
    expect(policies).toEqual([
      { direction: 'out', source: '10.0.0.1/32', destination: '10.0.0.2/32', selector: ['proto', 'tcp'], reqids: [esp, ah] },
      { direction: 'fwd', source: '10.1.0.1/32', destination: '10.1.0.2/32', selector: [], reqids: [esp] },
    ]);
    expect(policies.map((policy) => policyDelete(policy).join(' '))).toEqual([
      'xfrm policy delete src 10.0.0.1/32 dst 10.0.0.2/32 proto tcp dir out',
      'xfrm policy delete src 10.1.0.1/32 dst 10.1.0.2/32 dir fwd',
    ]);
  });

  it('never fails on another text', () => {
    fc.assert(fc.property(fc.string(), (text) => Array.isArray(readPolicies(text))));
  });
});

describe('a listing of SAs', () => {
  it('is read without the placeholders, which cannot be deleted', () => {
    const stateLineOf = (protocol: string, spi: string): string =>
      `src 10.0.0.1 dst 10.0.0.2\\\tproto ${protocol} spi ${spi} reqid ${esp} mode transport\\\treplay-window 0 \\`;
    const states = readStates(
      [stateLineOf('esp', '0x00000000'), stateLineOf('esp', '0xc7869e00'), stateLineOf('ah', '0x00000100'), ''].join('\n'),
    );
    expect(states.map((state) => stateDelete(state).join(' '))).toEqual([
      'xfrm state delete src 10.0.0.1 dst 10.0.0.2 proto esp spi 0xc7869e00',
      'xfrm state delete src 10.0.0.1 dst 10.0.0.2 proto ah spi 0x00000100',
    ]);
  });
});

describe('request ids', () => {
  it('are ours for every host, two for each, and the same in every process', () => {
    fc.assert(
      fc.property(fc.string(), (hostId) => {
        const reqids = reqidsOf(hostId);
        expect(reqids).toEqual(reqidsOf(hostId));
        expect([isOurReqid(reqids.esp), isOurReqid(reqids.ah), reqids.ah - reqids.esp]).toEqual([true, true, 1]);
        expect(reqids.ah).toBeLessThan(2 ** 32);
      }),
    );
    expect(reqidsOf('host-b')).toEqual({ esp: 1_350_997_116, ah: 1_350_997_117 });
    expect([0, 1, 101, 16_385].some(isOurReqid)).toBe(false);
  });
});
