/** What a balancer is given and what it answers: the only thing that the compared ones have in common. */

/** A VM as its host measures it; figures are means since the balancer was asked last. */
export interface VmView {
  readonly vmId: string;
  readonly vcpus: number;
  readonly memoryBytes: number;
  /** CPU received, not demanded. */
  readonly cpuUsedCores: number;
  /** Time that its virtual CPUs waited for a physical one, in cores: the kernel counts it. */
  readonly cpuDelayCores: number;
}

/** A host as it measures itself; figures are means since the balancer was asked last. */
export interface HostView {
  readonly hostId: string;
  readonly cpuCores: number;
  readonly memoryBytes: number;
  /** Never above its cores: what is wanted beyond them cannot be measured as use. Migrations' own work is in it. */
  readonly cpuUsedCores: number;
  /** With the memory that is reserved for VMs on their way here. */
  readonly memoryUsedBytes: number;
  readonly vms: readonly VmView[];
}

/** One VM from one host to another. */
export interface Step {
  readonly vmId: string;
  readonly fromHostId: string;
  readonly toHostId: string;
}

export interface StepUnderWay extends Step {
  /** Null while it waits for the balancer's own limits. */
  readonly startedAtSeconds: number | null;
}

export interface EndedStep extends Step {
  readonly startedAtSeconds: number;
  readonly endedAtSeconds: number;
  /** `refused`: the destination had no room, or the step was meaningless. */
  readonly outcome: 'moved' | 'refused';
}

/** The cluster as a real balancer could know it. */
export interface View {
  readonly atSeconds: number;
  readonly hosts: readonly HostView[];
  readonly underWay: readonly StepUnderWay[];
  /** Since the balancer was asked last. */
  readonly ended: readonly EndedStep[];
}

/** Migrations at one time that the balancer allows itself. */
export interface MigrationLimits {
  readonly perHostMax: number;
  readonly perClusterMax: number;
}

/** Keeps its own state (smoothing, counters, cool-downs) between calls. */
export interface Balancer {
  readonly name: string;
  /** It is asked this often. */
  readonly periodSeconds: number;
  readonly limits: MigrationLimits;
  /** Its steps start in this order as far as its limits allow; the others wait for their turn. */
  plan(view: View): readonly Step[];
}

/** A balancer for the table: a fresh one for each run. */
export interface Entrant {
  readonly name: string;
  create(): Balancer;
}
