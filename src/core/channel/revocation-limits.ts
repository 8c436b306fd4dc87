/** How many revoked certificates the IPsec daemon can be told of. */

/**
 * The largest revocation list (DER) that charon takes. It comes over VICI as one value, whose length has 16 bits (strongSwan 5.9.8,
 * `src/libcharon/plugins/vici/README.md`); swanctl sends its lists in the same way. A list of another size could be fetched from a
 * file by the plugin `curl`, but charon asks for it only where no list that it was given earlier calls the certificate good: a host that
 * was revoked since would be let in.
 */
export const revocationListBytesMax = 65_535;

/**
 * Entries that always fit into one list: with our serial numbers of 16 bytes an entry has 35 bytes (RFC 5280 section 5.1), and what is
 * around the entries has less than 700.
 */
export const revokedCertificatesMax = 1800;

/** From this share of `revokedCertificatesMax` on somebody should look. */
export const revokedCertificatesAlarmShare = 0.8;

/** The number of entries in the longest list: each CA has its own, of the certificates that it has issued. */
export function longestRevocationList(revoked: readonly { readonly authorityId: string }[]): number {
  const counts = new Map<string, number>();
  for (const { authorityId } of revoked) counts.set(authorityId, (counts.get(authorityId) ?? 0) + 1);
  return Math.max(0, ...counts.values());
}
