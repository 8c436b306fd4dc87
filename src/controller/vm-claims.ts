/** Which hosts say that they run a VM, to find two that say so of the same one. */
import type { SampleRejection } from '#core/load/rejection.ts';
import type { HostId } from '#core/model/host.ts';
import type { Sample } from '#core/model/sample.ts';
import type { VmId } from '#core/model/vm.ts';

interface Claim {
  readonly hostId: HostId;
  readonly takenAtMs: number;
  /** By the controller's clock: those of two hosts may differ. */
  readonly heardAtMs: number;
}

/** When a host was last heard to claim something. */
export type Heard = Pick<Claim, 'takenAtMs' | 'heardAtMs'>;

export class VmClaims {
  /** The newest of each VM. */
  readonly #claims = new Map<VmId, Claim>();
  /** A VM that is on its way may be said to run at both ends for a moment. */
  readonly #isMoving: (vmId: VmId) => boolean;

  constructor(isMoving: (vmId: VmId) => boolean) {
    this.#isMoving = isMoving;
  }

  /**
   * The host that runs one of the sample's VMs, too; null when none does. It must have said so between this sample and the one before it,
   * which claimed the VM as well: one word each may be a VM that somebody moved, two words each way round are two copies or a lie.
   */
  rival(
    sample: Sample,
    before: Heard,
    ranHere: (vmId: VmId) => boolean,
  ): { readonly hostId: HostId; readonly rejection: SampleRejection } | null {
    for (const { vmId, name, state } of sample.vms) {
      if (state !== 'running' || !ranHere(vmId)) continue;
      const claim = this.#claims.get(vmId);
      if (claim === undefined || claim.hostId === sample.hostId || this.#isMoving(vmId)) continue;
      if (claim.heardAtMs <= before.heardAtMs || claim.takenAtMs <= before.takenAtMs) continue;
      const message = `${name} is said to run on ${claim.hostId} and on ${sample.hostId}, and nobody moves it`;
      return { hostId: claim.hostId, rejection: { reason: 'vm-on-two-hosts', message } };
    }
    return null;
  }

  note({ hostId, takenAtMs, vms }: Sample, heardAtMs: number): void {
    for (const { vmId, state } of vms) if (state === 'running') this.#claims.set(vmId, { hostId, takenAtMs, heardAtMs });
  }

  /** Claims that nobody has repeated since are of the past. */
  forgetBefore(heardAtMs: number): void {
    for (const [vmId, claim] of this.#claims) if (claim.heardAtMs < heardAtMs) this.#claims.delete(vmId);
  }
}
