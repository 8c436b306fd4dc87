import { describe, expect, it } from 'vitest';
import { presetNames } from '#core/model/method.ts';
import { defaultPolicy, directions, ladders, pilotPolicyOf, strategies } from '#core/model/policy.ts';
import { type ControllerConfigFile, ControllerConfigSchema, controllerConfigOf } from './controller-config.ts';
import { ChannelProfileSchema } from './resources.ts';
import { PilotPolicySchema } from './transfer-schemas.ts';
import { violations } from './validate.ts';

const least = { dataDir: '/var/lib/plimsoll', listen: { address: '10.0.0.10', port: 7443 } };

function channel(section: NonNullable<ControllerConfigFile['channel']>) {
  return controllerConfigOf({ ...least, channel: section }).policy.channel;
}

describe('the forecast section of controller.yaml', () => {
  it('says how far ahead is looked, half an hour when it does not', () => {
    expect(controllerConfigOf(least).policy.forecast).toEqual({ horizonMs: 1_800_000 });
    expect(controllerConfigOf({ ...least, forecast: {} }).policy.forecast).toEqual({ horizonMs: 1_800_000 });
    expect(controllerConfigOf({ ...least, forecast: { horizonSeconds: 600 } }).policy.forecast).toEqual({ horizonMs: 600_000 });
  });

  it.each([{ horizonSeconds: 299 }, { horizonSeconds: 7201 }, { horizonSeconds: 600.5 }, { horizon: 600 }])('refuses %j', (forecast) => {
    expect(violations(ControllerConfigSchema, { ...least, forecast })).not.toEqual([]);
  });
});

describe.each([
  { key: 'copyCores', good: 1, bad: [-1, 1001, '1', null] },
  { key: 'usualMs', good: 3_600_000, bad: [-1, 86_400_001, 0.5, '1', null] },
])('balance.$key in controller.yaml', ({ key, good, bad }) => {
  const balance = { shortageMs: 200_000, coreSecondsPerGib: 10 };

  it('is not reckoned unless it is given', () => {
    expect(controllerConfigOf(least).policy.balance).not.toHaveProperty(key);
    for (const given of [balance, { ...balance, [key]: good }]) {
      expect(violations(ControllerConfigSchema, { ...least, policy: { balance: given } })).toEqual([]);
      expect(controllerConfigOf({ ...least, policy: { balance: given } }).policy.balance).toEqual(given);
    }
  });

  it.each(bad)('is refused as %j', (value) => {
    expect(violations(ControllerConfigSchema, { ...least, policy: { balance: { ...balance, [key]: value } } })).not.toEqual([]);
  });
});

describe('strategy and direction in controller.yaml', () => {
  const policyOf = (policy: NonNullable<ControllerConfigFile['policy']>) => controllerConfigOf({ ...least, policy }).policy;

  it('are balance and push when they are not given, and any pair that does not contradict itself', () => {
    expect(policyOf({})).toMatchObject({ strategy: 'balance', direction: 'push', pull: { belowPercent: 30, marginPercent: 15 } });
    for (const strategy of strategies) {
      for (const direction of directions) {
        const given = { ...least, policy: { strategy, direction } };
        expect(violations(ControllerConfigSchema, given)).toEqual([]);
        if (strategy !== 'pack' || direction === 'push') expect(policyOf({ strategy, direction })).toMatchObject({ strategy, direction });
        else expect(() => policyOf({ strategy, direction })).toThrow(/fills the hosts that strategy pack empties.*leave the direction/);
      }
    }
  });

  it.each([
    { strategy: 'spread' },
    { direction: 'away' },
    { pull: { belowPercent: 0, marginPercent: 15 } },
    { pull: { belowPercent: 30 } },
  ])('refuses %j', (policy) => {
    expect(violations(ControllerConfigSchema, { ...least, policy })).not.toEqual([]);
  });
});

describe('classes and budgets in controller.yaml', () => {
  const policyOf = (policy: NonNullable<ControllerConfigFile['policy']>) => controllerConfigOf({ ...least, policy }).policy;

  it('are the default policy when they are not given', () => {
    const { classes, budgets, assumedBandwidthBytesPerSecond } = controllerConfigOf(least).policy;
    expect({ classes, budgets, assumedBandwidthBytesPerSecond }).toEqual({
      classes: defaultPolicy.classes,
      budgets: defaultPolicy.budgets,
      assumedBandwidthBytesPerSecond: 0,
    });
  });

  it('say what differs: from the built-in class of the name, or from standard', () => {
    const { classes } = policyOf({
      classes: { critical: { moves: 'approve-only' }, standard: { downtimeMsMax: 900 }, gold: { costFactor: 3 } },
    });
    expect(classes).toEqual({
      ...defaultPolicy.classes,
      critical: { ...defaultPolicy.classes['critical'], moves: 'approve-only' },
      standard: { downtimeMsMax: 900, costFactor: 1, moves: 'automatic' },
      gold: { downtimeMsMax: 900, costFactor: 3, moves: 'automatic' },
    });
    expect(policyOf({ budgets: { gibPerHour: 50 } }).budgets).toEqual({ ...defaultPolicy.budgets, gibPerHour: 50 });
  });

  it.each([
    { classes: { Gold: {} } },
    { classes: { gold: { cost: 1 } } },
    { classes: { gold: { moves: 'sometimes' } } },
    { classes: { gold: { costFactor: 0 } } },
    { classes: { none: {} } },
    { budgets: { movesPerDay: 1 } },
    { budgets: { vmMovesPerDay: -1 } },
    { assumedBandwidthBytesPerSecond: -1 },
  ])('refuses %j', (policy) => {
    expect(violations(ControllerConfigSchema, { ...least, policy })).not.toEqual([]);
  });
});

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

function migration(section: NonNullable<ControllerConfigFile['migration']>, policy: NonNullable<ControllerConfigFile['policy']> = {}) {
  return controllerConfigOf({ ...least, migration: section, policy }).policy.migration;
}

describe('the migration section of controller.yaml', () => {
  it('is the default policy when it is not given', () => {
    expect(controllerConfigOf(least).policy.migration).toEqual(defaultPolicy.migration);
  });

  it.each(presetNames)('has the ladder and the limits of preset %s, and post-copy is not allowed in any', (preset) => {
    const { pilot, ...rest } = migration({ preset });
    expect(pilot).toEqual(pilotPolicyOf(preset));
    expect([pilot.ladder, pilot.allowPostCopy]).toEqual([ladders[preset], false]);
    expect(rest).toEqual({ streams: 1, compression: 'none', predictionMarginPercent: 10 });
  });

  it('takes what is given over the preset, and leaves the rest as the preset has it', () => {
    const given = {
      preset: 'must-move',
      ladder: [{ kind: 'raise-downtime' }, { kind: 'post-copy' }],
      downtimeMsBudget: 700,
      allowPostCopy: true,
      patienceMs: 5000,
      streams: 4,
      compression: 'zstd',
      predictionMarginPercent: 25,
    } as const;
    const { ladder, ...own } = given;
    const { pilot, ...rest } = migration({ ...own, ladder: [...ladder] });
    const { stopMsMax, switchOverMsMax } = pilotPolicyOf('must-move');
    expect(pilot).toEqual({
      preset: 'must-move',
      ladder,
      downtimeMsBudget: 700,
      allowPostCopy: true,
      patienceMs: 5000,
      stopMsMax,
      switchOverMsMax,
    });
    expect(rest).toEqual({ streams: 4, compression: 'zstd', predictionMarginPercent: 25 });
    expect(violations(PilotPolicySchema, pilot)).toEqual([]);
  });

  it('takes a longer downtime limit of the policy as the budget, too', () => {
    expect(migration({}, { downtimeMsMax: 2000 }).pilot.downtimeMsBudget).toBe(2000);
    expect(migration({}, { downtimeMsMax: 100 }).pilot.downtimeMsBudget).toBe(1000);
    expect(migration({ downtimeMsBudget: 3000 }, { downtimeMsMax: 2000 }).pilot.downtimeMsBudget).toBe(3000);
  });

  it.each<[section: Parameters<typeof migration>[0], policy: Parameters<typeof migration>[1], sentence: RegExp]>([
    [{ ladder: [{ kind: 'post-copy' }] }, {}, /post-copy, which is not allowed: set allowPostCopy/],
    [{ ladder: [{ kind: 'stop-and-copy' }] }, {}, /stopMsMax accepts no stop: set it, or take it out/],
    [{ preset: 'must-move', ladder: [{ kind: 'stop-and-copy' }], stopMsMax: 0 }, {}, /stopMsMax accepts no stop/],
    [{ downtimeMsBudget: 200 }, {}, /downtimeMsBudget \(200\) must not be below policy.downtimeMsMax \(300\)/],
    [{ downtimeMsBudget: 900 }, { downtimeMsMax: 1000 }, /downtimeMsBudget \(900\).*\(1000\)/],
    [{ compression: 'zstd' }, {}, /zstd compresses several streams: set streams to 2 or more/],
    [{ patienceMs: 150_000 }, {}, /patienceMs \(150000\) must be below policy.noProgressMsMax \(150000\)/],
    [{}, { noProgressMsMax: 10_000 }, /patienceMs \(15000\) must be below policy.noProgressMsMax \(10000\)/],
  ])('is refused with a sentence where it contradicts itself: %j with %j', (section, policy, sentence) => {
    expect(() => migration(section, policy)).toThrow(
      expect.objectContaining({ code: 'config-invalid', message: expect.stringMatching(sentence) }),
    );
  });

  it('is not refused for what its preset has and the rest does not allow: the autopilot leaves that out', () => {
    expect(() => migration({ preset: 'must-move', stopMsMax: 0, allowPostCopy: false })).not.toThrow();
    expect(() => migration({ ladder: [{ kind: 'post-copy' }], allowPostCopy: true })).not.toThrow();
    expect(() => migration({ ladder: [{ kind: 'stop-and-copy' }], stopMsMax: 1 })).not.toThrow();
    expect(() => migration({ compression: 'zstd', streams: 2 })).not.toThrow();
  });

  it('knows its keys and their bounds', () => {
    const broken = (section: object) => violations(ControllerConfigSchema, { ...least, migration: section }).length;
    expect(broken({ preset: 'gentle', ladder: [{ kind: 'auto-converge', initialPercent: 20, incrementPercent: 10 }] })).toBe(0);
    expect(broken({ preset: 'hasty' })).toBeGreaterThan(0);
    expect(broken({ ladder: [{ kind: 'tunnelled' }] })).toBeGreaterThan(0);
    expect(broken({ ladder: [{ kind: 'auto-converge', initialPercent: 100, incrementPercent: 10 }] })).toBeGreaterThan(0);
    expect(broken({ ladder: Array.from({ length: 17 }, () => ({ kind: 'raise-downtime' })) })).toBeGreaterThan(0);
    expect(broken({ streams: 0 })).toBeGreaterThan(0);
    expect(broken({ patienceMs: 10 })).toBeGreaterThan(0);
    expect(broken({ predictionMarginPercent: 91 })).toBeGreaterThan(0);
    expect(broken({ allowPostcopy: true })).toBeGreaterThan(0);
  });
});
