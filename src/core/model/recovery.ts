import type { VmDefinition } from './definition.ts';
import type { HostId } from './host.ts';
import type { VmId } from './vm.ts';

/** What a hypervisor has of a VM, as far as starting it again is concerned. */
export const vmStandings = ['absent', 'gone', 'here', 'arriving', 'crashed', 'stopped', 'unknown'] as const;

/**
 * - `here`: its process lives, whatever its state.
 * - `arriving`: a migration brings it.
 * - `crashed`: its process has died, or could not be started.
 * - `stopped`: a person or the guest itself has ended it, or saved it.
 * - `gone`: a migration has taken it away, its definition stayed.
 * - `unknown`: it does not run, and the hypervisor does not know why.
 */
export type VmStanding = (typeof vmStandings)[number];

/** The same as its agent tells it: `fenced` it has ended the VM with its lease, `starting` it is starting the VM just now. */
export type ToldStanding = VmStanding | 'fenced' | 'starting';

/** By the clock of the host's boot, which goes on while the machine sleeps and while no agent runs. */
export interface BootTime {
  readonly bootId: string;
  readonly atMs: number;
}

/**
 * What an agent has been granted, and whom it binds. Kept where it outlives the agent's process and ends with the machine, as the VMs do.
 * `endsAtMs` is by the clock of the host's boot; 0: never granted.
 */
export interface LeaseGrant {
  readonly endsAtMs: number;
  /** They run here under the lease only. */
  readonly vmIds: readonly VmId[];
  /** Ended here with the lease, and not started since. */
  readonly fencedVmIds: readonly VmId[];
}

/**
 * - `watched`: runs on `hostId`, as far as is known.
 * - `missing`: a migration of it has ended, and which host has it is not known; it is looked for.
 * - `off`: ended by a person, or nobody knows why: it is not started.
 * - `down`: is to be started as soon as that is safe.
 * - `starting`: the order to start it on `hostId` has gone out, or was about to.
 * - `given-up`: was started too often; a person has to look.
 */
export type RecoveryPhase = 'watched' | 'missing' | 'off' | 'down' | 'starting' | 'given-up';

/** The durable record of one VM that is marked restartable. */
export interface Recovery {
  readonly vmId: VmId;
  readonly vmName: string;
  readonly phase: RecoveryPhase;
  readonly phaseSinceMs: number;
  /** Where it runs, ran last, or is being started; null before it was seen to run. */
  readonly hostId: HostId | null;
  /** The boot of that host in which it was last seen to run, or is to be started; null when that was not told. */
  readonly bootId: string | null;
  /** Hosts whose agents may hold it under their lease: each is told until it has confirmed that it need not any more. */
  readonly toldHostIds: readonly HostId[];
  /** Those of them that have confirmed that they end it with their lease, and that it does not start by itself there. */
  readonly coveredHostIds: readonly HostId[];
  /** Of the newest start. */
  readonly vmEpoch: number;
  /** Starts since it last ran for long. */
  readonly attempts: number;
  /** Not started before this time. */
  readonly notBeforeMs: number;
  /** Why it is in this phase, or what a start waits for: one sentence. */
  readonly reason: string;
  /** As it was when it ran last; its text is among the VM's settings. */
  readonly definition: VmDefinition | null;
  /** False: the operator has taken the mark away, and some agents are still to be told. */
  readonly wanted: boolean;
}
