import { describe, expect, it } from 'vitest';
import { alarmsOf, type AlarmFacts, findingsOf, type HostFacts } from './alarms.ts';

const dayMs = 24 * 3_600_000;
const nowMs = 1000 * dayMs;

const sound: HostFacts = {
  hostId: 'a',
  joinedAtMs: nowMs - dayMs,
  connected: true,
  certificateEndsAtMs: nowMs + dayMs / 2,
  clockSkewMs: 0,
  guardInstalled: true,
  revokedAtMs: null,
  refusedAtMs: null,
};

const authority = {
  rootSha256: 'ab',
  rootNotAfterMs: nowMs + 3000 * dayMs,
  intermediateNotAfterMs: nowMs + 20 * dayMs,
  rootKeyPresent: true,
};

const soundCluster = { authority, leafLifetimeMs: dayMs, clockSkewMsMax: 2000, longestRevocationList: 0 };

function found(host: Partial<HostFacts>, changes: Partial<AlarmFacts> = {}) {
  return findingsOf({ hosts: [{ ...sound, ...host }], ...soundCluster, ...changes }, nowMs);
}

describe('alarms', () => {
  it('are not raised over a sound cluster, nor over one without hosts', () => {
    expect(found({})).toEqual([]);
    expect(findingsOf({ hosts: [], ...soundCluster }, nowMs)).toEqual([]);
  });

  const sixthMs = dayMs / 6;
  const cases: readonly (readonly [story: string, host: Partial<HostFacts>, changes: Partial<AlarmFacts>, expected: object])[] = [
    [
      'a certificate ends soon',
      { certificateEndsAtMs: nowMs + sixthMs - 1 },
      {},
      { code: 'certificate-ends', severity: 'warning', subject: 'a' },
    ],
    ['a certificate has ended', { certificateEndsAtMs: nowMs }, {}, { code: 'certificate-ends', severity: 'critical' }],
    ['a clock is ahead', { clockSkewMs: 2001 }, {}, { code: 'clock-skew', sentence: expect.stringContaining('ahead') }],
    ['a clock is behind', { clockSkewMs: -2001 }, {}, { code: 'clock-skew', sentence: expect.stringContaining('behind') }],
    ['a guard is gone', { guardInstalled: false }, {}, { code: 'guard-missing', severity: 'critical' }],
    ['a revoked host comes', { revokedAtMs: 1, refusedAtMs: 2 }, {}, { code: 'revoked-host-seen', severity: 'critical' }],
    ['the root key lies about', { joinedAtMs: nowMs - 8 * dayMs }, {}, { code: 'root-key-online', severity: 'hint', subject: 'cluster' }],
    [
      'the intermediate ends soon and cannot be renewed',
      {},
      { authority: { ...authority, intermediateNotAfterMs: nowMs + 4 * dayMs, rootKeyPresent: false } },
      { code: 'authority-ends', severity: 'warning', sentence: expect.stringContaining('4 days') },
    ],
    ['the intermediate has ended', {}, { authority: { ...authority, intermediateNotAfterMs: nowMs } }, { severity: 'critical' }],
    [
      'the root ends',
      {},
      { authority: { ...authority, rootNotAfterMs: nowMs + 90 * dayMs } },
      { code: 'authority-ends', severity: 'warning' },
    ],
  ];

  it.each(cases)('are raised when %s', (_story, host, changes, expected) => {
    expect(found(host, changes)).toMatchObject([expected]);
  });

  const quiet: readonly (readonly [story: string, host: Partial<HostFacts>])[] = [
    ['a certificate that has a sixth of its life left', { certificateEndsAtMs: nowMs + sixthMs }],
    ['a clock within the policy', { clockSkewMs: -2000 }],
    ['a guard that nobody could look at', { guardInstalled: null }],
    ['a guard that was gone when the host was last connected', { guardInstalled: false, connected: false }],
    ['anything else of a revoked host that keeps away', { revokedAtMs: 1, certificateEndsAtMs: 1, clockSkewMs: 9e9 }],
  ];

  it.each(quiet)('are not raised over %s', (_story, host) => {
    expect(found(host)).toEqual([]);
  });

  it.each([
    [1439, []],
    [1440, ['warning']],
    [1800, ['warning']],
    [1801, ['critical']],
  ])('tell of %i revoked certificates on one list, of which 1800 fit: %j', (longestRevocationList, severities) => {
    const findings = found({}, { longestRevocationList });
    expect(findings.map(({ severity }) => severity)).toEqual(severities);
    for (const { code, sentence } of findings) {
      expect(code).toBe('revocation-list-full');
      expect(sentence).toContain('1800');
    }
  });

  it('tell a host that is away from one whose renewal fails', () => {
    const ends = { certificateEndsAtMs: nowMs + 60_000 };
    expect(found({ ...ends, connected: false })[0]?.sentence).toContain('start its agent');
    expect(found(ends)[0]?.sentence).toContain('plimsoll host renew a');
  });

  it('keep the time they were raised at, the gravest and then the oldest first', () => {
    const first = alarmsOf(found({ clockSkewMs: 9000 }), [], nowMs);
    const second = alarmsOf(found({ clockSkewMs: 8000, guardInstalled: false, joinedAtMs: 1 }), first, nowMs + 50);
    expect(second.map(({ code, sinceMs }) => [code, sinceMs])).toEqual([
      ['guard-missing', nowMs + 50],
      ['clock-skew', nowMs],
      ['root-key-online', nowMs + 50],
    ]);
    expect(alarmsOf([], second, nowMs + 60)).toEqual([]);
  });
});
