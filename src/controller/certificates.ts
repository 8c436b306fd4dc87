/** Certificates and revocation: issues, renews in time, revokes at once, and keeps every agent's trust up to date. */
import { longestRevocationList, revokedCertificatesMax } from '#core/channel/revocation-limits.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { CertificateOrder, IssuedCertificate, RevokedCertificate, TrustUpdate } from '#core/ports.ts';
import type { CertificateRecord } from '#core/store.ts';
import { pause } from '#core/time.ts';
import type { RenewalResource, RevocationResource } from '#wire/security-api.ts';
import type { AgentLines } from './agent-lines.ts';
import type { Audit } from './audit.ts';
import { inParallel } from './in-parallel.ts';
import type { Membership } from './membership.ts';
import type { CertificateSettings, ControllerParts } from './parts.ts';
import { Renewals } from './renewals.ts';

const renewalsAtOnce = 8;
const pushesAtOnce = 64;
const requestMs = 10_000;
const installMs = 20_000;
/** All agents have heard of a revocation within 5 s, or are counted as not told; they hear of it when they dial in. */
const revocationPushMs = 4000;
const routinePushMs = 10_000;
/** A revoked certificate stays on the list for a while after its end, for hosts whose clocks are behind. */
const listedAfterEndMsMax = 3_600_000;
/** And on one more regular list at least (RFC 5280 section 3.3): one of these intervals may be over just before the end. */
const listedAfterEndIntervals = 2;

interface PushResult {
  readonly told: readonly HostId[];
  readonly notTold: RevocationResource['notTold'];
}

export interface CertificateRooms {
  readonly parts: ControllerParts;
  readonly settings: CertificateSettings;
  readonly lines: AgentLines;
  readonly membership: Membership;
  readonly audit: Audit;
}

export class Certificates {
  readonly #rooms: CertificateRooms;
  readonly #signal: AbortSignal;
  readonly #renewals: Renewals;
  #trust: TrustUpdate | null = null;
  #trustMadeAtMs = 0;
  #longestList = 0;
  /** Issuing and revoking one after the other: no host gets a certificate that a revocation does not see. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(rooms: CertificateRooms, signal: AbortSignal) {
    this.#rooms = rooms;
    this.#signal = signal;
    this.#renewals = new Renewals(rooms.parts, rooms.settings.leafLifetimeMs);
  }

  /** Reads what was issued and makes the first lists; before any agent is served. */
  async open(): Promise<void> {
    const { store } = this.#rooms.parts;
    // Those that end last come first, so the first one of a host is its newest.
    for (const certificate of await store.certificates({ revoked: false })) this.#renewals.noteIfFirst(certificate);
    await this.#exclusively(() => this.#firstTrust());
  }

  /** Lists that are too long keep nobody from starting a controller: revoked hosts are refused by name, and the alarm tells it. */
  async #firstTrust(): Promise<void> {
    try {
      await this.#makeTrust();
    } catch (error) {
      if (this.#longestList <= revokedCertificatesMax) throw error;
      this.#rooms.parts.log.error('the lists of revoked certificates were not made', { ...refusalOf(error) });
    }
  }

  /** Revoked certificates on the longest list, as it is or would be: what is over `revokedCertificatesMax` cannot be listed. */
  get longestList(): number {
    return this.#longestList;
  }

  /** Renews certificates, the intermediate CA and the lists until the signal aborts. */
  async run(): Promise<void> {
    const { parts, settings } = this.#rooms;
    const tickMs = Math.min(30_000, Math.max(250, Math.min(settings.leafLifetimeMs / 40, settings.crlIntervalMs / 4)));
    while (await pause(parts.clock, tickMs, this.#signal)) {
      await this.#attempt('the lists of revoked certificates were not renewed', () => this.#renewLists());
      await this.#attempt('certificates were not renewed', () => this.#renewDue(this.#rooms.lines.hostIds));
    }
  }

  /** End of the newest certificate that is known of a host. */
  endsAtMs(hostId: HostId): number | null {
    return this.#rooms.lines.facts(hostId)?.certificate.notAfterMs ?? this.#renewals.newestOf(hostId)?.notAfterMs ?? null;
  }

  list(hostId: HostId): Promise<readonly CertificateRecord[]> {
    return this.#rooms.parts.store.certificates({ hostId });
  }

  /** Tells an agent that has dialled in what it may have missed, and gives it the certificate that fell due while it was away. */
  greet(hostId: HostId): void {
    this.#renewals.met(hostId);
    void this.#attempt('a certificate was not renewed', () => this.#renewDue([hostId]));
    void this.#attempt('an agent was not told the newest revocations', async () => {
      const { notTold } = await this.#push([hostId], routinePushMs);
      for (const { refusal } of notTold) throw new PlimsollError(refusal.code, `${hostId}: ${refusal.message}`);
    });
  }

  /** The certificate of a joining host, kept once `admit` has resolved (what `admit` refuses gets none), and the trust of now. */
  issueTo(
    order: Omit<CertificateOrder, 'lifetimeMs' | 'nowMs'>,
    admit: () => Promise<void>,
  ): Promise<{ readonly issued: IssuedCertificate; readonly trust: TrustUpdate }> {
    const { membership, lines } = this.#rooms;
    return this.#exclusively(async () => {
      const wasRevoked = membership.revokedAtMs(order.hostId) !== null;
      const issued = await this.#issue(order);
      await admit();
      await this.#keep(order.hostId, issued);
      // The other agents still shut this host out by its name.
      if (wasRevoked)
        void this.#attempt(
          'not all agents were told that a host is back',
          async () => void (await this.#push(lines.hostIds, routinePushMs)),
        );
      return { issued, trust: this.#trust ?? (await this.#makeTrust()) };
    });
  }

  /** A new key and certificate for these hosts, now. What fails for one host is said and keeps no other back. */
  renew(hostIds: readonly HostId[]): Promise<readonly RenewalResource[]> {
    return inParallel(hostIds, renewalsAtOnce, async (hostId) => {
      try {
        return { hostId, certificate: await this.#renewOne(hostId), refusal: null };
      } catch (error) {
        this.#signal.throwIfAborted();
        return { hostId, certificate: null, refusal: refusalOf(error) };
      }
    });
  }

  /** Puts a host out: its line, its certificates, its channels. `evict` ends what it takes part in on this controller. */
  async revoke(hostId: HostId, reason: string, who: string, evict: () => Promise<void>): Promise<RevocationResource> {
    const { parts, lines, audit } = this.#rooms;
    const startedMs = parts.clock.monotonicMs();
    const revokedAtMs = parts.clock.nowMs();
    const certificates = await this.#exclusively(() => this.#markRevoked(hostId, revokedAtMs));
    parts.log.warn('host revoked', { hostId, certificates, who, reason });
    lines.close(hostId, 'host-revoked');
    // Without a new list the agents still hear the name, and the list is tried again.
    await this.#attempt('the list of revoked certificates was not made', async () => {
      await this.#exclusively(() => this.#makeTrust());
    });
    const evicting = this.#attempt('what the revoked host takes part in was not ended', evict);
    const { told, notTold } = await this.#push(lines.hostIds, revocationPushMs);
    await evicting;
    await audit.note(who, 'host.revoke', hostId, reason);
    for (const { hostId: deaf, refusal } of notTold) parts.log.warn('an agent was not told of a revocation', { hostId: deaf, ...refusal });
    return { hostId, revokedAtMs, certificates, told: [...told], notTold, tookMs: Math.round(parts.clock.monotonicMs() - startedMs) };
  }

  async #markRevoked(hostId: HostId, revokedAtMs: number): Promise<number> {
    const { store } = this.#rooms.parts;
    // In memory first: from here on nobody comes in by this name, whatever becomes of the writes.
    const record = this.#rooms.membership.revoke(hostId, revokedAtMs);
    this.#renewals.drop(hostId);
    await store.saveHost(record);
    const certificates = await store.certificates({ hostId, revoked: false });
    const usable = certificates.filter(({ notAfterMs }) => this.#mayStillCount(notAfterMs));
    for (const certificate of usable) {
      this.#rooms.membership.revokeCertificate(certificate.sha256);
      await store.saveCertificate({ ...certificate, revokedAtMs });
    }
    return usable.length;
  }

  async #renewLists(): Promise<void> {
    const { log } = this.#rooms.parts;
    if (!(await this.#exclusively(() => this.#renewTrust()))) return;
    const { notTold } = await this.#push(this.#rooms.lines.hostIds, routinePushMs);
    for (const { hostId, refusal } of notTold) log.warn('an agent was not told the newest revocations', { hostId, ...refusal });
  }

  /** One step: nothing is issued by a new intermediate CA before there is a list of it. Tells whether anything is new. */
  async #renewTrust(): Promise<boolean> {
    const { authority, clock, log } = this.#rooms.parts;
    const renewed = await authority.renewIntermediate(clock.nowMs());
    if (renewed) log.info('intermediate CA renewed');
    if (!renewed && clock.nowMs() - this.#trustMadeAtMs < this.#rooms.settings.crlIntervalMs) return false;
    await this.#makeTrust();
    return true;
  }

  /** Whether somebody's clock may still call a certificate valid that ends then. */
  #mayStillCount(notAfterMs: number): boolean {
    const { leafLifetimeMs, crlIntervalMs } = this.#rooms.settings;
    const listedAfterEndMs = Math.max(Math.min(listedAfterEndMsMax, leafLifetimeMs), listedAfterEndIntervals * crlIntervalMs);
    return notAfterMs + listedAfterEndMs > this.#rooms.parts.clock.nowMs();
  }

  async #makeTrust(): Promise<TrustUpdate> {
    const { store, authority, clock } = this.#rooms.parts;
    this.#trustMadeAtMs = 0;
    const nowMs = clock.nowMs();
    const revoked = (await store.certificates({ revoked: true })).flatMap((one): readonly RevokedCertificate[] => {
      const { serialNumber, authorityId, revokedAtMs, notAfterMs } = one;
      if (revokedAtMs === null || !this.#mayStillCount(notAfterMs)) return [];
      return [{ serialNumber, authorityId, revokedAtMs }];
    });
    this.#longestList = longestRevocationList(revoked);
    this.#trust = await authority.trust(revoked, nowMs);
    this.#trustMadeAtMs = nowMs;
    return this.#trust;
  }

  async #push(hostIds: readonly HostId[], timeoutMs: number): Promise<PushResult> {
    const { lines, membership } = this.#rooms;
    const answers = await inParallel(hostIds, pushesAtOnce, async (hostId) => {
      const trust = this.#trust;
      if (trust === null || membership.revokedAtMs(hostId) !== null) return null;
      const args = {
        intermediatesPem: trust.intermediatesPem,
        crlPems: [...trust.crlPems],
        revokedHostIds: [...membership.revokedHostIds],
      };
      try {
        await lines.command(hostId, 'trust.update', args, timeoutMs, this.#signal);
        return { hostId, refusal: null };
      } catch (error) {
        this.#signal.throwIfAborted();
        return { hostId, refusal: refusalOf(error) };
      }
    });
    const asked = answers.filter((answer) => answer !== null);
    return {
      told: asked.flatMap(({ hostId, refusal }) => (refusal === null ? [hostId] : [])),
      notTold: asked.flatMap(({ hostId, refusal }) => (refusal === null ? [] : [{ hostId, refusal }])),
    };
  }

  async #renewDue(hostIds: readonly HostId[]): Promise<void> {
    const { lines, parts } = this.#rooms;
    const due = hostIds.filter((hostId) => this.#renewals.isDue(hostId, lines.facts(hostId)?.certificate ?? null));
    for (const { hostId, refusal } of await this.renew(due)) {
      if (refusal !== null) parts.log.warn('a certificate was not renewed, it is tried again', { hostId, ...refusal });
    }
  }

  async #renewOne(hostId: HostId): Promise<CertificateRecord> {
    const { lines, membership, parts } = this.#rooms;
    membership.mustBeMember(hostId);
    this.#renewals.tried(hostId);
    const addresses = this.#addressesOf(hostId);
    const { requestPem } = await lines.command(hostId, 'identity.request', {}, requestMs, this.#signal);
    const { issued, record } = await this.#exclusively(async () => {
      membership.mustBeMember(hostId);
      const made = await this.#issue({ requestPem, hostId, addresses });
      return { issued: made, record: await this.#keep(hostId, made) };
    });
    const { certificatePem, intermediatesPem, sha256, notAfterMs } = issued;
    await lines.command(hostId, 'identity.install', { certificatePem, intermediatesPem }, installMs, this.#signal);
    lines.renewed(hostId, { sha256, notAfterMs });
    parts.log.info('host certificate renewed', { hostId, endsAtMs: notAfterMs });
    return record;
  }

  /** Those it has joined with: what an agent says of itself later does not get into a certificate. */
  #addressesOf(hostId: HostId): CertificateOrder['addresses'] {
    const addresses = this.#rooms.membership.record(hostId)?.addresses;
    if (!addresses)
      throw new PlimsollError(
        'host-unknown',
        `the addresses of ${hostId} are not known: let it join again ('plimsoll host token ${hostId}')`,
      );
    return { underlay: addresses.underlay, protected: addresses.protected };
  }

  #issue(order: Omit<CertificateOrder, 'lifetimeMs' | 'nowMs'>): Promise<IssuedCertificate> {
    const { parts, settings } = this.#rooms;
    return parts.authority.issueHost({ ...order, lifetimeMs: settings.leafLifetimeMs, nowMs: parts.clock.nowMs() });
  }

  async #keep(hostId: HostId, issued: IssuedCertificate): Promise<CertificateRecord> {
    const { serialNumber, authorityId, sha256, notBeforeMs, notAfterMs } = issued;
    const record: CertificateRecord = { hostId, serialNumber, authorityId, sha256, notBeforeMs, notAfterMs, revokedAtMs: null };
    await this.#rooms.parts.store.saveCertificate(record);
    this.#renewals.note(record);
    return record;
  }

  async #attempt(failure: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!this.#signal.aborted) this.#rooms.parts.log.error(failure, { ...refusalOf(error) });
    }
  }

  #exclusively<Value>(work: () => Promise<Value>): Promise<Value> {
    const done = this.#tail.then(work);
    this.#tail = done.catch(() => null);
    return done;
  }
}
