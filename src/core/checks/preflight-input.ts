import type { HostOffer, VmDefinition } from '#core/model/definition.ts';
import type { HostId } from '#core/model/host.ts';
import type { Method } from '#core/model/method.ts';
import type { Refusal } from '#core/model/result.ts';
import type { Bytes } from '#core/model/units.ts';
import type { VmView } from '#core/model/vm.ts';

/** What somebody else has found out: a reason against, null when all is well, or that it was not looked at. */
export type Fact = Refusal | null | 'not-looked-at';

/** As in `HostOffer`: 1,000,000 * major + 1,000 * minor + release; 0: not known, or the host has no such program. */
export interface HypervisorVersions {
  readonly libvirtVersion: number;
  readonly qemuVersion: number;
}

/** Everything that is known about one VM and one host it could go to. What could not be had is null, and makes a check `unknown`. */
export interface PreflightInput {
  readonly vm: VmView;
  readonly sourceHostId: HostId;
  readonly hostId: HostId;
  readonly definition: VmDefinition | null;
  readonly offer: HostOffer | null;
  readonly sourceVersions: HypervisorVersions | null;
  /** Host up, known, not revoked. */
  readonly host: Fact;
  readonly certificate: Fact;
  /** How long the certificate lives that expires first of the two hosts'. */
  readonly certificateLeftMs: number | null;
  /** The upper end of the prediction's range. */
  readonly predictedTotalMsMax: number | null;
  readonly clock: Fact;
  readonly channel: Fact;
  /** Id of a migration of this VM that is under way. */
  readonly otherMigrationId: string | null;
  /** How the VM is to move; `auto`: the choice is made later. */
  readonly method: Method | 'auto';
  readonly methodFault: Fact;
  /** Memory of other VMs on their way to the host that its `memoryFreeBytes` still counts as free. */
  readonly incomingBytes: Bytes;
  /** One for each rule that is broken, and one for a cordon. */
  readonly rules: readonly Refusal[];
  /** 0: none. */
  readonly coolDownLeftMs: number;
  /** A cool-down binds the planner; an operator is only told of it. */
  readonly askedBy: 'operator' | 'planner';
  readonly downtime: Fact;
}

/** The same with both halves of the comparison there. */
export interface Pair {
  readonly input: PreflightInput;
  readonly definition: VmDefinition;
  readonly offer: HostOffer;
}
