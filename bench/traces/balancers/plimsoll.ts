/** The product: its own smoothing, counters, ledger and planner, called as its controller calls them in mode automatic. */
import type { Balancer, EndedStep, HostView, MigrationLimits, Step, StepUnderWay, View, VmView } from '#bench/traces/balancer.ts';
import { nextHostLoad, snapshotHostOf, snapshotVmsOf } from '#core/load/host-load.ts';
import type { HostLoad } from '#core/load/host-load.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import { defaultPolicy } from '#core/model/policy.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Sample } from '#core/model/sample.ts';
import type { Relief, Snapshot, SnapshotHost } from '#core/model/snapshot.ts';
import { bytes, cores } from '#core/model/units.ts';
import type { VmSample } from '#core/model/vm.ts';
import { nextRelief, nextRoundsOverLine, noRelief } from '#core/planner/line.ts';
import { wantsMoreThanLine } from '#core/planner/shortage.ts';
import { VmForecasts } from '#controller/vm-forecasts.ts';
import { makePlan } from '#core/planner/make-plan.ts';
import { startableMoves } from '#core/planner/migration-limits.ts';

/** Agents sample each 3 s, and by `balance` the controller looks at what they say each 5 s. */
const sampleSeconds = 5;
const planSeconds = 60;
/** As the controller reads its ledger. */
const ledgerLookBack = 4;

interface HostMemory {
  readonly load: HostLoad;
  readonly roundsOverLine: number;
  readonly relieving: Relief;
}

export class Plimsoll implements Balancer {
  readonly name = 'plimsoll';
  readonly periodSeconds = sampleSeconds;
  readonly limits: MigrationLimits;
  readonly #policy: Policy;
  readonly #hosts = new Map<string, HostMemory>();
  readonly #forecasts: VmForecasts;
  #ledger: readonly LedgerEntry[] = [];
  #sequence = 0;

  constructor(policy: Policy = defaultPolicy) {
    this.#policy = policy;
    this.#forecasts = new VmForecasts(policy.forecast.horizonMs);
    this.limits = { perHostMax: policy.migrationsPerHostMax, perClusterMax: policy.migrationsPerClusterMax };
  }

  plan(view: View): readonly Step[] {
    const nowMs = view.atSeconds * 1000;
    this.#remember(view.ended, nowMs);
    const incoming = incomingVms(view);
    for (const host of view.hosts) this.#take(host, incoming.get(host.hostId) ?? [], nowMs);
    const isRound = view.atSeconds % planSeconds === 0;
    if (isRound) this.#forecasts.nextRound(nowMs);
    const inFlight = view.underWay;
    const snapshot = this.#snapshot(inFlight, nowMs, isRound);
    if (!isRound && !this.#isUrgent(snapshot)) return [];
    const plan = makePlan(snapshot);
    // What cannot start now is not waited for: the next round sees the cluster as it is then.
    return startableMoves(plan.moves, inFlight, this.#policy).map(({ vmId, fromHostId, toHostId }) => ({ vmId, fromHostId, toHostId }));
  }

  #remember(ended: readonly EndedStep[], nowMs: number): void {
    const entries = ended.map(entryOf);
    const sinceMs = nowMs - this.#policy.coolDownMsMax * ledgerLookBack;
    if (entries.length > 0) this.#ledger = [...this.#ledger.filter(({ endedAtMs }) => endedAtMs >= sinceMs), ...entries];
  }

  #take(host: HostView, incoming: readonly VmView[], takenAtMs: number): void {
    const known = this.#hosts.get(host.hostId);
    this.#sequence += 1;
    const sample = sampleOf(host, incoming, takenAtMs, this.#sequence);
    const load = nextHostLoad(known?.load ?? null, sample, this.#policy.smoothingHalfLifeMs);
    this.#hosts.set(host.hostId, { roundsOverLine: 0, relieving: noRelief, ...known, load });
    this.#forecasts.note(sample, takenAtMs);
  }

  /** As the controller, which does not wait for its next round while a host is short. */
  #isUrgent({ hosts, vms }: Snapshot): boolean {
    if (this.#policy.strategy !== 'balance') return false;
    const vmsOf = Map.groupBy(vms, ({ hostId }) => hostId);
    return hosts.some((host) => wantsMoreThanLine(host, vmsOf.get(host.hostId) ?? [], this.#policy));
  }

  /** Between rounds nothing is counted. */
  #snapshot(inFlight: readonly StepUnderWay[], takenAtMs: number, isRound: boolean): Snapshot {
    const loads = [...this.#hosts.values()].map(({ load }) => load);
    const hosts = [...this.#hosts].flatMap(([hostId, host]) => (isRound ? this.#nextRound(hostId, host) : seen(host)) ?? []);
    return {
      takenAtMs,
      policy: this.#policy,
      hosts,
      vms: loads.flatMap(runningVms).map((vm) => ({ ...vm, forecast: this.#forecasts.of(vm.vmId, vm.vcpus) })),
      inFlight,
      ledger: this.#ledger,
      rules: [],
      refusals: [],
      vmFacts: [],
      bandwidths: [],
      automatic: true,
    };
  }

  #nextRound(hostId: string, host: HostMemory): SnapshotHost | null {
    const now = seen(host);
    if (now === null) return null;
    const roundsOverLine = nextRoundsOverLine(host.roundsOverLine, now, this.#policy);
    const relieving = nextRelief(host.relieving, { ...now, roundsOverLine }, this.#policy);
    this.#hosts.set(hostId, { load: host.load, roundsOverLine, relieving });
    return { ...now, roundsOverLine, relieving };
  }
}

function seen({ load, ...counted }: HostMemory): SnapshotHost | null {
  return snapshotHostOf(load, { status: 'up', quarantine: null, cordoned: false, unfit: null, ...counted });
}

/** The controller prefers the running copy of a VM that two hosts report. */
function runningVms(load: HostLoad): Snapshot['vms'] {
  return snapshotVmsOf(load).filter(({ state }) => state === 'running');
}

/** By destination: the hypervisor there lists a VM that is on its way. */
function incomingVms({ hosts, underWay }: View): ReadonlyMap<string, readonly VmView[]> {
  const started = underWay.filter(({ startedAtSeconds }) => startedAtSeconds !== null);
  const destinations = new Map(started.map(({ vmId, toHostId }) => [vmId, toHostId]));
  if (destinations.size === 0) return new Map();
  const vms = hosts.flatMap((host) => host.vms.filter(({ vmId }) => destinations.has(vmId)));
  return Map.groupBy(vms, ({ vmId }) => destinations.get(vmId) ?? '');
}

function sampleOf(host: HostView, incoming: readonly VmView[], takenAtMs: number, sequence: number): Sample {
  return {
    hostId: host.hostId,
    bootId: 'boot',
    sequence,
    takenAtMs,
    host: {
      cpuUsedCores: cores(host.cpuUsedCores),
      memoryUsedBytes: bytes(host.memoryUsedBytes),
      capacity: { cpuCores: cores(host.cpuCores), memoryBytes: bytes(host.memoryBytes) },
      pressure: null,
    },
    vms: [...host.vms.map((vm) => vmSampleOf(vm, 'running')), ...incoming.map((vm) => vmSampleOf(vm, 'incoming'))],
  };
}

function vmSampleOf(vm: VmView, state: 'running' | 'incoming'): VmSample {
  return {
    vmId: vm.vmId,
    name: vm.vmId,
    state,
    vcpus: vm.vcpus,
    memoryBytes: bytes(vm.memoryBytes),
    memoryResidentBytes: bytes(vm.memoryBytes),
    cpuUsedCores: state === 'running' ? cores(vm.cpuUsedCores) : null,
    cpuDelayCores: state === 'running' ? cores(vm.cpuDelayCores) : null,
    netReceivedBytesPerSecond: null,
    netSentBytesPerSecond: null,
    diskReadBytesPerSecond: null,
    diskWrittenBytesPerSecond: null,
  };
}

function entryOf({ vmId, fromHostId, toHostId, startedAtSeconds, endedAtSeconds, outcome }: EndedStep): LedgerEntry {
  return {
    migrationId: `migration-${vmId}-${startedAtSeconds}`,
    vmId,
    fromHostId,
    toHostId,
    cause: 'balance',
    startedAtMs: startedAtSeconds * 1000,
    endedAtMs: endedAtSeconds * 1000,
    outcome: outcome === 'moved' ? 'moved' : 'stayed',
    failureCode: null,
    sentBytes: null,
  };
}
