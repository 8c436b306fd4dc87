/** Who belongs to the cluster: a revoked host is refused by name until it joins again, its certificates for ever. */
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { HostRecord, Store } from '#core/store.ts';

export class Membership {
  readonly #hosts = new Map<HostId, HostRecord>();
  readonly #revokedSha256s = new Set<string>();
  /** Revoked hosts that tried to come in, and when they did last. */
  readonly #refused = new Map<HostId, number>();

  static async load(store: Pick<Store, 'hosts' | 'certificates'>): Promise<Membership> {
    const membership = new Membership();
    for (const record of await store.hosts()) membership.#hosts.set(record.hostId, record);
    for (const { sha256 } of await store.certificates({ revoked: true })) membership.#revokedSha256s.add(sha256);
    return membership;
  }

  /** As it joined. */
  record(hostId: HostId): HostRecord | undefined {
    return this.#hosts.get(hostId);
  }

  get records(): readonly HostRecord[] {
    return [...this.#hosts.values()];
  }

  /** `certificateSha256` as lower-case hex; null when it is not known yet. */
  isRevoked(hostId: HostId, certificateSha256: string | null): boolean {
    return this.revokedAtMs(hostId) !== null || (certificateSha256 !== null && this.#revokedSha256s.has(certificateSha256));
  }

  /** Whether this host may come in now; one that may not is remembered as seen. */
  admits(hostId: HostId, certificateSha256: string | null, nowMs: number): boolean {
    if (!this.isRevoked(hostId, certificateSha256)) return true;
    this.#refused.set(hostId, nowMs);
    return false;
  }

  /** Throws `host-revoked`. */
  mustBeMember(hostId: HostId): void {
    if (this.revokedAtMs(hostId) === null) return;
    throw new PlimsollError(
      'host-revoked',
      `host ${hostId} was revoked: to let it in again make a new token with 'plimsoll host token ${hostId}'`,
    );
  }

  get revokedHostIds(): readonly HostId[] {
    return this.records.flatMap(({ hostId, revokedAtMs }) => (revokedAtMs === null ? [] : [hostId]));
  }

  revokedAtMs(hostId: HostId): number | null {
    return this.#hosts.get(hostId)?.revokedAtMs ?? null;
  }

  refusedAtMs(hostId: HostId): number | null {
    return this.#refused.get(hostId) ?? null;
  }

  /** The record as it is from now on. Throws `host-unknown`. */
  revoke(hostId: HostId, revokedAtMs: number): HostRecord {
    const record = this.#hosts.get(hostId);
    if (!record) throw new PlimsollError('host-unknown', `there is no host ${hostId}: see 'plimsoll host list'`);
    const revoked = { ...record, revokedAtMs };
    this.#hosts.set(hostId, revoked);
    return revoked;
  }

  revokeCertificate(sha256: string): void {
    this.#revokedSha256s.add(sha256);
  }

  /** It has joined, or joined again, with a new token. */
  adopt(record: HostRecord): void {
    this.#hosts.set(record.hostId, record);
    this.#refused.delete(record.hostId);
  }
}
