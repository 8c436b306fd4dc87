import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { HostIdentity, IdentityKeeper, Random, TrustUpdate } from '#core/ports.ts';
import { pemOf, readCertificate, readRevocationList } from './certificates.ts';
import type { VirtualTime } from './virtual-time.ts';

const syncMs = 2;

/** A host's identity folder: outlives the agents that use it. Durable when a write begins, as in SimAgentMemory. */
export class SimIdentity implements IdentityKeeper {
  readonly #time: VirtualTime;
  readonly #hostId: HostId;
  readonly #random: Random;
  #identity: HostIdentity | null = null;
  #nextKey: string | null = null;

  constructor(time: VirtualTime, hostId: HostId, random: Random) {
    this.#time = time;
    this.#hostId = hostId;
    this.#random = random;
  }

  /** Before the host has joined there is none. */
  current(): HostIdentity {
    if (this.#identity === null) throw new PlimsollError('config-invalid', `${this.#hostId} has not joined the cluster`);
    return this.#identity;
  }

  async request(): Promise<string> {
    this.#nextKey = this.#random.id();
    await this.#time.sleep(syncMs);
    return pemOf({ kind: 'request', key: this.#nextKey });
  }

  async install(certificatePem: string, intermediatesPem: string): Promise<HostIdentity> {
    const { hostId, key, notAfterMs } = readCertificate(certificatePem);
    if (hostId !== this.#hostId || key !== this.#nextKey)
      throw new PlimsollError('input-invalid', `the certificate is not for the newest key of ${this.#hostId}`);
    const crlPems = this.#identity?.crlPems ?? [];
    this.#identity = { hostId, certificatePem, privateKeyPem: key, caPem: 'root', intermediatesPem, crlPems, notAfterMs };
    await this.#time.sleep(syncMs);
    return this.#identity;
  }

  async updateTrust({ intermediatesPem, crlPems }: TrustUpdate): Promise<HostIdentity> {
    const identity = this.current();
    const older = crlPems.map(readRevocationList).some((list) => list.number < this.#newestNumber(list.authorityId));
    if (older) throw new PlimsollError('input-invalid', 'a revocation list is older than the present one');
    this.#identity = { ...identity, intermediatesPem, crlPems };
    await this.#time.sleep(syncMs);
    return this.#identity;
  }

  #newestNumber(authorityId: string): number {
    const lists = (this.#identity?.crlPems ?? []).map(readRevocationList);
    return lists.find((list) => list.authorityId === authorityId)?.number ?? 0;
  }
}
