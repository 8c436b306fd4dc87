/**
 * The host's lease: VMs that are marked restartable run here only as long as the controller renews it. When it ends, they are ended,
 * because the controller may start them elsewhere from then on.
 *
 * What an earlier process of this agent was granted is kept where it ends with the machine (`LeaseBook`), by a clock that goes on
 * between processes and while the machine sleeps: a restarted agent holds exactly that lease and no more, and ends the VMs at once when
 * it is over already. A machine that was restarted has no VMs left that somebody was told of; the daemon does not start them by itself
 * (`keepDown`), so nothing runs before the controller knows.
 */
import { leaseEndMs, leaseHolds, leaseTerms, noGrant, renewed } from '#core/recovery/lease.ts';
import type { LeaseGrant, ToldStanding, VmStanding } from '#core/model/recovery.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import { pause, withDeadline } from '#core/time.ts';
import type { CommandArgs, CommandReply, Stamp } from '#wire/agent-protocol.ts';
import type { Gate } from './gate.ts';
import type { AgentParts } from './parts.ts';

const tickMs = 500;
/** A daemon that hangs must not keep the lease from being renewed. */
const lookMsMax = 2000;
const noteMsMax = 1000;
/** An order to start a VM that was held up for longer comes too late. */
const orderMsMax = 15_000;

export type LeaseParts = Pick<AgentParts, 'clock' | 'hypervisor' | 'leaseBook' | 'log'>;

export class Lease {
  readonly #parts: LeaseParts;
  readonly #gate: Pick<Gate, 'admitStart' | 'noteEnd'>;
  readonly #agentId: string;
  /** The newest grant that is in the book; one change at a time. */
  #grant: Promise<LeaseGrant>;
  readonly #starting = new Set<VmId>();
  /** VMs that could not be ended: complained of once. */
  readonly #stubborn = new Set<VmId>();
  #wake: () => void = () => undefined;

  constructor(parts: LeaseParts, gate: Pick<Gate, 'admitStart' | 'noteEnd'>, agentId: string) {
    this.#parts = parts;
    this.#gate = gate;
    this.#agentId = agentId;
    this.#grant = parts.leaseBook.load().then((grant) => grant ?? noGrant);
    // Whoever needs it hears of it.
    this.#grant.catch(() => undefined);
  }

  /** Ends what the lease binds as soon as it is over; until the signal aborts. Rejects with `config-invalid` for a book that is damaged. */
  async keep(signal: AbortSignal): Promise<void> {
    const over = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    while (!signal.aborted) {
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      const grant = await this.#grant;
      if (grant.vmIds.length === 0) {
        await Promise.race([woken.promise, over]);
        continue;
      }
      if (!leaseHolds(grant, this.#nowMs())) await Promise.all(grant.vmIds.map((vmId) => this.#end(vmId, signal)));
      await pause(this.#parts.clock, tickMs, signal);
    }
  }

  /** What it binds and until when is in the book before anything is told. */
  async renew({ since, vmIds }: CommandArgs<'lease.renew'>, signal: AbortSignal): Promise<CommandReply<'lease.renew'>> {
    const endsAtMs = since === null || !this.#isOwn(since) ? null : leaseEndMs(since.atMs, this.#nowMs(), leaseTerms);
    const before = await this.#grant;
    const grant = await this.#change((known) => renewed(known, { endsAtMs, vmIds }, this.#nowMs()));
    if (!leaseHolds(before, this.#nowMs()) && leaseHolds(grant, this.#nowMs()) && vmIds.length > 0)
      this.#parts.log.info('this host has a lease', { vms: vmIds.length });
    const vms = await Promise.all(vmIds.map((vmId) => this.#stateOf(vmId, grant, signal)));
    return { stamp: this.#stamp(), holds: leaseHolds(grant, this.#nowMs()), vms };
  }

  async look(vmId: VmId, signal: AbortSignal): Promise<CommandReply<'lease.look'>> {
    return { standing: await this.#told(vmId, await this.#parts.hypervisor.standing(vmId, signal)) };
  }

  /** Throws `lease-ended`, `ticket-expired`, `stale-epoch`, and what the hypervisor says. */
  async start({ vmId, vmEpoch, text, since }: CommandArgs<'vm.start'>, signal: AbortSignal): Promise<void> {
    if (!this.#isOwn(since) || this.#nowMs() - since.atMs > orderMsMax)
      throw new PlimsollError('ticket-expired', `the order to start VM ${vmId} was held up for too long: nothing was started`);
    const grant = await this.#grant;
    if (!leaseHolds(grant, this.#nowMs()) || !grant.vmIds.includes(vmId))
      throw new PlimsollError('lease-ended', `this host has no lease for VM ${vmId}: nothing was started`);
    await this.#gate.admitStart(vmId, vmEpoch);
    this.#parts.log.warn('a VM is started again here', { vmId, vmEpoch });
    this.#starting.add(vmId);
    try {
      await this.#parts.hypervisor.start(vmId, text, signal);
      await this.#forgetFence(vmId);
    } finally {
      this.#starting.delete(vmId);
    }
  }

  /** Throws `lease-ended` for a VM that would be ended as soon as it arrives. */
  async mustLetRun(vmId: VmId): Promise<void> {
    const grant = await this.#grant;
    if (!grant.vmIds.includes(vmId) || leaseHolds(grant, this.#nowMs())) return;
    throw new PlimsollError('lease-ended', `this host's lease has ended, so VM ${vmId} may not run here: wait until it is renewed`);
  }

  async #end(vmId: VmId, signal: AbortSignal): Promise<void> {
    const { clock, hypervisor, log } = this.#parts;
    try {
      const ended = await withDeadline(clock, leaseTerms.fenceMs, signal, async (limited) => {
        // Whether it runs or only arrives is not asked first: a daemon that hangs must not delay the end.
        await this.#noteEnd(vmId, limited);
        return hypervisor.fence(vmId, limited);
      });
      this.#stubborn.delete(vmId);
      if (!ended) return;
      log.error("this host's lease has ended: the VM was ended here, it may be started elsewhere", { vmId });
      await this.#change((grant) => ({ ...grant, fencedVmIds: [...new Set([...grant.fencedVmIds, vmId])] }));
    } catch (error) {
      if (signal.aborted || this.#stubborn.has(vmId)) return;
      this.#stubborn.add(vmId);
      log.error("this host's lease has ended, and the VM could not be ended: it is tried again", { vmId, ...refusalOf(error) });
    }
  }

  /** A disk that is full, or hangs, must not keep the VM running. */
  async #noteEnd(vmId: VmId, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    try {
      await withDeadline(clock, noteMsMax, signal, () => this.#gate.noteEnd(vmId));
    } catch (error) {
      if (!signal.aborted)
        log.error('that the VM is ended here could not be noted: it is ended all the same', { vmId, ...refusalOf(error) });
    }
  }

  async #stateOf(vmId: VmId, grant: LeaseGrant, signal: AbortSignal): Promise<CommandReply<'lease.renew'>['vms'][number]> {
    const { clock, hypervisor, log } = this.#parts;
    try {
      return await withDeadline(clock, lookMsMax, signal, async (limited) => {
        if (await hypervisor.keepDown(vmId, limited))
          log.warn('the hypervisor does not start this VM by itself any more: it is restartable, and started by the controller', { vmId });
        const standing = await hypervisor.standing(vmId, limited);
        if (standing === 'here') await this.#forgetFence(vmId);
        return { vmId, standing: await this.#told(vmId, standing), covered: grant.vmIds.includes(vmId) };
      });
    } catch {
      signal.throwIfAborted();
      return { vmId, standing: null, covered: false };
    }
  }

  async #told(vmId: VmId, standing: VmStanding): Promise<ToldStanding> {
    if (standing === 'here' || standing === 'arriving') return standing;
    if (this.#starting.has(vmId)) return 'starting';
    return (await this.#grant).fencedVmIds.includes(vmId) ? 'fenced' : standing;
  }

  async #forgetFence(vmId: VmId): Promise<void> {
    if (!(await this.#grant).fencedVmIds.includes(vmId)) return;
    await this.#change((grant) => ({ ...grant, fencedVmIds: grant.fencedVmIds.filter((other) => other !== vmId) }));
  }

  /** In the book first. What could not be written does not count. */
  async #change(change: (grant: LeaseGrant) => LeaseGrant): Promise<LeaseGrant> {
    const before = this.#grant;
    const changed = this.#changed(before, change);
    this.#grant = changed.catch(() => before);
    const grant = await changed;
    this.#wake();
    return grant;
  }

  async #changed(before: Promise<LeaseGrant>, change: (grant: LeaseGrant) => LeaseGrant): Promise<LeaseGrant> {
    const grant = change(await before);
    await this.#parts.leaseBook.save(grant);
    return grant;
  }

  #isOwn({ bootId, agentId }: Stamp): boolean {
    return agentId === this.#agentId && bootId === this.#parts.leaseBook.now().bootId;
  }

  #stamp(): Stamp {
    return { ...this.#parts.leaseBook.now(), agentId: this.#agentId };
  }

  #nowMs(): number {
    return this.#parts.leaseBook.now().atMs;
  }
}
