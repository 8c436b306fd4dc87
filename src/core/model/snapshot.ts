import type { MemoryActivity } from './forecast.ts';
import type { HostCapacity, HostId, HostStatus } from './host.ts';
import type { Labels } from './label.ts';
import type { LedgerEntry } from './ledger.ts';
import type { Policy } from './policy.ts';
import type { PairRefusal, Rule } from './rule.ts';
import type { Pressure } from './sample.ts';
import type { Bytes, Cores } from './units.ts';
import type { VmId, VmState } from './vm.ts';

export interface Relief {
  readonly cpu: boolean;
  readonly memory: boolean;
}

/** A host that is not believed, and why. */
export interface Quarantine {
  /** Why the newest of its samples that gave cause for it was not taken. Stable. */
  readonly code: string;
  readonly message: string;
  readonly sinceMs: number;
  /** Samples in a row that have to be clean until it is believed again. */
  readonly cleanSamplesLeft: number;
}

export interface SnapshotHost {
  readonly hostId: HostId;
  readonly status: HostStatus;
  readonly capacity: HostCapacity;
  /** Smoothed. */
  readonly cpuUsedCores: Cores;
  readonly memoryUsedBytes: Bytes;
  /** Through its own cards and disks, both directions; smoothed; null where its agent does not know. */
  readonly networkBytesPerSecond: number | null;
  readonly diskBytesPerSecond: number | null;
  readonly pressure: Pressure | null;
  /** When the newest accepted sample was taken. */
  readonly sampledAtMs: number;
  /** Planning rounds in a row, this one included, in which the host was over a start line. */
  readonly roundsOverLine: number;
  /** Relief has begun for this resource: it lasts until its stop line. */
  readonly relieving: Relief;
  /** Null while it is believed. */
  readonly quarantine: Quarantine | null;
  /** It takes no new VMs: an operator wants it so. */
  readonly cordoned: boolean;
  /** Why no migration from or to it would begin, such as a certificate that has ended; null when nothing is known against it. */
  readonly unfit: string | null;
}

/** Of means of five minutes, the older the less. */
export interface UsualUse {
  readonly meanCores: Cores;
  /** Standard deviation. */
  readonly spreadCores: Cores;
}

/** What a VM is expected to use from now on until the horizon. Earned: each forecast is scored when its horizon has passed. */
export interface VmForecast {
  /** Mean over the horizon. */
  readonly meanCores: Cores;
  /** Nine of ten means of five minutes within the horizon are expected not to be above it. */
  readonly highCores: Cores;
  readonly horizonMs: number;
  /** Of its last hours, whatever it does now: what it will want at some time after the horizon. Not there in snapshots of before it was kept. */
  readonly usual?: UsualUse;
  /** 0: no better than that the VM goes on as it is. 100: far better, or the VM does not change, and the high figure was kept. */
  readonly confidencePercent: number;
}

export interface SnapshotVm {
  readonly vmId: VmId;
  readonly name: string;
  readonly hostId: HostId;
  readonly state: VmState;
  readonly vcpus: number;
  /** Smoothed. */
  readonly cpuUsedCores: Cores;
  /** What it wanted beyond that and had to wait for; smoothed. */
  readonly cpuDelayCores: Cores;
  readonly memoryBytes: Bytes;
  /** Both directions; smoothed; null where it is not known. */
  readonly networkBytesPerSecond: number | null;
  readonly diskBytesPerSecond: number | null;
  /** Null where nothing is known yet. */
  readonly forecast: VmForecast | null;
}

/** What is known of a VM beside its load that says how it may be moved. */
export interface VmFacts {
  readonly vmId: VmId;
  /** Null: nobody has given it one. One that the policy does not have counts as `standard`. */
  readonly slaClass: string | null;
  readonly tenant: string | null;
  /** Not there where it has none. */
  readonly labels?: Labels;
  /** Null where it was not looked at, or too long ago. */
  readonly activity: MemoryActivity | null;
}

/** What a migration between two hosts gets of their encrypted channel, whoever sends; `hostA` < `hostB`. */
export interface PairBandwidth {
  readonly hostA: HostId;
  readonly hostB: HostId;
  readonly bytesPerSecond: number;
  readonly measuredAtMs: number;
  /** What earlier migrations took, in times of what the model says of them. */
  readonly factors: { readonly total: number; readonly downtime: number; readonly bytes: number };
}

/** A migration that is under way: its VM may not be planned again and its destination's room is taken. */
export interface InFlight {
  readonly vmId: VmId;
  readonly fromHostId: HostId;
  readonly toHostId: HostId;
}

/** The whole cluster as the planner sees it. A file can hold one. */
export interface Snapshot {
  readonly takenAtMs: number;
  readonly policy: Policy;
  readonly hosts: readonly SnapshotHost[];
  readonly vms: readonly SnapshotVm[];
  readonly inFlight: readonly InFlight[];
  readonly ledger: readonly LedgerEntry[];
  readonly rules: readonly Rule[];
  /** Pairs of VM and host that were refused not long ago. */
  readonly refusals: readonly PairRefusal[];
  /** Of VMs of which anything of it is known; each once. */
  readonly vmFacts: readonly VmFacts[];
  /** Of pairs that were measured; each once. */
  readonly bandwidths: readonly PairBandwidth[];
  /** Its plan is carried out without a person's approval. */
  readonly automatic: boolean;
}
