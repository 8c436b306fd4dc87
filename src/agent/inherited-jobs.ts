import type { GuardState } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { refusalOf } from '#core/model/result.ts';
import type { VmId, VmView } from '#core/model/vm.ts';
import { pause, withDeadline } from '#core/time.ts';
import { watchDefaults, type WatchLimits } from './channel-watch.ts';
import type { Channels } from './channels.ts';
import type { Images } from './images.ts';
import type { AgentParts } from './parts.ts';
import type { Transfers } from './transfers.ts';

/** A call that an earlier process sent just before its death may begin a little later. */
const lookMs = 10_000;
/** As long as an autopilot would let a switch-over stand still (`PilotPolicy.switchOverMsMax`). */
const haltedMsMaxDefault = 10_000;

/** What protects the jobs under way; `peers` are those with an SA, null when IPsec cannot be read. */
interface Surroundings {
  readonly guard: GuardState;
  readonly peers: readonly HostId[] | null;
}

/** What is remembered of a job as long as it is at work. */
interface Job {
  /** Since when its VM was seen halted for the last round, without a break; null while it runs. */
  haltedSinceMs: number | null;
  readonly told: Set<string>;
}

/** What an inherited job is seen by, and what it must not be taken for. */
export interface InheritedRooms {
  readonly transfers: Pick<Transfers, 'owns'>;
  readonly images: Pick<Images, 'standing'>;
  readonly channels: Pick<Channels, 'installGuard'>;
}

/**
 * Migrations that an earlier process of this agent began: they run in the hypervisor, nobody watches their channel, and nobody here
 * knows which peer they go to. So what is watched is what holds for any of them: the guard stands, it has dropped nothing on its way
 * out (a stream that has lost its SA runs into it), and not every SA that there was is gone. Else the job is aborted, the VM stays here.
 *
 * No autopilot steers them either. One that keeps its VM halted for longer than `haltedMsMax` has stalled as it switched over, and is
 * aborted, so that the VM runs on here; a stop-and-copy ends so too, as nobody here knows how long a stop was accepted.
 *
 * In post-copy nothing is aborted: half of the VM's memory is on each host. There the guard is put back, and the stream stands still
 * behind it.
 */
export class InheritedJobs {
  readonly #parts: AgentParts;
  readonly #rooms: InheritedRooms;
  readonly #limits: WatchLimits;
  readonly #haltedMsMax: number;
  readonly #known = new Map<VmId, Job>();
  #first: Surroundings | null = null;
  #isComplained = false;
  #lookUntilMs: number;
  #wake: () => void = () => undefined;

  constructor(parts: AgentParts, rooms: InheritedRooms, limits: WatchLimits = watchDefaults, haltedMsMax = haltedMsMaxDefault) {
    this.#parts = parts;
    this.#rooms = rooms;
    this.#limits = limits;
    this.#haltedMsMax = haltedMsMax;
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
      const found = await withDeadline(this.#parts.clock, this.#limits.readingMsMax, signal, (limited) => this.#judge(limited));
      this.#isComplained = false;
      return found;
    } catch (error) {
      if (!signal.aborted && this.#known.size > 0 && !this.#isComplained) {
        this.#parts.log.warn('a migration of an earlier process cannot be watched, it is tried again', { ...refusalOf(error) });
        this.#isComplained = true;
      }
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
    for (const vm of jobs) this.#meet(vm);
    // A daemon that does not answer the one must not keep the other from being done.
    const done = await Promise.allSettled([this.#watchHalted(jobs, signal), this.#watchChannel(jobs, signal)]);
    for (const one of done) if (one.status === 'rejected') throw one.reason;
    return true;
  }

  #meet(vm: VmView): void {
    const job = this.#known.get(vm.vmId) ?? { haltedSinceMs: null, told: new Set() };
    this.#known.set(vm.vmId, job);
    const isHalted = vm.state === 'paused' && vm.postCopy === null;
    job.haltedSinceMs = isHalted ? (job.haltedSinceMs ?? this.#parts.clock.monotonicMs()) : null;
    this.#tell('warn', 'a migration that an earlier process began is watched', vm);
  }

  async #watchHalted(jobs: readonly VmView[], signal: AbortSignal): Promise<void> {
    for (const vm of jobs) {
      const sinceMs = this.#known.get(vm.vmId)?.haltedSinceMs ?? null;
      if (sinceMs === null || this.#parts.clock.monotonicMs() - sinceMs <= this.#haltedMsMax) continue;
      // One that is saved, or started from an image, is halted for as long as that takes.
      if ((await this.#rooms.images.standing(vm.vmId)) !== null) continue;
      this.#tell('error', 'a switch-over that an earlier process began has stalled: it is cancelled, the VM runs on here', vm);
      await this.#parts.hypervisor.abortJob(vm.vmId, signal);
    }
  }

  async #watchChannel(jobs: readonly VmView[], signal: AbortSignal): Promise<void> {
    const now = await this.#surroundings(signal);
    this.#first = this.#first === null ? now : { guard: this.#first.guard, peers: this.#first.peers ?? now.peers };
    const fault = faultOf(this.#first, now);
    if (fault === null) return;
    for (const vm of jobs) {
      if (vm.postCopy === null) {
        this.#tell('error', 'channel lost during a migration that an earlier process began', vm, fault);
        await this.#parts.hypervisor.abortJob(vm.vmId, signal);
      } else {
        this.#tell('error', 'channel lost in a post-copy that an earlier process began: nothing is aborted', vm, fault);
        if (!now.guard.installed) await this.#rooms.channels.installGuard(signal);
      }
    }
  }

  /** Once for each job. */
  #tell(how: 'warn' | 'error', what: string, { vmId, name }: VmView, fault?: string): void {
    const told = this.#known.get(vmId)?.told;
    if (told === undefined || told.has(what)) return;
    told.add(what);
    this.#parts.log[how](what, { vm: name, vmId, fault });
  }

  #isInherited({ vmId, state, jobActive }: VmView): boolean {
    return jobActive && state !== 'incoming' && !this.#rooms.transfers.owns(vmId);
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
