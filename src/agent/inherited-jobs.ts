import type { GuardState } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { refusalOf } from '#core/model/result.ts';
import type { VmId, VmView } from '#core/model/vm.ts';
import { pause, withDeadline } from '#core/time.ts';
import { watchDefaults, type WatchLimits } from './channel-watch.ts';
import type { AgentParts } from './parts.ts';
import type { Transfers } from './transfers.ts';

/** A call that an earlier process sent just before its death may begin a little later. */
const lookMs = 10_000;

/** What protects the jobs under way; `peers` are those with an SA, null when IPsec cannot be read. */
interface Surroundings {
  readonly guard: GuardState;
  readonly peers: readonly HostId[] | null;
}

/**
 * Migrations that an earlier process of this agent began: they run in the hypervisor, nobody watches their channel, and nobody here
 * knows which peer they go to. So what is watched is what holds for any of them: the guard stands, it has dropped nothing on its way
 * out (a stream that has lost its SA runs into it), and not every SA that there was is gone. Else the job is aborted, the VM stays here.
 */
export class InheritedJobs {
  readonly #parts: AgentParts;
  readonly #transfers: Transfers;
  readonly #limits: WatchLimits;
  readonly #known = new Map<VmId, { abortTold: boolean }>();
  #first: Surroundings | null = null;
  #lookUntilMs: number;
  #wake: () => void = () => undefined;

  constructor(parts: AgentParts, transfers: Transfers, limits: WatchLimits = watchDefaults) {
    this.#parts = parts;
    this.#transfers = transfers;
    this.#limits = limits;
    this.#lookUntilMs = parts.clock.monotonicMs() + lookMs;
  }

  /** Somebody asked for a transfer that this process did not start: it may still be under way. */
  look(): void {
    this.#lookUntilMs = this.#parts.clock.monotonicMs() + lookMs;
    this.#wake();
  }

  async keep(signal: AbortSignal): Promise<void> {
    const over = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    while (!signal.aborted) {
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      const found = await this.#watchOnce(signal);
      if (!found && this.#parts.clock.monotonicMs() >= this.#lookUntilMs) await Promise.race([woken.promise, over]);
      else await pause(this.#parts.clock, this.#limits.intervalMs, signal);
    }
  }

  /** Whether such a job is, or may be, under way. */
  async #watchOnce(signal: AbortSignal): Promise<boolean> {
    try {
      return await withDeadline(this.#parts.clock, this.#limits.readingMsMax, signal, (limited) => this.#judge(limited));
    } catch (error) {
      if (!signal.aborted && this.#known.size > 0)
        this.#parts.log.warn('a migration of an earlier process cannot be watched', { ...refusalOf(error) });
      return true;
    }
  }

  async #judge(signal: AbortSignal): Promise<boolean> {
    const jobs = (await this.#parts.hypervisor.listVms(signal)).filter((vm) => this.#isInherited(vm));
    for (const vmId of this.#known.keys()) if (!jobs.some((vm) => vm.vmId === vmId)) this.#known.delete(vmId);
    if (jobs.length === 0) {
      this.#first = null;
      return false;
    }
    const now = await this.#surroundings(signal);
    this.#first = this.#first === null ? now : { guard: this.#first.guard, peers: this.#first.peers ?? now.peers };
    const fault = faultOf(this.#first, now);
    for (const vm of jobs) await this.#treat(vm, fault, signal);
    return true;
  }

  async #treat({ vmId, name }: VmView, fault: string | null, signal: AbortSignal): Promise<void> {
    const { log, hypervisor } = this.#parts;
    const known = this.#known.get(vmId) ?? { abortTold: false };
    if (!this.#known.has(vmId)) log.warn('a migration that an earlier process began is watched', { vm: name, vmId });
    this.#known.set(vmId, known);
    if (fault === null) return;
    if (!known.abortTold) log.error('channel lost during a migration that an earlier process began', { vm: name, vmId, fault });
    known.abortTold = true;
    await hypervisor.abortJob(vmId, signal);
  }

  #isInherited({ vmId, state, jobActive }: VmView): boolean {
    return jobActive && state !== 'incoming' && !this.#transfers.owns(vmId);
  }

  async #surroundings(signal: AbortSignal): Promise<Surroundings> {
    const guard = await this.#parts.guard.inspect(signal);
    try {
      const sas = await this.#parts.ipsec.listSas(signal);
      const carrying = sas.filter(({ state }) => state === 'installed' || state === 'rekeying');
      return { guard, peers: [...new Set(carrying.map(({ peerHostId }) => peerHostId))] };
    } catch {
      // Its SAs may live on in the kernel; a stream that has lost them is seen at the guard.
      return { guard, peers: null };
    }
  }
}

function faultOf(first: Surroundings, now: Surroundings): string | null {
  if (!now.guard.installed) return 'the guard is gone';
  if (now.guard.droppedOutPackets > first.guard.droppedOutPackets) return 'it tried to leave in plain text, the guard dropped it';
  const { peers } = now;
  if (peers === null || first.peers === null || first.peers.length === 0) return null;
  return first.peers.some((peer) => peers.includes(peer)) ? null : 'its SA is gone';
}
