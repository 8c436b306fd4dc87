import { describe, expect, it } from 'vitest';
import type { ChannelProfile } from '#core/model/channel.ts';
import { childConfigs, childKindOf, childName, selectorOf } from './child-config.ts';
import { examplePeer, exampleProfile } from './examples.ts';
import { type Section, isSection } from './message.ts';
import { reqidsOf } from './reqid.ts';

const sectionsOf = (section: Section): readonly (readonly [string, Section])[] =>
  Object.entries(section).flatMap(([name, element]) => (isSection(element) ? [[name, element] as const] : []));

const transport = ['dynamic[6]', 'dynamic[17/49149]', 'dynamic[17/49150]'];

describe('the CHILD_SAs of a profile', () => {
  it('of esp-tunnel is one between the protected addresses', () => {
    const [[name, child] = ['', {}], ...others] = sectionsOf(childConfigs(examplePeer(), 'kernel'));
    expect([childKindOf(name), others]).toEqual(['channel', []]);
    expect(child).toMatchObject({
      mode: 'tunnel',
      local_ts: ['10.1.0.1/32'],
      remote_ts: ['10.1.0.2/32'],
      esp_proposals: ['aes256gcm16-ecp384-esn', 'aes256gcm16-ecp384'],
      reqid: String(reqidsOf('host-b').esp),
    });
    expect(child).not.toHaveProperty('ah_proposals');
    expect(child).not.toHaveProperty('policies');
  });

  it.each<['esp-transport' | 'ah', string, string, number]>([
    ['esp-transport', 'esp_proposals', 'ah_proposals', reqidsOf('host-b').esp],
    ['ah', 'ah_proposals', 'esp_proposals', reqidsOf('host-b').ah],
  ])('of %s is one for TCP and the probes between the underlay addresses', (name, has, hasNot, reqid) => {
    const [[, child] = ['', {}], ...others] = sectionsOf(childConfigs(examplePeer({ name }), 'kernel'));
    expect(others).toEqual([]);
    expect(child).toMatchObject({ mode: 'transport', local_ts: transport, remote_ts: transport, reqid: String(reqid) });
    expect(child).toHaveProperty(has);
    expect(child).not.toHaveProperty(hasNot);
  });

  it('of a bundle are two that a responder can tell apart by their selectors, and for which charon makes no policies', () => {
    const children = sectionsOf(childConfigs(examplePeer({ name: 'ah+esp' }), 'kernel'));
    expect(children.map(([name]) => childKindOf(name))).toEqual(['inner', 'outer']);
    const [[, inner] = ['', {}], [, outer] = ['', {}]] = children;
    expect(inner).toMatchObject({ mode: 'transport', policies: 'no', local_ts: transport, remote_ts: transport });
    expect(outer).toMatchObject({ mode: 'transport', policies: 'no', local_ts: ['dynamic[50]'], remote_ts: ['dynamic[50]'] });
    expect([inner['ah_proposals'], outer['esp_proposals']]).toEqual([undefined, undefined]);
    expect([inner['reqid'], outer['reqid']]).toEqual(Object.values(reqidsOf('host-b')).map(String));
  });

  it('with userspace ESP have 32-bit sequence numbers and no request ids', () => {
    const [[, child] = ['', {}]] = sectionsOf(childConfigs(examplePeer(), 'libipsec'));
    expect(child['esp_proposals']).toEqual(['aes256gcm16-ecp384']);
    expect(child).not.toHaveProperty('reqid');
    expect(() => childConfigs(examplePeer({ espProposals: ['aes256gcm16-ecp384-esn'] }), 'libipsec')).toThrow(
      expect.objectContaining({ code: 'profile-unsupported' }) as Error,
    );
  });

  it('are replaced by time and by bytes, before their sequence numbers end, and with room while that is under way', () => {
    const [[, child] = ['', {}]] = sectionsOf(childConfigs(examplePeer({ rekeySeconds: 600, rekeyBytes: 1_000 }), 'kernel'));
    expect(child).toMatchObject({ rekey_time: '600s', rekey_bytes: '1000', life_bytes: '1500', rand_bytes: '100', replay_window: '1024' });
    expect(Number(child['life_packets'])).toBeLessThan(2 ** 32);
    expect(Number(child['rekey_packets'])).toBeLessThan(Number(child['life_packets']));
  });
});

describe('the name of a CHILD_SA', () => {
  it('differs with any field of the profile, and only with those', () => {
    const base = exampleProfile();
    const reordered = Object.fromEntries(Object.entries(base).toReversed()) as unknown as ChannelProfile;
    expect(childName('channel', reordered)).toBe(childName('channel', base));
    const others = [
      exampleProfile({ authentication: 'psk' }),
      exampleProfile({ postQuantumKey: true }),
      exampleProfile({ rekeyBytes: 2 }),
      exampleProfile({ name: 'esp-transport' }),
      exampleProfile({ ikeProposals: ['aes256gcm16-prfsha384-ecp521'] }),
    ];
    expect(new Set([base, ...others].map((profile) => childName('channel', profile))).size).toBe(6);
  });

  it('tells its kind', () => {
    expect(childKindOf(childName('outer', exampleProfile()))).toBe('outer');
    expect(childKindOf('net')).toBeNull();
  });
});

describe('selectors', () => {
  it('select one address and nothing beside it', () => {
    expect([selectorOf('10.79.0.1'), selectorOf('FD00:0::1')]).toEqual(['10.79.0.1/32', 'fd00::1/128']);
  });
});
