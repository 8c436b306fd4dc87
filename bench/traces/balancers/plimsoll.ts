/** The product: its controller's own view of the cluster, ledger and planner, called as the controller calls them in mode automatic. */
import type { Balancer, EndedStep, HostView, MigrationLimits, Step, StepUnderWay, View, VmView } from '#bench/traces/balancer.ts';
import type { AgentFacts } from '#controller/agent-lines.ts';
import { ClusterView } from '#controller/cluster-view.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import { defaultPolicy } from '#core/model/policy.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Sample } from '#core/model/sample.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { bytes, cores } from '#core/model/units.ts';
import type { VmId, VmSample } from '#core/model/vm.ts';
import { makePlan } from '#core/planner/make-plan.ts';
import { startableMoves } from '#core/planner/migration-limits.ts';

/**
 * Agents sample each 3 s, and by `balance` the controller looks each 5 s at what they say. Here both are one step: a change is seen after 2.5 s on
 * average, where the product takes 4 s.
 */
const sampleSeconds = 5;
const planSeconds = 60;
/** As the controller reads its ledger. */
const ledgerLookBack = 4;
/** What an agent says of itself is not what is compared. */
const facts: AgentFacts = {
  addresses: { underlay: '', protected: '', interface: '' },
  hypervisor: null,
  ipsec: null,
  certificate: { sha256: '', notAfterMs: Number.POSITIVE_INFINITY },
};

export class Plimsoll implements Balancer {
  readonly name = 'plimsoll';
  readonly periodSeconds = sampleSeconds;
  readonly limits: MigrationLimits;
  readonly #policy: Policy;
  readonly #cluster: ClusterView;
  #underWay: readonly StepUnderWay[] = [];
  #ledger: readonly LedgerEntry[] = [];
  #sequence = 0;

  constructor(policy: Policy = defaultPolicy) {
    this.#policy = policy;
    const takesPart = (hostId: string) => (step: StepUnderWay) => step.fromHostId === hostId || step.toHostId === hostId;
    const copiedAt = (hostId: string) => this.#underWay.filter(takesPart(hostId)).map(({ vmId }) => vmId);
    const isMoving = (vmId: VmId) => this.#underWay.some((step) => step.vmId === vmId);
    this.#cluster = new ClusterView(policy, isMoving, undefined, copiedAt);
    this.limits = { perHostMax: policy.migrationsPerHostMax, perClusterMax: policy.migrationsPerClusterMax };
  }

  plan(view: View): readonly Step[] {
    const nowMs = view.atSeconds * 1000;
    this.#underWay = view.underWay;
    this.#remember(view.ended, nowMs);
    for (const sample of this.#samplesOf(view, nowMs)) this.#ingest(sample, nowMs);
    const isRound = view.atSeconds % planSeconds === 0;
    const { hosts, vms } = isRound ? this.#cluster.nextRound(nowMs) : this.#cluster.snapshot(nowMs);
    if (!isRound && !(this.#policy.strategy === 'balance' && this.#cluster.isAnyShort(nowMs))) return [];
    const snapshot: Snapshot = {
      takenAtMs: nowMs,
      policy: this.#policy,
      hosts,
      vms,
      inFlight: view.underWay,
      ledger: this.#ledger,
      rules: [],
      refusals: [],
      vmFacts: [],
      bandwidths: [],
      automatic: true,
    };
    const plan = makePlan(snapshot);
    // What cannot start now is not waited for: the next round sees the cluster as it is then.
    return startableMoves(plan.moves, view.underWay, this.#policy).map(({ vmId, fromHostId, toHostId }) => ({
      vmId,
      fromHostId,
      toHostId,
    }));
  }

  #remember(ended: readonly EndedStep[], nowMs: number): void {
    const entries = ended.map(entryOf);
    const sinceMs = nowMs - this.#policy.coolDownMsMax * ledgerLookBack;
    if (entries.length > 0) this.#ledger = [...this.#ledger.filter(({ endedAtMs }) => endedAtMs >= sinceMs), ...entries];
  }

  #samplesOf(view: View, takenAtMs: number): readonly Sample[] {
    this.#sequence += 1;
    const incoming = incomingVms(view);
    const arrived = new Set(view.ended.filter(({ outcome }) => outcome === 'moved').map(({ vmId }) => vmId));
    return view.hosts.map((host) => {
      const running = host.vms.map((vm) => vmSampleOf(vm, 'running', !arrived.has(vm.vmId)));
      const arriving = (incoming.get(host.hostId) ?? []).map((vm) => vmSampleOf(vm, 'incoming', false));
      return { ...sampleOf(host, [...running, ...arriving]), sequence: this.#sequence, takenAtMs };
    });
  }

  #ingest(sample: Sample, nowMs: number): void {
    const { hostId } = sample;
    if (this.#cluster.host(hostId) === undefined) {
      this.#cluster.adopt({ hostId, joinedAtMs: nowMs, addresses: facts.addresses, lastSeenAtMs: null, revokedAtMs: null });
      this.#cluster.connect(hostId, facts);
    }
    const taken = this.#cluster.ingest(sample, nowMs);
    if (!taken.ok) throw new RangeError(`the product does not take a sample of ${hostId}: ${taken.reason}`);
  }
}

/** By destination: the hypervisor there lists a VM that is on its way. */
function incomingVms({ hosts, underWay }: View): ReadonlyMap<string, readonly VmView[]> {
  const started = underWay.filter(({ startedAtSeconds }) => startedAtSeconds !== null);
  const destinations = new Map(started.map(({ vmId, toHostId }) => [vmId, toHostId]));
  if (destinations.size === 0) return new Map();
  const vms = hosts.flatMap((host) => host.vms.filter(({ vmId }) => destinations.has(vmId)));
  return Map.groupBy(vms, ({ vmId }) => destinations.get(vmId) ?? '');
}

function sampleOf(host: HostView, vms: readonly VmSample[]): Omit<Sample, 'sequence' | 'takenAtMs'> {
  return {
    hostId: host.hostId,
    bootId: 'boot',
    host: {
      cpuUsedCores: cores(host.cpuUsedCores),
      memoryUsedBytes: bytes(host.memoryUsedBytes),
      capacity: { cpuCores: cores(host.cpuCores), memoryBytes: bytes(host.memoryBytes) },
      pressure: null,
    },
    vms,
  };
}

/** `isMeasured`: it has run there since the sample before, or its rates are not known. */
function vmSampleOf(vm: VmView, state: 'running' | 'incoming', isMeasured: boolean): VmSample {
  return {
    vmId: vm.vmId,
    name: vm.vmId,
    state,
    vcpus: vm.vcpus,
    memoryBytes: bytes(vm.memoryBytes),
    memoryResidentBytes: bytes(vm.memoryBytes),
    cpuUsedCores: isMeasured ? cores(vm.cpuUsedCores) : null,
    cpuDelayCores: isMeasured ? cores(vm.cpuDelayCores) : null,
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
