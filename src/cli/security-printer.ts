import type { AuditResource, CertificateResource, GrantResource, RenewalResource, RevocationResource } from '#wire/security-api.ts';
import { formatAge, formatDuration, formatTime, printable, unknown } from './format.ts';
import { type Column, fields, table } from './table.ts';

const certificatesShown = 10;

/** A host's certificates, those that end last first. */
export function printCertificates(certificates: readonly CertificateResource[], nowMs: number): string {
  const columns: readonly Column<CertificateResource>[] = [
    { title: 'CERTIFICATE', value: ({ sha256 }) => sha256.slice(0, 16) },
    { title: 'SERIAL', value: ({ serialNumber }) => serialNumber },
    { title: 'FROM', value: ({ notBeforeMs }) => formatTime(notBeforeMs) },
    { title: 'UNTIL', value: ({ notAfterMs }) => formatTime(notAfterMs) },
    { title: 'STATE', value: (certificate) => stateOf(certificate, nowMs) },
  ];
  return table(columns, certificates.slice(0, certificatesShown), 'No certificates are on record: the host joined before they were kept.');
}

/** What a renewal has done, host by host. */
export function printRenewals(renewals: readonly RenewalResource[], nowMs: number): string {
  const columns: readonly Column<RenewalResource>[] = [
    { title: 'HOST', value: ({ hostId }) => hostId },
    { title: 'CERTIFICATE', value: ({ certificate }) => certificate?.sha256.slice(0, 16) ?? unknown },
    { title: 'ENDS IN', value: ({ certificate }) => (certificate === null ? unknown : formatDuration(certificate.notAfterMs - nowMs)) },
    { title: 'RESULT', value: ({ refusal }) => (refusal === null ? 'renewed' : `NOT RENEWED: ${refusal.code}: ${refusal.message}`) },
  ];
  return table(columns, renewals, 'No host is connected: nothing was renewed.');
}

/** What a revocation has done. */
export function printRevocation(revocation: RevocationResource): string {
  const { hostId, told, notTold } = revocation;
  return [
    fields([
      ['revoked', hostId],
      ['certificates', String(revocation.certificates)],
      ['agents told', told.length === 0 ? 'none' : told.join(', ')],
      ['took', formatDuration(revocation.tookMs)],
    ]),
    ...notTold.map(({ hostId: deaf, refusal }) => `${deaf} was NOT told (${refusal.code}): it is when it dials in`),
    '',
    `It can join again with a new token: plimsoll host token ${printable(hostId)}`,
  ].join('\n');
}

/** All given grants, one line each. */
export function printGrants(grants: readonly GrantResource[], nowMs: number): string {
  const columns: readonly Column<GrantResource>[] = [
    { title: 'GRANT', value: ({ grantId }) => grantId },
    { title: 'STATE', value: ({ state }) => state },
    { title: 'FROM', value: ({ fromHostId }) => fromHostId },
    { title: 'TO', value: ({ toHostId }) => toHostId },
    { title: 'REQUESTED BY', value: ({ requestedBy }) => requestedBy },
    { title: 'APPROVED BY', value: ({ approvedBy }) => approvedBy ?? unknown },
    { title: 'EXPIRES', value: (grant) => expiryOf(grant, nowMs) },
    { title: 'REASON', value: ({ reason }) => reason },
  ];
  return table(columns, grants, 'No grants: nobody has asked to migrate without IPsec.');
}

/** One grant, and what comes next. */
export function printGrant(grant: GrantResource, nowMs: number): string {
  const next = {
    requested: `Another person approves it with: plimsoll grant approve ${grant.grantId}`,
    approved: `Use it with: plimsoll migrate VM ${grant.toHostId} --channel none --grant ${grant.grantId}`,
    expired: 'It has expired.',
    withdrawn: 'It was withdrawn.',
  } as const;
  return [
    fields([
      ['grant', grant.grantId],
      ['state', grant.state],
      ['allows', `migrations without IPsec, in plain text too, from ${grant.fromHostId} to ${grant.toHostId}`],
      ['reason', grant.reason],
      ['requested', `by ${grant.requestedBy}, ${formatTime(grant.requestedAtMs)}`],
      [
        'approved',
        grant.approvedBy === null
          ? 'not yet'
          : `by ${grant.approvedBy}${grant.approvedAtMs === null ? '' : `, ${formatTime(grant.approvedAtMs)}`}`,
      ],
      ['expires', expiryOf(grant, nowMs)],
    ]),
    '',
    next[grant.state],
  ].join('\n');
}

/** Who did what, newest first. */
export function printAudit(entries: readonly AuditResource[]): string {
  const columns: readonly Column<AuditResource>[] = [
    { title: 'TIME', value: ({ atMs }) => formatTime(atMs) },
    { title: 'WHO', value: ({ who }) => who },
    { title: 'DID', value: ({ verb }) => verb },
    { title: 'TO', value: ({ subject }) => subject },
    { title: 'DETAIL', value: ({ detail }) => detail },
  ];
  return table(columns, entries, 'The audit is empty.');
}

function stateOf({ revokedAtMs, notAfterMs }: CertificateResource, nowMs: number): string {
  if (revokedAtMs !== null) return `revoked ${formatAge(revokedAtMs, nowMs)}`;
  return notAfterMs <= nowMs ? 'ended' : `valid for ${formatDuration(notAfterMs - nowMs)}`;
}

function expiryOf({ expiresAtMs, state }: GrantResource, nowMs: number): string {
  return state === 'expired' || expiresAtMs <= nowMs ? formatTime(expiresAtMs) : `in ${formatDuration(expiresAtMs - nowMs)}`;
}
