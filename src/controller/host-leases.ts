/** The leases of all hosts: renews them over their lines, and knows until when a host's restartable VMs may run. */
import type { HostId } from '#core/model/host.ts';
import type { VmId } from '#core/model/vm.ts';
import { leaseIsOver, leaseTerms } from '#core/recovery/lease.ts';
import type { CommandReply, Stamp } from '#wire/agent-protocol.ts';
import type { AgentLines } from './agent-lines.ts';
import type { ControllerParts } from './parts.ts';

const renewMsMax = 5000;
/** Several renewals without an answer. */
const silentMs = 20_000;

export type LeaseWord = CommandReply<'lease.renew'>;

export class HostLeases {
  readonly #parts: ControllerParts;
  readonly #lines: AgentLines;
  readonly #signal: AbortSignal;
  readonly #openedAtMs: number;
  /** When the newest grant was sent, by this controller's clock. */
  readonly #sentAtMs = new Map<HostId, number>();
  /** Heard, and not used yet: each serves for one grant, so that a host that does not answer is granted nothing more. */
  readonly #stamps = new Map<HostId, Stamp>();
  readonly #heardAtMs = new Map<HostId, number>();
  readonly #bootIds = new Map<HostId, string>();

  constructor(parts: ControllerParts, lines: AgentLines, signal: AbortSignal) {
    this.#parts = parts;
    this.#lines = lines;
    this.#signal = signal;
    this.#openedAtMs = parts.clock.monotonicMs();
  }

  /**
   * Whether the VMs under the lease of this host have ended there, if its agent lives. What a controller before this one may have granted
   * just before its death counts as granted at this one's start.
   */
  isOver(hostId: HostId): boolean {
    return leaseIsOver(this.#sentAtMs.get(hostId) ?? this.#openedAtMs, this.#parts.clock.monotonicMs(), leaseTerms);
  }

  /** The same of a host that says nothing either. */
  isSilent(hostId: HostId): boolean {
    const heardAtMs = this.#heardAtMs.get(hostId) ?? Number.NEGATIVE_INFINITY;
    return this.isOver(hostId) && this.#parts.clock.monotonicMs() - heardAtMs > silentMs;
  }

  /** The boot of the host as its agent told it last; null when it has told this controller nothing. */
  bootOf(hostId: HostId): string | null {
    return this.#bootIds.get(hostId) ?? null;
  }

  /**
   * Binds these VMs, and renews the lease if the agent has answered before; its first answer only tells the time. One renewal of a host
   * at a time: the caller sees to that. Rejects as `AgentLines.command`.
   */
  async renew(hostId: HostId, vmIds: readonly VmId[]): Promise<CommandReply<'lease.renew'>> {
    const since = this.#stamps.get(hostId) ?? null;
    this.#stamps.delete(hostId);
    // Before it is sent, and whether or not it arrives: the lease is counted from here.
    if (since !== null) this.#sentAtMs.set(hostId, this.#parts.clock.monotonicMs());
    const word = await this.#lines.command(hostId, 'lease.renew', { since, vmIds: [...vmIds] }, renewMsMax, this.#signal);
    this.#stamps.set(hostId, word.stamp);
    this.#heardAtMs.set(hostId, this.#parts.clock.monotonicMs());
    this.#bootIds.set(hostId, word.stamp.bootId);
    return word;
  }
}
