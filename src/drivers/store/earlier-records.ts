/** Records of earlier schema versions in the form of the step that ended them. Used by schema steps only, so never changed. */

type Json = Readonly<Record<string, unknown>>;

/** A record, and what became columns beside it with it. */
export interface RewrittenMigration {
  readonly record: string;
  readonly vm_id?: string | null;
  readonly from_host_id?: string | null;
  readonly to_host_id?: string | null;
  readonly outcome?: string | null;
}

/**
 * A migration of before there were profiles: it went through ESP in tunnel mode between certificates, because there was nothing
 * else, and only with a guard in place; what was not counted then is 0 or null. Null for a text that is no such record.
 */
export function securedMigrationOf(record: string): RewrittenMigration | null {
  const old = jsonObject(record);
  if (old === null || !isObject(old['request']) || 'channelBefore' in old) return null;
  const { saBefore, saAfter, ...kept } = old;
  const rewritten = {
    ...kept,
    request: { ...old['request'], approvedBy: null, channelKind: 'ipsec', grantId: null },
    proof: isObject(old['proof']) ? proofOf(old['proof']) : null,
    tuning: null,
    channelBefore: readingOf(saBefore),
    channelAfter: readingOf(saAfter),
  };
  return { record: JSON.stringify(rewritten) };
}

/**
 * A migration of before there were methods to choose from: nothing was wished, planned, decided or measured, no VM ran in post-copy and
 * none was slowed down. With it what it is found by since then. Null for a text that is no such record.
 */
export function foundMigrationOf(record: string): RewrittenMigration | null {
  const old = jsonObject(record);
  if (old === null || !isObject(old['request']) || 'decisions' in old) return null;
  // What was left to send at best showed a stall then.
  const { leastRemaining: _least, ...kept } = old;
  const { request, progress, resolution } = old;
  const rewritten = {
    ...kept,
    lastMoved: null,
    request: { ...request, wish: { method: 'auto' } },
    progress: isObject(progress) ? { ...progress, stage: 'copying', throttlePercent: null } : null,
    plan: null,
    decisions: [],
    measures: null,
    resolution: isObject(resolution) ? { ...resolution, workingSinceMs: null, haltedSinceMs: null, relocked: false, relockTries: 0 } : null,
  };
  return {
    record: JSON.stringify(rewritten),
    vm_id: textOrNull(request['vmId']),
    from_host_id: textOrNull(request['fromHostId']),
    to_host_id: textOrNull(request['toHostId']),
    outcome: outcomeOf(old),
  };
}

/** As the ledger had it then; null while it was under way. */
function outcomeOf({ phase, failure, endedAtMs }: Json): string | null {
  if (endedAtMs === null) return null;
  if (phase === 'done') return 'moved';
  const code = isObject(failure) ? failure['code'] : null;
  return code === 'two-copies' || code === 'zero-copies' || code === 'truth-unknown' ? 'unclear' : 'stayed';
}

function proofOf(old: Json): Json {
  return {
    ...old,
    profile: 'esp-tunnel',
    authentication: 'certificate',
    postQuantumKey: false,
    sourceCertificateSha256: null,
    destinationCertificateSha256: null,
    integrity: null,
    extendedSequenceNumbers: false,
  };
}

function readingOf(sa: unknown): Json | null {
  if (!isObject(sa)) return null;
  return {
    sa: { ...sa, protocol: 'esp', extendedSequenceNumbers: false, outer: null, replaced: [] },
    guard: { installed: true, droppedInPackets: 0, droppedOutPackets: 0, droppedProbePackets: 0, exemptPeers: [] },
    errors: null,
  };
}

function jsonObject(text: string): Json | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null;
}
