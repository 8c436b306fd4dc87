import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { HostIdentity, IdentityKeeper, Random, TrustUpdate } from '#core/ports.ts';
import { pemOf, readCertificate, readRevocationList } from './certificates.ts';
import { noSpace, type NoteUndo, type SimDisk } from './disk.ts';

const syncMs = 2;

/** A host's identity folder: outlives the agents that use it. Durable as its disk is. */
export class SimIdentity implements IdentityKeeper {
  readonly #disk: SimDisk;
  readonly #hostId: HostId;
  readonly #random: Random;
  #identity: HostIdentity | null = null;
  #nextKey: string | null = null;

  constructor(disk: SimDisk, hostId: HostId, random: Random) {
    this.#disk = disk;
    this.#hostId = hostId;
    this.#random = random;
  }

  /** Before the host has joined there is none. */
  current(): HostIdentity {
    if (this.#identity === null) throw new PlimsollError('config-invalid', `${this.#hostId} has not joined the cluster`);
    return this.#identity;
  }

  request(): Promise<string> {
    return this.#write((undo) => {
      const before = this.#nextKey;
      undo(() => {
        this.#nextKey = before;
      });
      const key = this.#random.id();
      this.#nextKey = key;
      return pemOf({ kind: 'request', key });
    });
  }

  async install(certificatePem: string, intermediatesPem: string): Promise<HostIdentity> {
    const { hostId, key, notAfterMs } = readCertificate(certificatePem);
    if (hostId !== this.#hostId || key !== this.#nextKey)
      throw new PlimsollError('input-invalid', `the certificate is not for the newest key of ${this.#hostId}`);
    const crlPems = this.#identity?.crlPems ?? [];
    return this.#keep({ hostId, certificatePem, privateKeyPem: key, caPem: 'root', intermediatesPem, crlPems, notAfterMs });
  }

  async updateTrust({ intermediatesPem, crlPems }: TrustUpdate): Promise<HostIdentity> {
    const identity = this.current();
    const older = crlPems.map(readRevocationList).some((list) => list.number < this.#newestNumber(list.authorityId));
    if (older) throw new PlimsollError('input-invalid', 'a revocation list is older than the present one');
    return this.#keep({ ...identity, intermediatesPem, crlPems });
  }

  #keep(identity: HostIdentity): Promise<HostIdentity> {
    return this.#write((undo) => {
      const before = this.#identity;
      undo(() => {
        this.#identity = before;
      });
      this.#identity = identity;
      return identity;
    });
  }

  /** The files of the identity are written by plain calls of the system: their refusal comes as it is. */
  #write<Value>(change: (undo: NoteUndo) => Value): Promise<Value> {
    return this.#disk.write(syncMs, () => new Error(noSpace), change);
  }

  #newestNumber(authorityId: string): number {
    const lists = (this.#identity?.crlPems ?? []).map(readRevocationList);
    return lists.find((list) => list.authorityId === authorityId)?.number ?? 0;
  }
}
