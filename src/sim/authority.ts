import type { Authority, AuthorityState, CertificateOrder, IssuedCertificate, RevokedCertificate, TrustUpdate } from '#core/ports.ts';
import { derOf, pemOf, readRequest, type SimCertificate } from './certificates.ts';
import type { VirtualTime } from './virtual-time.ts';

const dayMs = 86_400_000;
const rootLifetimeMs = 3650 * dayMs;
const intermediateLifetimeMs = 30 * dayMs;
const signMs = 2;
/** For hosts whose clocks are behind. */
const backdatedMs = 60_000;

/** The cluster's CA with its files: they outlive the controllers that use them. Its root key is never taken away. */
export class SimAuthority implements Authority {
  readonly #time: VirtualTime;
  readonly #sha256: (data: Uint8Array) => string;
  readonly #madeAtMs: number;
  #intermediateAtMs: number;
  #generation = 1;
  #serial = 0;
  #listNumber = 0;

  constructor(time: VirtualTime, sha256: (data: Uint8Array) => string) {
    this.#time = time;
    this.#sha256 = sha256;
    this.#madeAtMs = time.nowMs;
    this.#intermediateAtMs = time.nowMs;
  }

  async issueHost(order: CertificateOrder): Promise<IssuedCertificate> {
    const { key } = readRequest(order.requestPem);
    this.#serial += 1;
    const certificate: SimCertificate = {
      kind: 'certificate',
      hostId: order.hostId,
      serialNumber: this.#serial.toString(16).padStart(2, '0'),
      authorityId: this.#authorityId,
      key,
      notBeforeMs: order.nowMs - backdatedMs,
      notAfterMs: order.nowMs + order.lifetimeMs,
    };
    await this.#time.sleep(signMs);
    const { serialNumber, authorityId, notBeforeMs, notAfterMs } = certificate;
    const sha256 = this.#sha256(derOf(certificate));
    return {
      certificatePem: pemOf(certificate),
      intermediatesPem: this.#authorityId,
      serialNumber,
      sha256,
      authorityId,
      notBeforeMs,
      notAfterMs,
    };
  }

  /** One list of each intermediate that there has been: certificates of the one before the present one are still in use. */
  async trust(revoked: readonly RevokedCertificate[], _nowMs: number): Promise<TrustUpdate> {
    this.#listNumber += 1;
    const number = this.#listNumber;
    const authorityIds = Array.from({ length: this.#generation }, (_, index) => authorityIdOf(index + 1));
    const crlPems = authorityIds.map((authorityId) => {
      const serialNumbers = revoked.filter((one) => one.authorityId === authorityId).map(({ serialNumber }) => serialNumber);
      return pemOf({ kind: 'list', authorityId, number, serialNumbers });
    });
    await this.#time.sleep(signMs);
    return { intermediatesPem: authorityIds.join('\n'), crlPems };
  }

  async renewIntermediate(nowMs: number): Promise<boolean> {
    if (nowMs - this.#intermediateAtMs < (intermediateLifetimeMs * 2) / 3) return false;
    this.#intermediateAtMs = nowMs;
    this.#generation += 1;
    await this.#time.sleep(signMs);
    return true;
  }

  state(): AuthorityState {
    return {
      rootSha256: this.#sha256(new TextEncoder().encode('root')),
      rootNotAfterMs: this.#madeAtMs + rootLifetimeMs,
      intermediateNotAfterMs: this.#intermediateAtMs + intermediateLifetimeMs,
      rootKeyPresent: true,
    };
  }

  get #authorityId(): string {
    return authorityIdOf(this.#generation);
  }
}

function authorityIdOf(generation: number): string {
  return `intermediate-${generation}`;
}
