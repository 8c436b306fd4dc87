/** An authority of the controller's own tests: its certificates are words. */
import type { Authority, AuthorityState, CertificateOrder, IssuedCertificate, RevokedCertificate, TrustUpdate } from '#core/ports.ts';

const dayMs = 24 * 3_600_000;

export class FakeAuthority implements Authority {
  readonly orders: CertificateOrder[] = [];
  /** What each list that was made names. */
  readonly lists: (readonly string[])[] = [];
  /** What fails with these words. */
  fault: string | null = null;
  intermediates = 1;
  intermediateDueAtMs = Number.POSITIVE_INFINITY;
  rootKeyPresent = false;

  async issueHost(order: CertificateOrder): Promise<IssuedCertificate> {
    this.#failIf();
    this.orders.push(order);
    const serialNumber = String(this.orders.length);
    return {
      certificatePem: `certificate ${serialNumber} of ${order.hostId}`,
      intermediatesPem: this.#intermediate,
      serialNumber,
      sha256: `c${serialNumber}`.padStart(64, '0'),
      authorityId: this.#intermediate,
      notBeforeMs: order.nowMs - 300_000,
      notAfterMs: order.nowMs + order.lifetimeMs,
    };
  }

  async trust(revoked: readonly RevokedCertificate[]): Promise<TrustUpdate> {
    this.#failIf();
    this.lists.push(revoked.map(({ serialNumber }) => serialNumber));
    return { intermediatesPem: this.#intermediate, crlPems: [`list ${this.lists.length}: ${this.lists.at(-1)?.join(' ')}`] };
  }

  async renewIntermediate(nowMs: number): Promise<boolean> {
    if (nowMs < this.intermediateDueAtMs) return false;
    this.intermediates += 1;
    this.intermediateDueAtMs = Number.POSITIVE_INFINITY;
    return true;
  }

  state(): AuthorityState {
    const nowMs = Date.now();
    return {
      rootSha256: 'ab',
      rootNotAfterMs: nowMs + 3650 * dayMs,
      intermediateNotAfterMs: nowMs + 20 * dayMs,
      rootKeyPresent: this.rootKeyPresent,
    };
  }

  get #intermediate(): string {
    return `intermediate ${this.intermediates}`;
  }

  #failIf(): void {
    if (this.fault !== null) throw new Error(this.fault);
  }
}
