/** When the certificate of each host is due: at two thirds of its life, spread a little so that not all come at once. */
import type { HostId } from '#core/model/host.ts';
import type { CertificateRecord } from '#core/store.ts';
import type { ControllerParts } from './parts.ts';

const dueAtShare = 2 / 3;
/** Up to this share of its life earlier, by chance. */
const spreadShare = 1 / 20;
/** After a renewal that failed, the next one is tried this share of a life later. */
const retryShare = 1 / 50;
const retryMsMin = 1000;

interface Due {
  readonly sha256: string;
  readonly notAfterMs: number;
  readonly dueAtMs: number;
}

export class Renewals {
  readonly #parts: Pick<ControllerParts, 'clock' | 'random'>;
  readonly #lifetimeMs: number;
  readonly #due = new Map<HostId, Due>();
  readonly #notBeforeMs = new Map<HostId, number>();

  constructor(parts: Pick<ControllerParts, 'clock' | 'random'>, lifetimeMs: number) {
    this.#parts = parts;
    this.#lifetimeMs = lifetimeMs;
  }

  note({ hostId, sha256, notAfterMs }: Pick<CertificateRecord, 'hostId' | 'sha256' | 'notAfterMs'>): void {
    // Counted from its end: the beginning is set back for hosts whose clocks are behind.
    const leftMs = this.#lifetimeMs * (1 - dueAtShare + this.#parts.random.fraction() * spreadShare);
    this.#due.set(hostId, { sha256, notAfterMs, dueAtMs: notAfterMs - leftMs });
  }

  noteIfFirst(certificate: CertificateRecord): void {
    if (!this.#due.has(certificate.hostId)) this.note(certificate);
  }

  newestOf(hostId: HostId): { readonly sha256: string; readonly notAfterMs: number } | null {
    return this.#due.get(hostId) ?? null;
  }

  /**
   * Whether a host that uses this certificate now needs another one: its time has come, it does not use the newest one that was
   * issued to it, or it would live longer than the policy allows by now.
   */
  isDue(hostId: HostId, inUse: { readonly sha256: string; readonly notAfterMs: number } | null): boolean {
    const nowMs = this.#parts.clock.nowMs();
    if (inUse === null || (this.#notBeforeMs.get(hostId) ?? 0) > nowMs) return false;
    const newest = this.#due.get(hostId);
    if (newest?.sha256 !== inUse.sha256) return true;
    return newest.dueAtMs <= nowMs || inUse.notAfterMs - nowMs > this.#lifetimeMs * 1.5;
  }

  tried(hostId: HostId): void {
    this.#notBeforeMs.set(hostId, this.#parts.clock.nowMs() + Math.max(retryMsMin, this.#lifetimeMs * retryShare));
  }

  /** It has dialled in: an attempt that failed for want of a line is made again at once. */
  met(hostId: HostId): void {
    this.#notBeforeMs.delete(hostId);
  }

  drop(hostId: HostId): void {
    this.#due.delete(hostId);
    this.#notBeforeMs.delete(hostId);
  }
}
