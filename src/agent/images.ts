import type { ImageStanding } from '#core/model/migration.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import { pause } from '#core/time.ts';
import type { AgentParts } from './parts.ts';
import type { Transfers } from './transfers.ts';

/** How long the first command waits for VMs that an earlier process has saved; a large one goes on being started afterwards. */
const firstLookMsMax = 10_000;
const retryMs = 5_000;
/** How long whoever orders a start from an image waits for its end; what comes of it is told by `standing` and the hypervisor. */
const patienceMs = 5_000;

/**
 * VMs that this host has, or had, as images. Puts right by itself what no other host can know of: a VM that was saved and not given
 * away runs nowhere else, so it is started again, at the start of this process and after every transfer that has left one.
 */
export class Images {
  readonly #parts: AgentParts;
  readonly #transfers: Transfers;
  readonly #mending = new Map<VmId, Promise<void>>();
  readonly #complained = new Set<string>();
  readonly #firstLook = Promise.withResolvers<void>();
  #isSwept = false;
  #wake: () => void = () => undefined;

  constructor(parts: AgentParts, transfers: Transfers) {
    this.#parts = parts;
    this.#transfers = transfers;
    transfers.onEnd(() => this.#wake());
  }

  /** Resolves when what an earlier process has left was dealt with, or cannot be for now. Before any command. */
  async ready(signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    await Promise.race([this.#firstLook.promise, pause(this.#parts.clock, firstLookMsMax, AbortSignal.any([signal, over.signal]))]);
    over.abort();
  }

  async keep(signal: AbortSignal): Promise<void> {
    const ended = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    while (!signal.aborted) {
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      const isDone = await this.#look(signal);
      this.#firstLook.resolve();
      if (isDone) await Promise.race([woken.promise, ended]);
      else await pause(this.#parts.clock, retryMs, signal);
    }
  }

  /** Ask this before the hypervisor: what ends in between is then seen there. */
  async standing(vmId: VmId): Promise<ImageStanding | null> {
    const { kept, incoming } = this.#parts.transports;
    if (this.#transfers.ownsImage(vmId) || this.#mending.has(vmId)) return 'moving';
    return (await incoming.standing(vmId)) ?? (await kept.standings()).get(vmId) ?? null;
  }

  /** Resolves when the VM runs here again, or after a while when that takes longer. */
  async takeBack(vmId: VmId, signal: AbortSignal): Promise<void> {
    this.#mustBeAtRest(vmId);
    const over = new AbortController();
    const late = pause(this.#parts.clock, patienceMs, AbortSignal.any([signal, over.signal]));
    try {
      await Promise.race([this.#mend(vmId), late]);
    } finally {
      over.abort();
    }
  }

  async forget(vmId: VmId, signal: AbortSignal): Promise<void> {
    this.#mustBeAtRest(vmId);
    await this.#parts.transports.kept.forget(vmId, signal);
  }

  discard(vmId: VmId, signal: AbortSignal): Promise<void> {
    return this.#parts.transports.incoming.discard(vmId, signal);
  }

  /** A newer migration begins, whose source runs the VM: images of it are of the past. Throws `vm-busy` where one is not. */
  async makeWay(vmId: VmId, signal: AbortSignal): Promise<void> {
    const standing = await this.standing(vmId);
    if (standing === null) return;
    if (standing === 'given') await this.forget(vmId, signal);
    else if (standing === 'offered' || standing === 'opened' || standing === 'begun') await this.discard(vmId, signal);
    else throw new PlimsollError('vm-busy', `VM ${vmId} is still being moved as an image on this host: try again in a minute`);
  }

  #mustBeAtRest(vmId: VmId): void {
    if (this.#transfers.owns(vmId)) throw new PlimsollError('vm-busy', `this host has a transfer of VM ${vmId} under way`);
  }

  /** Whether nothing is left to do. */
  async #look(signal: AbortSignal): Promise<boolean> {
    let isDone = true;
    try {
      if (!this.#isSwept) await this.#parts.transports.incoming.sweep();
      this.#isSwept = true;
      for (const [vmId, standing] of await this.#parts.transports.kept.standings()) {
        if (standing === 'kept' && !this.#transfers.owns(vmId)) isDone = (await this.#bringBack(vmId, signal)) && isDone;
      }
      return isDone;
    } catch (error) {
      this.#complain('images of an earlier process cannot be looked at', error, signal);
      return false;
    }
  }

  async #bringBack(vmId: VmId, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#mend(vmId);
      this.#parts.log.warn('a VM that was saved and not given away is back', { vmId });
      return true;
    } catch (error) {
      if (error instanceof PlimsollError && error.code === 'vm-unknown') {
        await this.#parts.transports.kept.forget(vmId, signal);
        return true;
      }
      if (error instanceof PlimsollError && error.code === 'vm-busy' && (await this.#endSave(vmId, signal))) return false;
      this.#complain(`VM ${vmId} is saved on this host and cannot be started again, it is tried again`, error, signal);
      return false;
    }
  }

  /** An earlier process died while it saved the VM: nobody wants that image any more, and without it the VM runs on at once. */
  async #endSave(vmId: VmId, signal: AbortSignal): Promise<boolean> {
    const { hypervisor, log } = this.#parts;
    try {
      const vm = await hypervisor.findVm(vmId, signal);
      if (vm === null || !vm.jobActive || vm.postCopy !== null) return false;
      await hypervisor.abortJob(vmId, signal);
      log.warn('the save of a VM that an earlier process began is ended', { vm: vm.name, vmId });
      return true;
    } catch (error) {
      this.#complain(`the save of VM ${vmId} that an earlier process began cannot be ended, it is waited for`, error, signal);
      return false;
    }
  }

  /** One at a time for each VM; goes on when whoever wanted it is gone. */
  #mend(vmId: VmId): Promise<void> {
    const under = this.#mending.get(vmId);
    if (under !== undefined) return under;
    const mending = this.#parts.transports.kept.takeBack(vmId, new AbortController().signal).finally(() => this.#mending.delete(vmId));
    this.#mending.set(vmId, mending);
    // Told by whoever still waits, and by the next look at the hosts.
    mending.catch(() => undefined);
    return mending;
  }

  #complain(what: string, error: unknown, signal: AbortSignal): void {
    if (signal.aborted || this.#complained.has(what)) return;
    this.#complained.add(what);
    this.#parts.log.error(what, { ...refusalOf(error) });
  }
}
