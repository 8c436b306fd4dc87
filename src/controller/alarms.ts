/** What a person should look at: judged from facts, without clock or effects. */
import { revokedCertificatesAlarmShare, revokedCertificatesMax } from '#core/channel/revocation-limits.ts';
import type { HostId } from '#core/model/host.ts';
import type { AuthorityState } from '#core/ports.ts';
import type { Alarm } from '#wire/api.ts';

const dayMs = 24 * 3_600_000;
const rootKeyOnlineMsMax = 7 * dayMs;
const rootEndsSoonMs = 180 * dayMs;
/** Made for 30 days and renewed after 20: with this left, the renewal has failed for days. */
const intermediateEndsSoonMs = 5 * dayMs;
/** Certificates are renewed with a third of their life left; with this share left, that has failed again and again. */
const lifeLeftMin = 1 / 6;

export interface HostFacts {
  readonly hostId: HostId;
  readonly joinedAtMs: number;
  readonly connected: boolean;
  /** Of the newest certificate known; null when none is. */
  readonly certificateEndsAtMs: number | null;
  readonly clockSkewMs: number | null;
  readonly guardInstalled: boolean | null;
  readonly revokedAtMs: number | null;
  /** When it last tried to come in although it is revoked. */
  readonly refusedAtMs: number | null;
}

export interface AlarmFacts {
  readonly hosts: readonly HostFacts[];
  readonly authority: AuthorityState;
  readonly leafLifetimeMs: number;
  readonly clockSkewMsMax: number;
  /** Revoked certificates that one list names, or should name. */
  readonly longestRevocationList: number;
}

export type Finding = Omit<Alarm, 'sinceMs'>;

/** Everything that is wrong now. */
export function findingsOf(facts: AlarmFacts, nowMs: number): readonly Finding[] {
  const hosts = facts.hosts.flatMap((host) => hostFindings(host, facts, nowMs));
  return [...hosts, ...authorityFindings(facts, nowMs), ...listFindings(facts)];
}

/** Findings as alarms: one that stood before keeps its time. The gravest first, then the oldest. */
export function alarmsOf(findings: readonly Finding[], before: readonly Alarm[], nowMs: number): readonly Alarm[] {
  const since = new Map(before.map((alarm) => [keyOf(alarm), alarm.sinceMs]));
  const alarms = findings.map((finding) => ({ ...finding, sinceMs: since.get(keyOf(finding)) ?? nowMs }));
  return alarms.toSorted((a, b) => gravity[a.severity] - gravity[b.severity] || a.sinceMs - b.sinceMs);
}

/** Two alarms of one key are the same one at two times. */
export function keyOf({ code, subject }: Finding): string {
  return `${code} ${subject}`;
}

const gravity = { critical: 0, warning: 1, hint: 2 } as const;

function hostFindings(host: HostFacts, facts: AlarmFacts, nowMs: number): readonly Finding[] {
  if (host.revokedAtMs !== null) return revokedFindings(host);
  const found = [certificateFinding(host, facts, nowMs), skewFinding(host, facts.clockSkewMsMax), guardFinding(host)];
  return found.filter((finding) => finding !== null);
}

function revokedFindings({ hostId, refusedAtMs }: HostFacts): readonly Finding[] {
  if (refusedAtMs === null) return [];
  const sentence = `${hostId} was revoked and still tries to come in: stop its agent, or find out who has its key`;
  return [{ code: 'revoked-host-seen', severity: 'critical', subject: hostId, sentence }];
}

function certificateFinding({ hostId, certificateEndsAtMs, connected }: HostFacts, facts: AlarmFacts, nowMs: number): Finding | null {
  if (certificateEndsAtMs === null) return null;
  const leftMs = certificateEndsAtMs - nowMs;
  const about = { code: 'certificate-ends', subject: hostId } as const;
  if (leftMs <= 0) {
    const sentence = `the certificate of ${hostId} has ended, it can no longer migrate or dial in: let it join again ('plimsoll host token ${hostId}')`;
    return { ...about, severity: 'critical', sentence };
  }
  if (leftMs >= facts.leafLifetimeMs * lifeLeftMin) return null;
  const advice = connected
    ? `renewing it has failed: try 'plimsoll host renew ${hostId}'`
    : 'it is not connected, so it is not renewed: start its agent';
  return { ...about, severity: 'warning', sentence: `the certificate of ${hostId} ends in ${spanOf(leftMs)}; ${advice}` };
}

function skewFinding({ hostId, clockSkewMs }: HostFacts, clockSkewMsMax: number): Finding | null {
  if (clockSkewMs === null || Math.abs(clockSkewMs) <= clockSkewMsMax) return null;
  const way = clockSkewMs > 0 ? 'ahead of' : 'behind';
  const sentence = `the clock of ${hostId} is ${Math.abs(Math.round(clockSkewMs))} ms ${way} the controller's (the policy allows ${clockSkewMsMax} ms), it takes no migrations: synchronise it`;
  return { code: 'clock-skew', severity: 'warning', subject: hostId, sentence };
}

function guardFinding({ hostId, guardInstalled, connected }: HostFacts): Finding | null {
  if (guardInstalled !== false || !connected) return null;
  const sentence = `the guard is not installed on ${hostId}, plain-text migration traffic would not be dropped there: look at its agent's log`;
  return { code: 'guard-missing', severity: 'critical', subject: hostId, sentence };
}

function authorityFindings({ hosts, authority }: AlarmFacts, nowMs: number): readonly Finding[] {
  const found: Finding[] = [];
  const about = { code: 'authority-ends', subject: 'cluster' } as const;
  const rootLeftMs = authority.rootNotAfterMs - nowMs;
  const intermediateLeftMs = authority.intermediateNotAfterMs - nowMs;
  if (intermediateLeftMs < intermediateEndsSoonMs) {
    const advice = authority.rootKeyPresent
      ? "see the controller's log why it was not renewed"
      : 'bring the root key back so that it can be renewed';
    const sentence = `the cluster's intermediate CA ${endOf(intermediateLeftMs)}, no certificate outlives it: ${advice}`;
    found.push({ ...about, severity: intermediateLeftMs <= dayMs ? 'critical' : 'warning', sentence });
  } else if (rootLeftMs < rootEndsSoonMs) {
    found.push({
      ...about,
      severity: 'warning',
      sentence: `the cluster's root CA ${endOf(rootLeftMs)}: plan for a new one, every host has to join again`,
    });
  }
  const firstJoinedAtMs = Math.min(...hosts.map(({ joinedAtMs }) => joinedAtMs));
  if (authority.rootKeyPresent && nowMs - firstJoinedAtMs > rootKeyOnlineMsMax) {
    const sentence =
      "the root CA's key is still on the controller: move root.key to a safe place offline, and bring it back to renew the intermediate";
    found.push({ code: 'root-key-online', severity: 'hint', subject: 'cluster', sentence });
  }
  return found;
}

function listFindings({ longestRevocationList: listed }: AlarmFacts): readonly Finding[] {
  if (listed < revokedCertificatesMax * revokedCertificatesAlarmShare) return [];
  const about = { code: 'revocation-list-full', subject: 'cluster' } as const;
  if (listed > revokedCertificatesMax) {
    const sentence = `${listed} certificates of one CA are revoked and have not ended, IPsec can be told of ${revokedCertificatesMax}: the hosts keep the list before and refuse the newly revoked by name only; let no revoked host join again before this is over`;
    return [{ ...about, severity: 'critical', sentence }];
  }
  const sentence = `${listed} certificates of one CA are revoked and have not ended, ${revokedCertificatesMax} fit into the list that IPsec can be told: it gets shorter as they end, revoke no more than needed until then`;
  return [{ ...about, severity: 'warning', sentence }];
}

function endOf(leftMs: number): string {
  return leftMs <= 0 ? 'has ended' : `ends in ${spanOf(leftMs)}`;
}

/** Such as `3 days`, `5 hours`, `12 minutes`, `20 seconds`. */
function spanOf(spanMs: number): string {
  const units = [
    ['days', dayMs],
    ['hours', 3_600_000],
    ['minutes', 60_000],
  ] as const;
  const [name, unitMs] = units.find((unit) => spanMs >= 2 * unit[1]) ?? ['seconds', 1000];
  return `${Math.floor(spanMs / unitMs)} ${name}`;
}
