import { acceptSample } from '#core/load/accept-sample.ts';
import { afterClean, afterDoubt, afterRejection, type HostTrust, newTrust } from '#core/load/host-trust.ts';
import { cpuUsedCores, type HostLoad, nextHostLoad, snapshotHostOf, snapshotVmsOf, vmCpuCores } from '#core/load/host-load.ts';
import type { RejectionCounts, SampleRejection } from '#core/load/rejection.ts';
import type { HostAddresses, HostId, HostStatus } from '#core/model/host.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Sample } from '#core/model/sample.ts';
import type { Relief, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import type { Cores } from '#core/model/units.ts';
import type { VmId } from '#core/model/vm.ts';
import { compareText } from '#core/planner/cool-down.ts';
import { isAbove, loadOf, nextRelief, nextRoundsOverLine, noRelief, startLimit } from '#core/planner/line.ts';
import { wantsMoreThanLine } from '#core/planner/shortage.ts';
import type { HostRecord } from '#core/store.ts';
import type { AgentFacts } from './agent-lines.ts';
import { type ForecastSummary, VmForecasts } from './vm-forecasts.ts';
import { VmClaims } from './vm-claims.ts';

/** What the controller knows of one host at this moment. */
export interface HostView {
  readonly hostId: HostId;
  readonly joinedAtMs: number;
  readonly addresses: HostAddresses | null;
  readonly facts: AgentFacts | null;
  readonly load: HostLoad | null;
  readonly connected: boolean;
  readonly roundsOverLine: number;
  readonly relieving: Relief;
  readonly samplesAccepted: number;
  /** When the newest of them came; 0 before the first. */
  readonly heardAtMs: number;
  readonly trust: HostTrust;
}

/** What an operator and the watch over certificates, clocks and guards say of a host. */
export type Standing = Pick<SnapshotHost, 'cordoned' | 'unfit'>;

const inGoodStanding: Standing = { cordoned: false, unfit: null };

export type Ingest = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** The cluster in memory: the newest accepted samples, smoothed, and which hosts are connected. */
export class ClusterView {
  readonly #policy: Policy;
  readonly #standingOf: (hostId: HostId) => Standing;
  readonly #hosts = new Map<HostId, HostView>();
  /** Where VMs have been seen to run after a migration or a start, until the samples say the same. */
  readonly #placed = new Map<VmId, { readonly hostId: HostId; readonly atMs: number }>();
  /** By host: the VMs whose migrations it took part in at its newest sample. */
  readonly #copied = new Map<HostId, ReadonlySet<VmId>>();
  readonly #copiedAt: (hostId: HostId) => readonly VmId[];
  /** What VMs used on the hosts that have just stopped listing them: one that has moved takes it along, whichever host speaks first. */
  readonly #left = new Map<VmId, { readonly cpu: Cores; readonly atMs: number }>();
  readonly #claims: VmClaims;
  readonly #forecasts: VmForecasts;

  /** `isMoving`: a migration of this VM is under way. `copiedAt`: the VMs whose migrations the host takes part in. */
  constructor(
    policy: Policy,
    isMoving: (vmId: VmId) => boolean = () => false,
    standingOf: (hostId: HostId) => Standing = () => inGoodStanding,
    copiedAt: (hostId: HostId) => readonly VmId[] = () => [],
  ) {
    this.#copiedAt = copiedAt;
    this.#policy = policy;
    this.#claims = new VmClaims(isMoving);
    this.#forecasts = new VmForecasts(policy.forecast.horizonMs);
    this.#standingOf = standingOf;
  }

  adopt(record: HostRecord): void {
    const known = this.#hosts.get(record.hostId);
    this.#hosts.set(record.hostId, {
      ...(known ?? {
        facts: null,
        load: null,
        connected: false,
        roundsOverLine: 0,
        relieving: noRelief,
        samplesAccepted: 0,
        heardAtMs: 0,
        trust: newTrust(),
      }),
      hostId: record.hostId,
      joinedAtMs: record.joinedAtMs,
      addresses: record.addresses,
    });
  }

  connect(hostId: HostId, facts: AgentFacts): void {
    this.#change(hostId, (host) => ({ ...host, connected: true, facts, addresses: facts.addresses }));
  }

  disconnect(hostId: HostId): void {
    this.#change(hostId, (host) => ({ ...host, connected: false, roundsOverLine: 0, relieving: noRelief }));
  }

  /** Takes in a sample, or counts it as rejected and says why. */
  ingest(sample: Sample, nowMs: number): Ingest {
    const host = this.#hosts.get(sample.hostId);
    if (!host) return { ok: false, reason: 'host has not joined' };
    const verdict = acceptSample(host.load?.mark ?? null, sample, nowMs, host.trust.said);
    if (!verdict.ok) return this.#reject(host, sample, verdict, nowMs);
    const rival = this.#rivalOf(host, sample);
    if (rival !== null) {
      // Which of the two is right cannot be told from here.
      this.#change(rival.hostId, (other) => ({ ...other, trust: afterDoubt(other.trust, rival.rejection, nowMs) }));
      return this.#reject(host, sample, rival.rejection, nowMs);
    }
    this.#claims.note(sample, nowMs);
    this.#forecasts.note(sample, nowMs);
    const load = nextHostLoad(host.load, sample, this.#policy.smoothingHalfLifeMs, this.#carried(sample), this.#nextCopied(host.hostId));
    this.#noteLeft(host.load, sample, nowMs);
    const trust = afterClean(host.trust, sample);
    this.#hosts.set(host.hostId, { ...host, load, trust, samplesAccepted: host.samplesAccepted + 1, heardAtMs: nowMs });
    return { ok: true };
  }

  /** How many samples of all hosts were not taken, by reason. */
  rejected(): RejectionCounts {
    const sums: Record<string, number> = {};
    for (const { trust } of this.#hosts.values()) {
      for (const [reason, amount] of Object.entries(trust.rejected)) sums[reason] = (sums[reason] ?? 0) + amount;
    }
    return sums;
  }

  /** It runs here since a migration or a start: known at once, though the next samples are seconds away. */
  place(vmId: VmId, hostId: HostId, atMs: number): void {
    this.#placed.set(vmId, { hostId, atMs });
  }

  /** One planning round: counts the rounds over the line, forecasts, and returns the planner's hosts and VMs. */
  nextRound(nowMs: number): { readonly hosts: readonly SnapshotHost[]; readonly vms: readonly SnapshotVm[] } {
    this.#forecasts.nextRound(nowMs);
    const sinceMs = nowMs - this.#policy.sampleAgeMsMax;
    this.#claims.forgetBefore(sinceMs);
    for (const [vmId, { atMs }] of this.#left) if (atMs < sinceMs) this.#left.delete(vmId);
    for (const host of this.#hosts.values()) {
      const seen = this.#snapshotHost(host, nowMs);
      const roundsOverLine = seen === null ? 0 : nextRoundsOverLine(host.roundsOverLine, seen, this.#policy);
      const relieving = seen === null ? noRelief : nextRelief(host.relieving, { ...seen, roundsOverLine }, this.#policy);
      this.#hosts.set(host.hostId, { ...host, roundsOverLine, relieving });
    }
    return this.snapshot(nowMs);
  }

  snapshot(nowMs: number): { readonly hosts: readonly SnapshotHost[]; readonly vms: readonly SnapshotVm[] } {
    const hosts = [...this.#hosts.values()].flatMap((host) => this.#snapshotHost(host, nowMs) ?? []);
    return { hosts, vms: this.vms() };
  }

  /** Whether the VMs of any host that is up want more CPU than its start line. */
  isAnyShort(nowMs: number): boolean {
    return [...this.#hosts.values()].some((host) => {
      const seen = host.load && this.status(host, nowMs) === 'up' ? this.#snapshotHost(host, nowMs) : null;
      return seen !== null && host.load !== null && wantsMoreThanLine(seen, snapshotVmsOf(host.load), this.#policy);
    });
  }

  hosts(): readonly HostView[] {
    return [...this.#hosts.values()].toSorted((a, b) => (a.hostId < b.hostId ? -1 : 1));
  }

  host(hostId: HostId): HostView | undefined {
    return this.#hosts.get(hostId);
  }

  status(host: HostView, nowMs: number): HostStatus {
    if (host.load === null) return host.connected ? 'silent' : 'joined';
    const fresh = nowMs - host.load.mark.takenAtMs <= this.#policy.sampleAgeMsMax;
    return host.connected && fresh ? 'up' : 'silent';
  }

  overLine(host: HostView, nowMs: number): boolean {
    const seen = this.#snapshotHost(host, nowMs);
    return seen !== null && isAbove(loadOf(seen), startLimit(this.#policy));
  }

  /** Smoothed; null before the first rate is known. */
  cpuUsedCores(host: HostView): Cores | null {
    return host.load && cpuUsedCores(host.load);
  }

  snapshotHost(host: HostView, nowMs: number): SnapshotHost | null {
    return this.#snapshotHost(host, nowMs);
  }

  /** Each VM once: a running copy before a halted one, that before one that waits for memory, and among equals the newest word. */
  vms(): readonly SnapshotVm[] {
    const best = new Map<VmId, { readonly vm: SnapshotVm; readonly sampledAtMs: number }>();
    for (const { load } of this.#hosts.values()) {
      if (load === null) continue;
      const sampledAtMs = load.mark.takenAtMs;
      for (const vm of snapshotVmsOf(load)) {
        const other = best.get(vm.vmId);
        if (!other || isBetterWord(vm, sampledAtMs, other.vm, other.sampledAtMs)) best.set(vm.vmId, { vm, sampledAtMs });
      }
    }
    const vms = [...best.values()].map(({ vm, sampledAtMs }) => this.#forecast(this.#whereItIs(vm, sampledAtMs)));
    return vms.toSorted((a, b) => compareText(a.name, b.name) || compareText(a.vmId, b.vmId));
  }

  /** How the forecasts came out so far. */
  forecasts(): ForecastSummary {
    return this.#forecasts.summary();
  }

  #forecast(vm: SnapshotVm): SnapshotVm {
    const forecast = this.#forecasts.of(vm.vmId, vm.vcpus);
    return forecast === null ? vm : { ...vm, forecast };
  }

  #whereItIs(vm: SnapshotVm, sampledAtMs: number): SnapshotVm {
    const placed = this.#placed.get(vm.vmId);
    if (!placed) return vm;
    // It was seen to run there; an older sample may say that it was paused for the switch-over.
    if (sampledAtMs <= placed.atMs) return { ...vm, hostId: placed.hostId, state: 'running' };
    this.#placed.delete(vm.vmId);
    return vm;
  }

  #snapshotHost(host: HostView, nowMs: number): SnapshotHost | null {
    return (
      host.load &&
      snapshotHostOf(host.load, {
        ...host,
        ...this.#standingOf(host.hostId),
        status: this.status(host, nowMs),
        quarantine: host.trust.quarantine,
      })
    );
  }

  #reject(host: HostView, sample: Sample, rejection: SampleRejection, nowMs: number): Ingest {
    this.#hosts.set(host.hostId, { ...host, trust: afterRejection(host.trust, sample, rejection, nowMs) });
    return { ok: false, reason: `${rejection.reason}: ${rejection.message}` };
  }

  /** With those of the sample before: a migration that has ended since then is in this one's rates too. */
  #nextCopied(hostId: HostId): ReadonlySet<VmId> | null {
    const before = this.#copied.get(hostId);
    const now = new Set(this.#copiedAt(hostId));
    if (now.size > 0) this.#copied.set(hostId, now);
    else this.#copied.delete(hostId);
    return before === undefined && now.size === 0 ? null : new Set([...now, ...(before ?? [])]);
  }

  #rivalOf({ load, heardAtMs }: HostView, sample: Sample): ReturnType<VmClaims['rival']> {
    if (load === null) return null;
    const before = { takenAtMs: load.mark.takenAtMs, heardAtMs };
    return this.#claims.rival(sample, before, (vmId) => load.vms.get(vmId)?.sample.state === 'running');
  }

  /** The smoothed CPU of the sample's VMs that another host knows better. */
  #carried(sample: Sample): ReadonlyMap<VmId, Cores> {
    const here = this.#hosts.get(sample.hostId)?.load;
    const arrived = sample.vms.filter((vm) => {
      const before = here?.vms.get(vm.vmId);
      return vm.state !== 'incoming' && (before === undefined ? vm.cpuUsedCores === null : before.sample.state === 'incoming');
    });
    const carried = new Map<VmId, Cores>();
    if (arrived.length === 0) return carried;
    for (const { vmId } of arrived) {
      const left = this.#left.get(vmId);
      if (left !== undefined) carried.set(vmId, left.cpu);
    }
    for (const host of this.#hosts.values()) {
      if (host.hostId === sample.hostId || host.load === null) continue;
      const known = vmCpuCores(host.load);
      for (const vm of arrived) {
        const cpu = known.get(vm.vmId);
        if (cpu !== undefined) carried.set(vm.vmId, cpu);
      }
    }
    return carried;
  }

  #noteLeft(before: HostLoad | null, { vms }: Sample, nowMs: number): void {
    for (const { vmId, state } of vms) if (state !== 'incoming') this.#left.delete(vmId);
    if (before === null) return;
    const listed = new Set(vms.map(({ vmId }) => vmId));
    for (const [vmId, cpu] of vmCpuCores(before)) if (!listed.has(vmId)) this.#left.set(vmId, { cpu, atMs: nowMs });
  }

  #change(hostId: HostId, change: (host: HostView) => HostView): void {
    const host = this.#hosts.get(hostId);
    if (host) this.#hosts.set(hostId, change(host));
  }
}

function isBetterWord(vm: SnapshotVm, atMs: number, other: SnapshotVm, otherAtMs: number): boolean {
  const [rank, otherRank] = [wordRank(vm), wordRank(other)];
  return rank === otherRank ? atMs > otherAtMs : rank > otherRank;
}

/** One that is halted for its last round is still there, and not yet where it waits for memory. */
function wordRank({ state }: SnapshotVm): number {
  if (state === 'running') return 2;
  return state === 'paused' || state === 'unknown' ? 1 : 0;
}
