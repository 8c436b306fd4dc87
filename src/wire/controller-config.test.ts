import { describe, expect, it } from 'vitest';
import { defaultPolicy } from '#core/model/policy.ts';
import { type ControllerConfigFile, ControllerConfigSchema, controllerConfigOf } from './controller-config.ts';
import { ChannelProfileSchema } from './resources.ts';
import { violations } from './validate.ts';

const least = { dataDir: '/var/lib/plimsoll', listen: { address: '10.0.0.10', port: 7443 } };

function channel(section: NonNullable<ControllerConfigFile['channel']>) {
  return controllerConfigOf({ ...least, channel: section }).policy.channel;
}

describe('the channel section of controller.yaml', () => {
  it('is the default policy when it is not given, and certificates live for a day', () => {
    const { policy, certificates } = controllerConfigOf(least);
    expect(policy.channel).toEqual(defaultPolicy.channel);
    expect(certificates).toEqual({ leafLifetimeMs: 86_400_000, crlIntervalMs: 3_600_000 });
  });

  it('takes a suite, or proposals of its own over the default ones', () => {
    expect(channel({ suite: 'chacha20-poly1305' }).profile.espProposals[0]).toContain('chacha20poly1305');
    const own = channel({ proposals: { esp: ['aes128gcm16-ecp256'] } }).profile;
    expect([own.espProposals, own.ikeProposals]).toEqual([['aes128gcm16-ecp256'], defaultPolicy.channel.profile.ikeProposals]);
    expect(() => channel({ suite: 'aes-gcm', proposals: { esp: ['aes128gcm16-ecp256'] } })).toThrow('not both');
  });

  it('takes everything else as it is given, and what comes out fits the wire', () => {
    const given = {
      profile: 'ah+esp',
      suite: 'aes-cbc-sha2',
      authentication: 'psk',
      postQuantumKey: true,
      rekeySeconds: 600,
      rekeyBytes: 2 ** 30,
      replayWindowPackets: 4096,
      tuning: { mode: 'raise', mtuBytesMax: 4000 },
      clockSkewMsMax: 500,
    } as const;
    const policy = channel(given);
    expect(policy).toMatchObject({ tuning: { mode: 'raise', mtuBytesMax: 4000 }, clockSkewMsMax: 500 });
    expect(policy.profile).toMatchObject({ name: 'ah+esp', authentication: 'psk', postQuantumKey: true, rekeySeconds: 600 });
    expect(violations(ChannelProfileSchema, policy.profile)).toEqual([]);
  });

  it('is refused by the name of the algorithm and the RFC that forbids it', () => {
    const refused = (esp: string) => () => channel({ proposals: { esp: [esp] } });
    expect(refused('3des-sha1-modp1024')).toThrow(/3des.*RFC 8221/);
    expect(refused('null-sha256-ecp384')).toThrow(/null/);
    expect(() => channel({ proposals: { ike: ['aes256-md5-modp1024'] } })).toThrow(/md5.*RFC 8247/);
    expect(refused('rot13-ecp384')).toThrow('rot13');
  });

  it('is refused when it would carry the memory of a VM without encryption', () => {
    expect(() => channel({ profile: 'ah' })).toThrow('encrypts nothing');
    expect(() => channel({ profile: 'ah+esp' })).not.toThrow();
  });

  it('is refused for a replay window that is too small and for keys that live too long', () => {
    expect(() => channel({ replayWindowPackets: 32 })).toThrow('replay window');
    expect(() => channel({ rekeySeconds: 1e6 })).toThrow('rekeySeconds');
  });

  it('knows its keys', () => {
    const broken = (section: object) => violations(ControllerConfigSchema, { ...least, ...section }).length;
    expect(broken({ channel: { profile: 'esp-transport', suite: 'aes-gcm' }, certificates: { leafLifetimeMs: 5000 } })).toBe(0);
    expect(broken({ channel: { profil: 'esp-transport' } })).toBeGreaterThan(0);
    expect(broken({ channel: { suite: 'rot13' } })).toBeGreaterThan(0);
    expect(broken({ certificates: { leafLifetimeMs: 100 } })).toBeGreaterThan(0);
  });
});
