import { decodeBase64, encodeBase64 } from '#core/access/base64.ts';
import { type Envelope, parseEnvelope, parseJson, preAuthenticationEncoding, receiptPayloadType } from '#core/access/envelope.ts';
import { receiptOf } from '#core/migration/receipt.ts';
import type { Migration } from '#core/model/migration.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { ReceiptResource } from '#wire/api.ts';
import type { ControllerParts } from './parts.ts';

/** With it, whoever has the cluster's root can verify the receipt without asking anybody. */
interface CertifiedEnvelope extends Envelope {
  /** The signer's certificate and the CA that signed it, PEM. */
  readonly certificates: string;
}

/** Signs and keeps the receipts; each names the hash of the one before it. */
export class Receipts {
  readonly #parts: ControllerParts;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(parts: ControllerParts) {
    this.#parts = parts;
  }

  /** Writes the receipt of a migration that has ended; once, also when asked again after a crash. */
  write(migration: Migration): Promise<void> {
    const written = this.#tail.then(() => this.#write(migration));
    this.#tail = written.catch(() => null);
    return written;
  }

  /** `valid` only for the very bytes that were signed as the receipt of this migration. Throws `receipt-unknown`. */
  async read(migrationId: string): Promise<ReceiptResource> {
    const stored = await this.#parts.store.receipt(migrationId);
    if (!stored)
      throw new PlimsollError('receipt-unknown', `there is no receipt of migration ${migrationId}: see 'plimsoll migration list'`);
    const envelope = parseEnvelope(stored.envelope);
    const payload = decodeBase64(envelope?.payload ?? '') ?? new Uint8Array();
    const statement = parseJson(new TextDecoder().decode(payload));
    const valid = envelope !== null && this.#isSigned(envelope, payload) && isAbout(statement, migrationId);
    return {
      migrationId,
      valid,
      keyId: envelope?.signatures[0]?.keyid ?? '',
      statement,
      envelope: parseJson(stored.envelope) ?? stored.envelope,
    };
  }

  #isSigned(envelope: Envelope, payload: Uint8Array): boolean {
    const signature = decodeBase64(envelope.signatures[0]?.sig ?? '');
    // The same key signs tickets: the type keeps one from passing for the other.
    if (signature === null || envelope.payloadType !== receiptPayloadType) return false;
    return this.#parts.verifier.verify(preAuthenticationEncoding(receiptPayloadType, payload), signature);
  }

  async #write(migration: Migration): Promise<void> {
    const { store, signer, clock, sha256 } = this.#parts;
    const { migrationId } = migration.request;
    if (await store.receipt(migrationId)) return;
    const last = await store.lastReceipt();
    const sequence = (last?.sequence ?? 0) + 1;
    const statement = receiptOf(migration, sequence, last ? sha256(last.envelope) : null);
    const payload = new TextEncoder().encode(JSON.stringify(statement));
    const envelope: CertifiedEnvelope = {
      payloadType: receiptPayloadType,
      payload: encodeBase64(payload),
      signatures: [{ keyid: signer.keyId, sig: encodeBase64(signer.sign(preAuthenticationEncoding(receiptPayloadType, payload))) }],
      certificates: signer.certificatesPem,
    };
    await store.saveReceipt({ migrationId, sequence, createdAtMs: clock.nowMs(), envelope: JSON.stringify(envelope) });
  }
}

/** A receipt that was put in another one's place is signed too. */
function isAbout(statement: unknown, migrationId: string): boolean {
  return typeof statement === 'object' && statement !== null && 'migrationId' in statement && statement.migrationId === migrationId;
}
