/**
 * Looks in the background at which memory this host's VMs write, so that a migration need not wait for it, and knows it from more than
 * a look of three seconds: QEMU samples, and a VM of 128 MiB that writes 2 MiB/s is three hits in that time, give or take 60 %.
 */
import { activityFrom } from '#core/migration/prediction.ts';
import type { MemoryActivity, MemoryLook } from '#core/model/forecast.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { VmId, VmView } from '#core/model/vm.ts';
import { pause, withDeadline } from '#core/time.ts';
import { type KeptLook, KeptLooks, lookedMs } from './kept-looks.ts';
import { affordable, turnMs, turnPauseMsMin, turnPeriodMs } from './look-budget.ts';
import type { AgentParts } from './parts.ts';
import type { Transfers } from './transfers.ts';

/** Where nobody is to be looked at. */
const idlePauseMs = 5_000;
const enoughMs = 10_000;
const freshMsMax = 60_000;
const aloneMs = 600_000;
/** For a daemon that hangs; a driver gives a look up 10 s after its end. */
const turnMsMax = 40_000;

export type MemoryWatchParts = Pick<AgentParts, 'clock' | 'hypervisor' | 'log'>;

/** Of a VM that could not be looked at. */
interface Trouble {
  readonly codes: Set<string>;
  untilMs: number;
}

export class MemoryWatch {
  readonly #parts: MemoryWatchParts;
  readonly #transfers: Pick<Transfers, 'owns'>;
  readonly #kept = new KeptLooks();
  readonly #underWay = new Map<VmId, Promise<KeptLook>>();
  readonly #troubles = new Map<VmId, Trouble>();
  /** When a turn at a VM began: whoever waits longest is next. */
  readonly #turnAtMs = new Map<VmId, number>();

  constructor(parts: MemoryWatchParts, transfers: Pick<Transfers, 'owns'>) {
    this.#parts = parts;
    this.#transfers = transfers;
  }

  /** Looks at one VM after the other, until the signal aborts. */
  async keep(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    while (!signal.aborted) {
      const beganAtMs = clock.monotonicMs();
      // Whoever cannot list the VMs takes no samples either, and says so.
      const vm = await withDeadline(clock, turnMsMax, signal, (limited) => this.#takeTurn(limited)).catch(() => null);
      const restMs = vm === null ? idlePauseMs : turnPeriodMs(vm) - (clock.monotonicMs() - beganAtMs);
      await pause(clock, Math.max(turnPauseMsMin, restMs), signal);
    }
  }

  /**
   * How the VM writes its memory: at once from at least 10 s of kept looks of which the newest is younger than a minute; else it is looked
   * at now, for `durationMs` or until a look that is under way has ended, and what was kept of the last minute counts too. Rejects with
   * what the hypervisor says.
   */
  async activity(vmId: VmId, durationMs: number, signal: AbortSignal): Promise<MemoryActivity> {
    const { clock, hypervisor } = this.#parts;
    const looks = this.#enough(vmId) ?? (await this.#lookNow(vmId, durationMs, signal));
    const { usedBytes, boundBytes, grainBytes } = await hypervisor.memoryInUse(vmId, signal);
    const newestAtMs = Math.max(...looks.map(({ endedAtMs }) => endedAtMs));
    return {
      measuredAtMs: Math.round(clock.nowMs() - (clock.monotonicMs() - newestAtMs)),
      measuredForMs: lookedMs(looks),
      usedBytes,
      ...activityFrom(looks, boundBytes, grainBytes),
    };
  }

  #enough(vmId: VmId): readonly KeptLook[] | null {
    const looks = this.#kept.of(vmId, this.#parts.clock.monotonicMs());
    return lookedMs(looks) >= enoughMs && looks.some((look) => this.#isFresh(look)) ? looks : null;
  }

  async #lookNow(vmId: VmId, durationMs: number, signal: AbortSignal): Promise<readonly KeptLook[]> {
    const [firstMs] = turnMs;
    const found: KeptLook[] = [];
    for (const forMs of [firstMs, durationMs - firstMs]) {
      // A look that was under way may have been as long as both.
      if (found.length === 0 || (forMs >= firstMs && lookedMs(found) < durationMs)) found.push(await this.#look(vmId, forMs, signal));
    }
    const kept = this.#kept.of(vmId, this.#parts.clock.monotonicMs()).filter((look) => this.#isFresh(look));
    return [...new Set([...kept, ...found])];
  }

  /** QEMU refuses a second look beside one that is under way: whoever wants one then gets the first. */
  async #look(vmId: VmId, forMs: number, signal: AbortSignal): Promise<KeptLook> {
    for (let other = this.#underWay.get(vmId); other !== undefined; other = this.#underWay.get(vmId)) {
      const shared = await other.catch(() => null);
      if (shared !== null) return shared;
    }
    signal.throwIfAborted();
    const looked = this.#parts.hypervisor.lookAtMemory(vmId, forMs, signal);
    const look = looked.then((found) => this.#keep(vmId, found)).finally(() => this.#underWay.delete(vmId));
    this.#underWay.set(vmId, look);
    return look;
  }

  #keep(vmId: VmId, { forMs, bytes }: MemoryLook): KeptLook {
    const look = { forMs, bytes, endedAtMs: this.#parts.clock.monotonicMs() };
    // A VM that is being moved may be slowed down for it.
    if (!this.#transfers.owns(vmId)) this.#kept.add(vmId, look);
    return look;
  }

  #isFresh({ endedAtMs }: KeptLook): boolean {
    return this.#parts.clock.monotonicMs() - endedAtMs < freshMsMax;
  }

  /** The VM whose turn it was; null when it is nobody's. */
  async #takeTurn(signal: AbortSignal): Promise<VmView | null> {
    const vm = this.#next(await this.#parts.hypervisor.listVms(signal));
    if (vm === null) return null;
    try {
      for (const forMs of turnMs) if (!this.#transfers.owns(vm.vmId)) await this.#look(vm.vmId, forMs, signal);
    } catch (error) {
      // That it was stopped, or has left, is no trouble.
      const now = await this.#parts.hypervisor.findVm(vm.vmId, signal);
      if (now !== null && this.#mayBeLookedAt(now)) this.#leaveAlone(vm, error);
    }
    return vm;
  }

  #next(vms: readonly VmView[]): VmView | null {
    this.#forgetAllBut(new Set(vms.filter(({ state }) => state === 'running' || state === 'paused').map(({ vmId }) => vmId)));
    const due = affordable(vms.filter((vm) => this.#mayBeLookedAt(vm) && !this.#isLeftAlone(vm.vmId)));
    const [next = null] = due.toSorted((a, b) => this.#lastTurnMs(a) - this.#lastTurnMs(b));
    if (next !== null) this.#turnAtMs.set(next.vmId, this.#parts.clock.monotonicMs());
    return next;
  }

  /**
   * A look beside a migration disturbs neither, but libvirt lets no look begin then: the call would wait for half a minute. In post-copy
   * the pages that are hashed might not be here yet.
   */
  #mayBeLookedAt({ vmId, state, jobActive, postCopy }: VmView): boolean {
    return state === 'running' && !jobActive && postCopy === null && !this.#transfers.owns(vmId);
  }

  #leaveAlone({ vmId, name }: VmView, error: unknown): void {
    const refusal = refusalOf(error);
    const trouble = this.#troubles.get(vmId) ?? { codes: new Set(), untilMs: 0 };
    const isForGood = error instanceof PlimsollError && error.code === 'method-unsupported';
    trouble.untilMs = isForGood ? Number.POSITIVE_INFINITY : this.#parts.clock.monotonicMs() + aloneMs;
    this.#troubles.set(vmId, trouble);
    if (!trouble.codes.has(refusal.code)) this.#parts.log.info('the memory of a VM cannot be watched', { vm: name, vmId, ...refusal });
    trouble.codes.add(refusal.code);
  }

  #isLeftAlone(vmId: VmId): boolean {
    return this.#parts.clock.monotonicMs() < (this.#troubles.get(vmId)?.untilMs ?? Number.NEGATIVE_INFINITY);
  }

  #lastTurnMs({ vmId }: VmView): number {
    return this.#turnAtMs.get(vmId) ?? Number.NEGATIVE_INFINITY;
  }

  #forgetAllBut(vmIds: ReadonlySet<VmId>): void {
    this.#kept.forgetAllBut(vmIds);
    for (const known of [this.#troubles, this.#turnAtMs]) for (const vmId of known.keys()) if (!vmIds.has(vmId)) known.delete(vmId);
  }
}
