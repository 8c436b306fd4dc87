import { refusalOf } from '#core/model/result.ts';
import type { AuditEntry } from '#core/store.ts';
import type { ControllerParts } from './parts.ts';

/** Who did what with the cluster's security, durably and in the log. */
export class Audit {
  readonly #parts: ControllerParts;

  constructor(parts: ControllerParts) {
    this.#parts = parts;
  }

  /** Rejects when it cannot be made durable: what may wait for its record waits for this. */
  async write(who: string, verb: string, subject: string, detail = ''): Promise<void> {
    const { store, clock, log } = this.#parts;
    log.info('audit', { who, verb, subject, detail });
    await store.appendAudit({ atMs: clock.nowMs(), who, verb, subject, detail });
  }

  /** For what must not wait or has happened already: a record that cannot be kept is in the log as an error. */
  async note(who: string, verb: string, subject: string, detail = ''): Promise<void> {
    await this.write(who, verb, subject, detail).catch((error: unknown) =>
      this.#parts.log.error('the audit could not be written', { who, verb, subject, detail, ...refusalOf(error) }),
    );
  }

  list(limit: number): Promise<readonly AuditEntry[]> {
    return this.#parts.store.audit(limit);
  }
}
