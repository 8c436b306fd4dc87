/**
 * Break-glass grants: permission for a channel that does not protect, asked for by one person and approved by another, for a time.
 *
 * Who somebody is, they say themselves: the name comes with the request (`x-plimsoll-user`; the CLI takes `SUDO_USER`, else the login
 * name). The socket is open to the controller's own user and to root only, so the peer's user id would tell nothing more. Two
 * names therefore keep one person from a mistake, and put both into the audit; they do not stop an administrator who gives a false one.
 */
import type { HostId } from '#core/model/host.ts';
import { PlimsollError, type Refusal } from '#core/model/result.ts';
import type { Grant } from '#core/store.ts';
import type { GrantBody, GrantResource } from '#wire/security-api.ts';
import type { Audit } from './audit.ts';
import type { ControllerParts } from './parts.ts';

const shownIdLength = 12;

/** Where a grant stands at this time. */
export function stateOf(grant: Grant, nowMs: number): GrantResource['state'] {
  if (grant.withdrawnAtMs !== null) return 'withdrawn';
  if (grant.expiresAtMs <= nowMs) return 'expired';
  return grant.approvedBy === null ? 'requested' : 'approved';
}

/** Why this grant does not let a migration from here to there go without IPsec now; null when it does. */
export function grantFault(grant: Grant, fromHostId: HostId, toHostId: HostId, nowMs: number): Refusal | null {
  const state = stateOf(grant, nowMs);
  if (state === 'requested')
    return invalid(`grant ${grant.grantId} is not approved: a second person approves it with 'plimsoll grant approve ${grant.grantId}'`);
  if (state !== 'approved') return invalid(`grant ${grant.grantId} is ${state}: request a new one`);
  if (grant.fromHostId !== fromHostId || grant.toHostId !== toHostId)
    return invalid(`grant ${grant.grantId} is for ${grant.fromHostId} -> ${grant.toHostId}, not for ${fromHostId} -> ${toHostId}`);
  return null;
}

/** Two spellings of one name are one person. Two names may still be one: see above. */
export function isSamePerson(one: string, other: string): boolean {
  return one.trim().toLowerCase() === other.trim().toLowerCase();
}

export class Grants {
  readonly #parts: ControllerParts;
  readonly #audit: Audit;
  /** One change at a time: of an approval and a withdrawal at once, the later one sees the earlier one. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(parts: ControllerParts, audit: Audit) {
    this.#parts = parts;
    this.#audit = audit;
  }

  async request(body: GrantBody, who: string): Promise<GrantResource> {
    if (body.fromHostId === body.toHostId) throw new PlimsollError('destination-same-as-source', 'a grant is for two different hosts');
    const nowMs = this.#parts.clock.nowMs();
    const grant: Grant = {
      grantId: this.#parts.random.id().slice(0, shownIdLength),
      fromHostId: body.fromHostId,
      toHostId: body.toHostId,
      reason: body.reason,
      requestedBy: who,
      requestedAtMs: nowMs,
      approvedBy: null,
      approvedAtMs: null,
      expiresAtMs: nowMs + body.lifetimeMs,
      withdrawnAtMs: null,
    };
    await this.#audit.write(who, 'grant.request', grant.grantId, `${grant.fromHostId} -> ${grant.toHostId}: ${grant.reason}`);
    await this.#parts.store.saveGrant(grant);
    return this.#resource(grant);
  }

  /** Throws `grant-invalid` when the requester asks, or the grant is not waiting for an approval. */
  approve(grantId: string, who: string): Promise<GrantResource> {
    return this.#change(grantId, who, 'grant.approve', (grant, nowMs) => {
      const state = stateOf(grant, nowMs);
      if (state !== 'requested')
        throw new PlimsollError('grant-invalid', `grant ${grantId} is ${state} already: request a new one if needed`);
      if (isSamePerson(grant.requestedBy, who))
        throw new PlimsollError('grant-invalid', `grant ${grantId} was requested by ${grant.requestedBy}: another person must approve it`);
      return { ...grant, approvedBy: who, approvedAtMs: nowMs };
    });
  }

  withdraw(grantId: string, who: string): Promise<GrantResource> {
    return this.#change(grantId, who, 'grant.withdraw', (grant, nowMs) => {
      const state = stateOf(grant, nowMs);
      if (state === 'expired' || state === 'withdrawn') throw new PlimsollError('grant-invalid', `grant ${grantId} is ${state} already`);
      return { ...grant, withdrawnAtMs: nowMs };
    });
  }

  async list(limit: number): Promise<readonly GrantResource[]> {
    return (await this.#parts.store.grants(limit)).map((grant) => this.#resource(grant));
  }

  /** The grant that lets this migration go without IPsec. Throws `grant-missing` or `grant-invalid`. */
  async permit(grantId: string | null, fromHostId: HostId, toHostId: HostId): Promise<Grant> {
    if (grantId === null) {
      throw new PlimsollError(
        'grant-missing',
        "a migration that IPsec does not protect needs a break-glass grant: 'plimsoll grant request', approved by a second person",
      );
    }
    const grant = await this.#find(grantId);
    const fault = grantFault(grant, fromHostId, toHostId, this.#parts.clock.nowMs());
    if (fault !== null) throw new PlimsollError(fault.code, fault.message);
    return grant;
  }

  #change(grantId: string, who: string, verb: string, change: (grant: Grant, nowMs: number) => Grant): Promise<GrantResource> {
    const changed = this.#tail.then(async () => {
      const grant = change(await this.#find(grantId), this.#parts.clock.nowMs());
      await this.#audit.write(who, verb, grantId, `${grant.fromHostId} -> ${grant.toHostId}, requested by ${grant.requestedBy}`);
      await this.#parts.store.saveGrant(grant);
      return this.#resource(grant);
    });
    this.#tail = changed.catch(() => null);
    return changed;
  }

  async #find(grantId: string): Promise<Grant> {
    const grant = await this.#parts.store.grant(grantId);
    if (grant === null) throw new PlimsollError('grant-missing', `there is no grant ${grantId}: see 'plimsoll grant list'`);
    return grant;
  }

  #resource(grant: Grant): GrantResource {
    return { ...grant, state: stateOf(grant, this.#parts.clock.nowMs()) };
  }
}

function invalid(message: string): Refusal {
  return { code: 'grant-invalid', message };
}
