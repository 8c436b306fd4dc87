/**
 * Certificates and revocations of this host. What was made durable is handed to the daemons that use it; one that is away gets it
 * when it is back, and a revoked host that could not be cut off at once is tried again until it is.
 */
import type { HostId } from '#core/model/host.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import { pause, withDeadline } from '#core/time.ts';
import type { CommandArgs } from '#wire/agent-protocol.ts';
import { type ChannelRooms, closeChannel } from './closing.ts';
import type { AgentParts } from './parts.ts';
import type { Transfers } from './transfers.ts';

const retryMsMin = 2000;
const retryMsMax = 30_000;
/** A daemon that hangs must not keep the others from hearing of a revocation. */
const stepMsMax = 3000;

/** In the order in which they are done. */
const duties = ['end channels of revoked hosts', 'hand the trust to IPsec', 'hand the trust to the hypervisor'] as const;
type Duty = (typeof duties)[number];
const handOver = ['hand the trust to IPsec', 'hand the trust to the hypervisor'] as const;

export class Trust {
  readonly #parts: AgentParts;
  readonly #rooms: ChannelRooms;
  readonly #transfers: Transfers;
  readonly #owed = new Set<Duty>();
  readonly #complained = new Set<Duty>();
  #revoked: ReadonlySet<HostId> = new Set();
  #wake: () => void = () => undefined;

  constructor(parts: AgentParts, rooms: ChannelRooms, transfers: Transfers) {
    this.#parts = parts;
    this.#rooms = rooms;
    this.#transfers = transfers;
  }

  request(): Promise<string> {
    return this.#parts.identity.request();
  }

  /** The new certificate counts from the next channel and the next dial on; what is up goes on with the old one. */
  async install({ certificatePem, intermediatesPem }: CommandArgs<'identity.install'>, signal: AbortSignal): Promise<void> {
    await this.#parts.identity.install(certificatePem, intermediatesPem);
    this.#parts.log.info('certificate renewed');
    await this.#fulfil(handOver, signal);
  }

  /** First whatever is up with revoked hosts ends, then the newer lists keep them out. */
  async update({ intermediatesPem, crlPems, revokedHostIds }: CommandArgs<'trust.update'>, signal: AbortSignal): Promise<void> {
    this.#revoked = new Set(revokedHostIds);
    this.#rooms.channels.exclude(this.#revoked);
    for (const hostId of this.#transfers.peers().filter((peer) => this.#revoked.has(peer))) {
      this.#transfers.abortAllTo(hostId, new PlimsollError('host-revoked', `the certificate of ${hostId} was revoked; the VM stays here`));
    }
    await this.#fulfil(['end channels of revoked hosts'], signal);
    await this.#parts.identity.updateTrust({ intermediatesPem, crlPems });
    await this.#fulfil(handOver, signal);
  }

  /** Tries again what a daemon could not be told, until the signal aborts. */
  async keep(signal: AbortSignal): Promise<void> {
    const over = ended(signal);
    let waitMs = retryMsMin;
    while (!signal.aborted) {
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      if (this.#owed.size === 0) {
        waitMs = retryMsMin;
        await Promise.race([woken.promise, over]);
      }
      if (await pause(this.#parts.clock, waitMs, signal)) await this.#settle(duties, signal);
      waitMs = Math.min(waitMs * 2, retryMsMax);
    }
  }

  async #fulfil(wanted: readonly Duty[], signal: AbortSignal): Promise<void> {
    for (const duty of wanted) this.#owed.add(duty);
    await this.#settle(wanted, signal);
    if (this.#owed.size > 0) this.#wake();
  }

  async #settle(wanted: readonly Duty[], signal: AbortSignal): Promise<void> {
    for (const duty of wanted) {
      if (!this.#owed.has(duty)) continue;
      // Taken off first: what changes while it is being done is owed again.
      this.#owed.delete(duty);
      try {
        await withDeadline(this.#parts.clock, stepMsMax, signal, (limited) => this.#do(duty, limited));
        this.#complained.delete(duty);
      } catch (error) {
        this.#owed.add(duty);
        if (!this.#complained.has(duty)) this.#parts.log.warn(`could not ${duty}, it is tried again`, { ...refusalOf(error) });
        this.#complained.add(duty);
      }
    }
  }

  #do(duty: Duty, signal: AbortSignal): Promise<void> {
    switch (duty) {
      case 'end channels of revoked hosts':
        return this.#endRevoked(signal);
      case 'hand the trust to IPsec':
        return this.#parts.ipsec.updateTrust(this.#parts.identity.current(), signal);
      case 'hand the trust to the hypervisor':
        return this.#parts.hypervisor.reloadCertificates(signal);
      default:
        return duty satisfies never;
    }
  }

  /** An IKE rekey does not check certificates again: a channel that is up has to be taken down. */
  async #endRevoked(signal: AbortSignal): Promise<void> {
    if (this.#revoked.size === 0) return;
    const sas = await this.#parts.ipsec.listSas(signal);
    const known = new Set([...sas.map((sa) => sa.peerHostId), ...this.#rooms.channels.preparedPeers]);
    const ending = [...known].filter((peer) => this.#revoked.has(peer)).map((peer) => this.#endOne(peer, signal));
    const failed = (await Promise.allSettled(ending)).find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
  }

  async #endOne(peer: HostId, signal: AbortSignal): Promise<void> {
    await closeChannel(this.#rooms, peer, signal);
    this.#parts.log.warn('channel with a revoked host ended', { peer });
  }
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
