/** Records of earlier schema versions in the form of the step that ended them. Used by schema steps only, so never changed. */

type Json = Readonly<Record<string, unknown>>;

/**
 * A migration of before there were profiles: it went through ESP in tunnel mode between certificates, because there was nothing
 * else, and only with a guard in place; what was not counted then is 0 or null. Null for a text that is no such record.
 */
export function securedMigrationOf(record: string): string | null {
  const old = jsonObject(record);
  if (old === null || !isObject(old['request']) || 'channelBefore' in old) return null;
  const { saBefore, saAfter, ...kept } = old;
  return JSON.stringify({
    ...kept,
    request: { ...old['request'], approvedBy: null, channelKind: 'ipsec', grantId: null },
    proof: isObject(old['proof']) ? proofOf(old['proof']) : null,
    tuning: null,
    channelBefore: readingOf(saBefore),
    channelAfter: readingOf(saAfter),
  });
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

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null;
}
