import { sign } from 'node:crypto';
import { revocationListBytesMax, revokedCertificatesMax } from '#core/channel/revocation-limits.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { CertifiedKey } from './certificates.ts';
import { der, derInteger, derTag, derTime, readDerInteger } from './der.ts';
import { pemBlocks } from './pem.ts';
import { x509 } from './x509.ts';

/** What the reader takes; an entry has three to eight. */
const asn1NodesMax = 200_000;
const crlNumberOid = '2.5.29.20';
/** ecdsa-with-SHA384 (RFC 5758 section 3.2): an OID and no parameters. */
const signatureAlgorithm = der(derTag.sequence, Buffer.from('06082a8648ce3d040303', 'hex'));
const versionTwo = derInteger('1');
/** `[0]` of TBSCertList, RFC 5280 section 5.1. */
const extensionsTag = 0xa0;

export interface RevocationListOrder {
  readonly entries: readonly { readonly serialNumber: string; readonly revokedAtMs: number }[];
  /** Grows with each list of one CA (RFC 5280 section 5.2.3). */
  readonly number: number;
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number;
}

/**
 * A signed list, PEM. Throws `input-invalid` when it would be too long for the IPsec daemons. Written here and not by the library, which takes
 * nine seconds for 4,000 entries, gives each an empty list of extensions, and uses a PEM label that OpenSSL does not read.
 */
export async function createRevocationList(issuer: CertifiedKey, order: RevocationListOrder): Promise<string> {
  const entries = new Map(order.entries.map((entry) => [entry.serialNumber, entry]));
  if (entries.size > revokedCertificatesMax) throw tooLong(entries.size);
  const revoked = [...entries.values()].map((entry) => der(derTag.sequence, derInteger(entry.serialNumber), derTime(entry.revokedAtMs)));
  const authority = await x509.AuthorityKeyIdentifierExtension.create(issuer.certificate.publicKey);
  const number = new x509.Extension(crlNumberOid, false, derInteger(order.number.toString(16)));
  const extensions = [authority, number].map((extension) => new Uint8Array(extension.rawData));
  const signedPart = der(
    derTag.sequence,
    versionTwo,
    signatureAlgorithm,
    new Uint8Array(issuer.certificate.subjectName.toArrayBuffer()),
    derTime(order.thisUpdateMs),
    derTime(order.nextUpdateMs),
    // Left out when empty (RFC 5280 section 5.1.2.6).
    ...(revoked.length === 0 ? [] : [der(derTag.sequence, ...revoked)]),
    der(extensionsTag, der(derTag.sequence, ...extensions)),
  );
  const signature = sign('sha384', signedPart, issuer.keyObject);
  const list = der(derTag.sequence, signedPart, signatureAlgorithm, der(derTag.bitString, Buffer.from([0]), signature));
  if (list.length > revocationListBytesMax) throw tooLong(entries.size);
  return `${x509.PemConverter.encode(list, 'X509 CRL')}\n`;
}

function tooLong(entries: number): PlimsollError {
  return new PlimsollError(
    'input-invalid',
    `${entries} certificates of one CA are revoked and have not ended, and charon takes a list of ${revokedCertificatesMax} (${revocationListBytesMax} bytes): the hosts keep the list before, and it is made again when enough of them have ended.`,
  );
}

/** A list as a verifier sees it; nothing is known of its signature yet. */
export interface RevocationList {
  readonly pem: string;
  /** Subject key identifier of the CA that claims to have signed it, hex. */
  readonly authorityId: string;
  readonly number: bigint;
  readonly nextUpdateMs: number;
  /** Lower-case hex. */
  readonly serialNumbers: ReadonlySet<string>;
  isSignedBy(certificatePem: string): Promise<boolean>;
}

/** All lists of a PEM text. Throws `input-invalid` when one cannot be read. */
export function readRevocationLists(text: string): readonly RevocationList[] {
  return pemBlocks(text, 'X509 CRL').map(readOne);
}

function readOne(pem: string): RevocationList {
  try {
    const list = new x509.X509Crl(x509.PemConverter.decodeFirst(pem), { berOptions: { maxNodes: asn1NodesMax } });
    const number = list.getExtension(crlNumberOid);
    const nextUpdate = list.nextUpdate;
    const authorityId = list.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId;
    if (number === null || nextUpdate === undefined || authorityId === undefined) throw new TypeError('number, end or issuer missing');
    return {
      pem,
      authorityId,
      number: readDerInteger(new Uint8Array(number.value)),
      nextUpdateMs: nextUpdate.getTime(),
      serialNumbers: new Set(list.entries.map((entry) => entry.serialNumber.toLowerCase())),
      isSignedBy: async (certificatePem) => {
        const issuer = new x509.X509Certificate(certificatePem);
        return list.issuer === issuer.subject && (await list.verify({ publicKey: issuer.publicKey }));
      },
    };
  } catch (error) {
    throw new PlimsollError('input-invalid', 'A revocation list cannot be read; fetch it from the controller again.', { cause: error });
  }
}

/** Whether one of these lists names the certificate. Read once, asked often. */
export function revocationCheck(
  crlPems: readonly string[],
): (certificate: { readonly serialNumber: string; readonly authorityId: string }) => boolean {
  const lists = crlPems.flatMap(readRevocationLists);
  return ({ serialNumber, authorityId }) =>
    lists.some((list) => list.authorityId === authorityId && list.serialNumbers.has(serialNumber.toLowerCase()));
}
