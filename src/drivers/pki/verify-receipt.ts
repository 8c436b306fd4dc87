import { verify, type X509Certificate } from 'node:crypto';
import { decodeBase64 } from '#core/access/base64.ts';
import { parseJson, preAuthenticationEncoding, receiptPayloadType } from '#core/access/envelope.ts';
import { PlimsollError } from '#core/model/result.ts';
import { commonNameOf, parseCertificate } from './certificate-facts.ts';
import { receiptSigningPurpose } from './certificates.ts';
import { whyNotIssued, whyNotValid, type Chain } from './chain.ts';
import { pemBlocks, sha256Hex } from './pem.ts';

/** Versions of the statement that carry certificates. */
const statementVersions: readonly unknown[] = [2, 3];
const envelopeCharactersMax = 4 * 1024 * 1024;

export type ReceiptVerdict =
  | {
      readonly valid: true;
      /** As it was signed: JSON of `ReceiptStatement`. */
      readonly statement: Readonly<Record<string, unknown>>;
      readonly signedBy: {
        readonly commonName: string;
        /** SHA-256 of the signer's certificate and of the root (DER), hex. */
        readonly certificateSha256: string;
        readonly rootSha256: string;
        readonly rootName: string;
      };
      readonly endedAtMs: number;
    }
  | { readonly valid: false; readonly why: string };

/**
 * Checks a receipt with nothing but itself and the cluster's root: DSSE signature, the signer's chain to the root, valid when
 * the migration ended, and its purpose. Says nothing of receipts that are missing: `previousSha256` does, for who has them all.
 * Throws `input-invalid` when `rootPem` is no certificate; everything that is wrong with the receipt is in the verdict.
 */
export function verifyReceipt(envelopeText: string, rootPem: string): ReceiptVerdict {
  const root = parseCertificate('The CA file', rootPem);
  if (!root.ca) throw new PlimsollError('input-invalid', "The CA file holds no CA's certificate; give the cluster's ca.crt.");
  const envelope = readEnvelope(envelopeText);
  if (typeof envelope === 'string') return { valid: false, why: envelope };
  const { payload, signature, statement, endedAtMs } = envelope;
  const chain = chainOf(envelope.certificates, root);
  if (chain === null) return { valid: false, why: 'it does not carry the certificate of its signer and the CA of that' };
  const why = whyNotIssued(chain, [receiptSigningPurpose]) ?? whyNotValid(chain, endedAtMs);
  if (why !== null) return { valid: false, why };
  if (!isSigned(chain.leaf, preAuthenticationEncoding(receiptPayloadType, payload), signature)) {
    return { valid: false, why: 'its signature does not fit what it says: it was changed after it was signed' };
  }
  const signedBy = {
    commonName: commonNameOf(chain.leaf),
    certificateSha256: sha256Hex(chain.leaf.raw),
    rootSha256: sha256Hex(root.raw),
    rootName: commonNameOf(root),
  };
  return { valid: true, statement, signedBy, endedAtMs };
}

interface ReadEnvelope {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  readonly certificates: string;
  readonly statement: Readonly<Record<string, unknown>>;
  readonly endedAtMs: number;
}

/** The parts, or what is wrong as half a sentence. */
function readEnvelope(text: string): ReadEnvelope | string {
  const value = text.length > envelopeCharactersMax ? null : parseJson(text);
  if (!isRecord(value)) return 'it is no receipt of plimsoll';
  if (value['payloadType'] !== receiptPayloadType) return 'it is not signed as a receipt';
  const payload = bytesOf(value['payload']);
  const signatures: readonly unknown[] = Array.isArray(value['signatures']) ? value['signatures'] : [];
  const [first] = signatures;
  const signature = isRecord(first) ? bytesOf(first['sig']) : null;
  if (payload === null || signature === null || signatures.length !== 1) return 'it does not have one signature';
  const statement = parseJson(new TextDecoder().decode(payload));
  if (!isRecord(statement)) return 'it states nothing';
  if (!statementVersions.includes(statement['version'])) {
    return `it is of version ${JSON.stringify(statement['version'])?.slice(0, 20)}, which this program cannot verify offline`;
  }
  const endedAtMs = statement['endedAtMs'];
  if (typeof endedAtMs !== 'number') return 'it does not say when the migration ended';
  const certificates = certificatesIn(value['certificates']);
  return { payload, signature, certificates, statement, endedAtMs };
}

/** One PEM text, or a list of them. */
function certificatesIn(value: unknown): string {
  const texts: readonly unknown[] = Array.isArray(value) ? value : [value];
  return texts.filter((text) => typeof text === 'string').join('\n');
}

function chainOf(certificatesPem: string, root: X509Certificate): Chain | null {
  const [leafPem, intermediatePem] = pemBlocks(certificatesPem, 'CERTIFICATE');
  if (leafPem === undefined || intermediatePem === undefined) return null;
  try {
    return { leaf: parseCertificate('', leafPem), intermediate: parseCertificate('', intermediatePem), root };
  } catch (error) {
    if (error instanceof PlimsollError) return null;
    throw error;
  }
}

function isSigned(signer: X509Certificate, data: Uint8Array, signature: Uint8Array): boolean {
  return signer.publicKey.asymmetricKeyType === 'ed25519' && verify(null, data, signer.publicKey, signature);
}

const bytesOf = (value: unknown): Uint8Array | null => (typeof value === 'string' ? decodeBase64(value) : null);

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
