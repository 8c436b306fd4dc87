/** Channels that are not IPsec for the agent's own tests: live ones go through the fake hypervisor, images exist in words only. */
import { moveImage } from '#core/migration/image-move.ts';
import type { PlimsollError } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import type { Clock, Hypervisor } from '#core/ports.ts';
import type { ImageDestination, ImageOffer, IncomingImages, KeptImages, RestoreVerdict, Transports } from '#core/transports.ts';

type Step = 'save' | 'send' | 'give-away' | 'take-back' | 'forget' | 'offer' | 'open' | 'restore' | 'discard' | 'sweep';

export const imageOffer: ImageOffer = {
  address: '10.0.0.2',
  port: 49_220,
  token: 'ab'.repeat(32),
  recipient: `age1${'q'.repeat(58)}`,
};
export const imageDigest = { sha256: 'cd'.repeat(32), bytes: 7 };

/** Both ends of images on one host. The notes are its disk: they outlive the agents that use it. */
export class FakeTransports implements Transports {
  readonly notes = new Map<VmId, 'kept' | 'given'>();
  held: Awaited<ReturnType<IncomingImages['standing']>> = null;
  verdict: RestoreVerdict = { kind: 'running' };
  readonly log: Step[] = [];
  /** Steps that fail, and steps that wait for their promise. */
  readonly failing = new Map<Step, PlimsollError>();
  readonly waiting = new Map<Step, Promise<void>>();
  readonly #hypervisor: Hypervisor;
  readonly #clock: Clock;
  #hasSsh = true;

  constructor(hypervisor: Hypervisor, clock: Clock) {
    this.#hypervisor = hypervisor;
    this.#clock = clock;
  }

  withoutSsh(): void {
    this.#hasSsh = false;
  }

  readonly fault: Transports['fault'] = (kind) =>
    kind === 'ssh' && !this.#hasSsh ? { code: 'profile-unsupported', message: 'give agent.yaml ssh' } : null;

  readonly migrate: Transports['migrate'] = async (kind, request, peerImages: ImageDestination, onProgress, signal) => {
    if (kind === 'sealed-image') {
      const ends = { source: this.kept, destination: peerImages, clock: this.#clock };
      return { ...(await moveImage(ends, request.vmId, onProgress, signal)), cipher: 'age' };
    }
    const { peerUnderlay: peerAddress, ...rest } = request;
    const streamSecurity = kind === 'qemu-tls' ? 'qemu-tls' : 'none';
    return { ...(await this.#hypervisor.migrate({ ...rest, peerAddress, streamSecurity }, onProgress, signal)), cipher: null };
  };

  readonly kept: KeptImages = {
    save: async (vmId) => this.#do('save', () => this.notes.set(vmId, 'kept')),
    send: async () => {
      await this.#do('send');
      return imageDigest;
    },
    giveAway: async (vmId) => this.#do('give-away', () => this.notes.set(vmId, 'given')),
    takeBack: async (vmId) => this.#do('take-back', () => this.notes.delete(vmId)),
    forget: async (vmId) => this.#do('forget', () => this.notes.delete(vmId)),
    standings: () => Promise.resolve(new Map(this.notes)),
  };

  readonly incoming: IncomingImages = {
    sweep: async () => this.#do('sweep', () => (this.held = null)),
    standing: () => Promise.resolve(this.held),
    offer: async () => {
      await this.#do('offer', () => (this.held = 'offered'));
      return imageOffer;
    },
    open: async () => this.#do('open', () => (this.held = 'opened')),
    restore: async () => {
      await this.#do('restore', () => (this.held = null));
      return this.verdict;
    },
    discard: async () => this.#do('discard', () => (this.held = null)),
  };

  async #do(step: Step, effect: () => unknown = () => undefined): Promise<void> {
    if (step !== 'sweep') this.log.push(step);
    await this.waiting.get(step);
    const fault = this.failing.get(step);
    if (fault !== undefined) throw fault;
    effect();
  }
}
