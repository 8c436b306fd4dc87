import { describe, expect, it } from 'vitest';
import type { PeerTuning } from '#core/model/channel.ts';
import { checkTuning } from './check-tuning.ts';
import { tuneRuleset } from './tune-rules.ts';

const tuning: PeerTuning = {
  peerHostId: 'b',
  peerUnderlay: '10.0.0.2',
  peerChannelAddress: '10.79.0.2',
  interface: 'eth0',
  mssBytes: 1300,
  routeMtuBytes: null,
  interfaceMtuBytes: null,
};

describe('the rules of the MSS clamp', () => {
  it('take the address in the channel, in both directions, for SYN and SYN/ACK', () => {
    const text = tuneRuleset([tuning, { ...tuning, peerChannelAddress: 'fd00::2', mssBytes: 1280 }]);
    expect(text.startsWith('add table inet plimsoll_tune\ndelete table inet plimsoll_tune\ntable inet plimsoll_tune {\n')).toBe(true);
    for (const rule of [
      'ip saddr 10.79.0.2 tcp flags & (syn | rst) == syn tcp option maxseg size set 1300',
      'ip daddr 10.79.0.2 tcp flags & (syn | rst) == syn tcp option maxseg size set 1300',
      'ip6 saddr fd00::2 tcp flags & (syn | rst) == syn tcp option maxseg size set 1280',
      'ip6 daddr fd00::2 tcp flags & (syn | rst) == syn tcp option maxseg size set 1280',
    ]) {
      expect(text).toContain(`    ${rule}\n`);
    }
    expect(text).not.toContain('10.0.0.2');
  });

  it('are no table at all when nothing is clamped', () => {
    expect(tuneRuleset([{ ...tuning, mssBytes: null }])).toBe('add table inet plimsoll_tune\ndelete table inet plimsoll_tune\n');
  });
});

describe('settings for a peer', () => {
  it('are taken when they can be made', () => {
    expect(() => checkTuning({ ...tuning, routeMtuBytes: 1400, interfaceMtuBytes: 9000, interface: 'bond0.12' })).not.toThrow();
    expect(() => checkTuning({ ...tuning, peerUnderlay: '2001:db8::2', routeMtuBytes: 1280 })).not.toThrow();
  });

  it.each<readonly [string, Partial<PeerTuning>]>([
    ['a host name', { peerUnderlay: 'b.example' }],
    ['an address with a zone', { peerChannelAddress: 'fe80::2%eth0' }],
    ['more than an address', { peerChannelAddress: '10.0.0.2 } ; flush ruleset' }],
    ['an option as interface', { interface: '-eth0' }],
    ['a path as interface', { interface: '../eth0' }],
    ['a fraction', { mssBytes: 1300.5 }],
    ['no number', { mssBytes: Number.NaN }],
    ['an MSS of nothing', { mssBytes: 0 }],
    ['an MTU above 65,535', { interfaceMtuBytes: 65_536 }],
    ['an MTU that IPv6 does not allow', { peerUnderlay: '2001:db8::2', routeMtuBytes: 1279 }],
  ])('are refused: %s', (_, wrong) => {
    expect(() => checkTuning({ ...tuning, ...wrong })).toThrow(expect.objectContaining({ code: 'channel-failed' }));
  });
});
