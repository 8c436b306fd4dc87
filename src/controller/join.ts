/** Takes hosts into the cluster: a one-time token buys one certificate. */
import type { HostAddresses, HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { TokenResource } from '#wire/api.ts';
import type { ClusterView } from './cluster-view.ts';
import type { Membership } from './membership.ts';
import type { ControllerParts } from './parts.ts';

export interface JoinRequest {
  readonly token: string;
  readonly hostId: HostId;
  readonly addresses: HostAddresses;
}

export interface TokenMaker {
  createToken(): { readonly token: string; readonly tokenHash: string };
  hashToken(token: string): string;
  readonly caFingerprint: string;
  readonly controllerUrl: string;
}

const tokenLifetimeMsMax = 7 * 24 * 60 * 60_000;

export class Joining {
  readonly #parts: ControllerParts;
  readonly #view: ClusterView;
  readonly #membership: Membership;
  readonly #tokens: TokenMaker;

  constructor(parts: ControllerParts, view: ClusterView, membership: Membership, tokens: TokenMaker) {
    this.#parts = parts;
    this.#view = view;
    this.#membership = membership;
    this.#tokens = tokens;
  }

  async createToken(hostId: HostId, lifetimeMs: number): Promise<TokenResource> {
    if (lifetimeMs > tokenLifetimeMsMax)
      throw new PlimsollError('input-invalid', 'a join token lives for at most 7 days: give a shorter --lifetime');
    const { token, tokenHash } = this.#tokens.createToken();
    const expiresAtMs = this.#parts.clock.nowMs() + lifetimeMs;
    await this.#parts.store.saveToken({ tokenHash, hostId, expiresAtMs, usedAtMs: null });
    return { hostId, token, expiresAtMs, caFingerprint: this.#tokens.caFingerprint, controllerUrl: this.#tokens.controllerUrl };
  }

  /**
   * Spends the token and records the host. Throws `token-invalid` or `token-expired`; then no certificate is issued. A revocation of the
   * host has voided the tokens of before (`Store.saveHost`).
   */
  async admit(request: JoinRequest): Promise<void> {
    const nowMs = this.#parts.clock.nowMs();
    const token = await this.#parts.store.useToken(this.#tokens.hashToken(request.token), nowMs);
    if (!token || token.hostId !== request.hostId || token.usedAtMs !== null) {
      throw new PlimsollError(
        'token-invalid',
        `the token is not valid for ${request.hostId}: make one with 'plimsoll host token ${request.hostId}'`,
      );
    }
    if (token.expiresAtMs <= nowMs) {
      throw new PlimsollError('token-expired', `the token has expired: make a new one with 'plimsoll host token ${request.hostId}'`);
    }
    const record = { hostId: request.hostId, joinedAtMs: nowMs, addresses: request.addresses, lastSeenAtMs: null, revokedAtMs: null };
    await this.#parts.store.saveHost(record);
    this.#membership.adopt(record);
    this.#view.adopt(record);
    this.#parts.log.info('host joined', { hostId: request.hostId, underlay: request.addresses.underlay });
  }
}
