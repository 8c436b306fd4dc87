import { describe, expect, it } from 'vitest';
import type { ProfileName } from '#core/model/channel.ts';
import { probePorts } from '#core/ports.ts';
import { exampleProfile } from './examples.ts';
import {
  channelAddresses,
  memoryFault,
  migrationAddress,
  profileFault,
  profileNames,
  saModeOf,
  transportSelectors,
  transportSelectorWords,
  usesAh,
  usesEsp,
} from './profiles.ts';

const addresses = { underlay: '10.77.0.1', protected: '10.79.0.1', interface: 'eth0' };

describe('a channel profile', () => {
  it('is a tunnel between protected addresses, or transport between the underlay addresses', () => {
    expect(channelAddresses({ name: 'esp-tunnel' }, addresses)).toEqual(addresses);
    for (const name of ['esp-transport', 'ah', 'ah+esp'] as const) {
      expect(saModeOf(name)).toBe('transport');
      expect(channelAddresses({ name }, addresses)).toEqual({ ...addresses, protected: addresses.underlay });
      expect(migrationAddress({ name }, addresses)).toBe(addresses.underlay);
    }
    expect(migrationAddress({ name: 'esp-tunnel' }, addresses)).toBe(addresses.protected);
  });

  it('has ESP, AH or both', () => {
    expect(profileNames.map((name) => [name, usesEsp(name), usesAh(name)])).toEqual([
      ['esp-tunnel', true, false],
      ['esp-transport', true, false],
      ['ah', false, true],
      ['ah+esp', true, true],
    ]);
  });

  it('goes through userspace ESP as a tunnel only, and through the kernel in any form', () => {
    const named = (name: ProfileName) => exampleProfile({ name });
    expect(profileNames.map((name) => profileFault(named(name), 'libipsec')?.code)).toEqual([
      undefined,
      'profile-unsupported',
      'profile-unsupported',
      'profile-unsupported',
    ]);
    for (const name of profileNames) expect(profileFault(named(name), 'kernel')).toBeNull();
  });

  it('that insists on 64-bit sequence numbers does not go through userspace ESP', () => {
    const profile = exampleProfile({ espProposals: ['aes256gcm16-ecp384-esn'] });
    expect(profileFault(profile, 'libipsec')?.code).toBe('profile-unsupported');
    expect(profileFault(profile, 'kernel')).toBeNull();
  });

  it('may carry the memory of a VM only if it encrypts', () => {
    expect(memoryFault({ name: 'ah' })?.code).toBe('profile-refused');
    for (const name of ['esp-tunnel', 'esp-transport', 'ah+esp'] as const) expect(memoryFault({ name })).toBeNull();
  });

  it('protects all TCP and the probes in transport mode, and neither the plain probe nor the path probes', () => {
    expect(transportSelectorWords).toEqual(['dynamic[tcp]', 'dynamic[udp/49149]', 'dynamic[udp/49150]']);
    const ports = transportSelectors.map((selector) => selector.port);
    expect(ports).not.toContain(probePorts.plain);
    expect(ports).not.toContain(probePorts.path);
  });
});
