/** Which hosts can run a VM that is started again. */
import { firstRefusal, judgePreflight } from '#core/checks/preflight.ts';
import type { HostId } from '#core/model/host.ts';
import type { Recovery } from '#core/model/recovery.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import { bytes } from '#core/model/units.ts';
import type { AgentLines } from './agent-lines.ts';
import { inParallel } from './in-parallel.ts';
import type { ControllerParts } from './parts.ts';
import type { Flights } from './preflight.ts';
import type { RulesAgainst } from './surveys.ts';

const quickMs = 5000;
const hostsAtOnce = 16;
/** What is started on a host shows in its samples a little later. */
const placedMs = 15_000;

interface Offer {
  readonly hostId: HostId;
  /** Why it cannot run the VM; null when it can. */
  readonly refusal: string | null;
  readonly freeBytes: number;
}

export interface OfferRooms {
  readonly parts: ControllerParts;
  readonly lines: AgentLines;
  readonly rulesAgainst: RulesAgainst;
  readonly flights: Pick<Flights, 'incomingBytes'>;
}

export class RecoveryOffers {
  readonly #rooms: OfferRooms;
  readonly #signal: AbortSignal;
  #placed: readonly { readonly hostId: HostId; readonly memoryBytes: number; readonly atMs: number }[] = [];

  constructor(rooms: OfferRooms, signal: AbortSignal) {
    this.#rooms = rooms;
    this.#signal = signal;
  }

  /** Of these hosts the one that it ran on, if that can run it; else the one with the most free memory; else the reason. */
  async best(
    recovery: Recovery,
    text: string | null,
    hostIds: readonly HostId[],
  ): Promise<{ readonly hostId: HostId } | { readonly why: string }> {
    const offers = await inParallel(hostIds, hostsAtOnce, (hostId) => this.#offer(recovery, text, hostId));
    const fit = offers.filter(({ refusal }) => refusal === null).toSorted((one, other) => other.freeBytes - one.freeBytes);
    const first = fit.find(({ hostId }) => hostId === recovery.hostId) ?? fit[0];
    if (first !== undefined) return { hostId: first.hostId };
    const reason = offers.find(({ refusal }) => refusal !== null)?.refusal ?? 'no host is up that could be asked';
    return { why: `no host can run it: ${reason}`.slice(0, 1000) };
  }

  /** It is started there now. */
  place({ definition }: Recovery, hostId: HostId): void {
    if (definition === null) return;
    const atMs = this.#rooms.parts.clock.monotonicMs();
    this.#placed = [...this.#placed, { hostId, memoryBytes: definition.memoryBytes, atMs }].filter((one) => atMs - one.atMs < placedMs);
  }

  async #offer({ vmId, vmName, definition }: Recovery, text: string | null, hostId: HostId): Promise<Offer> {
    const incomingBytes = bytes(this.#incomingBytes(hostId));
    try {
      if (definition === null || text === null) throw new PlimsollError('vm-unknown', 'its definition is not known');
      const { offer } = await this.#rooms.lines.command(hostId, 'vm.offer', { definition, text }, quickMs, this.#signal);
      const { vcpus, memoryBytes } = definition;
      const row = judgePreflight({
        // As if it were to come there: what speaks against that speaks against its start, too.
        vm: { vmId, name: vmName, state: 'running', vcpus, memoryBytes, persistent: true, jobActive: false, postCopy: null },
        sourceHostId: 'its last host',
        hostId,
        definition,
        offer,
        sourceVersions: null,
        host: null,
        certificate: null,
        certificateLeftMs: null,
        predictedTotalMsMax: null,
        clock: null,
        channel: 'not-looked-at',
        otherMigrationId: null,
        method: 'auto',
        methodFault: 'not-looked-at',
        incomingBytes,
        // Its companions may have died with its host: that they are not together yet keeps nothing from being started.
        rules: this.#rooms.rulesAgainst({ vmId, vmName, toHostId: hostId, cause: 'restore', planId: null }),
        coolDownLeftMs: 0,
        askedBy: 'operator',
        downtime: 'not-looked-at',
      });
      return { hostId, refusal: firstRefusal(row)?.message ?? null, freeBytes: (offer.memoryFreeBytes ?? 0) - incomingBytes };
    } catch (error) {
      this.#signal.throwIfAborted();
      const refusal = refusalOf(error);
      this.#rooms.parts.log.warn('a host does not say whether it can run a VM', { vmId, hostId, ...refusal });
      return { hostId, refusal: refusal.message, freeBytes: 0 };
    }
  }

  /** Of what was started there just now, and of VMs on their way there. */
  #incomingBytes(hostId: HostId): number {
    const sinceMs = this.#rooms.parts.clock.monotonicMs() - placedMs;
    const here = this.#placed.filter((placed) => placed.hostId === hostId && placed.atMs > sinceMs);
    return here.reduce<number>((sum, { memoryBytes }) => sum + memoryBytes, this.#rooms.flights.incomingBytes(hostId, null));
  }
}
