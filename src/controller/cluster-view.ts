import { acceptSample } from '#core/load/accept-sample.ts';
import { cpuUsedCores, type HostLoad, nextHostLoad, snapshotHostOf, snapshotVmsOf, vmCpuCores } from '#core/load/host-load.ts';
import type { HostAddresses, HostId, HostStatus } from '#core/model/host.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Sample } from '#core/model/sample.ts';
import type { Relief, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import type { Cores } from '#core/model/units.ts';
import type { VmId } from '#core/model/vm.ts';
import { compareText } from '#core/planner/cool-down.ts';
import { isAbove, loadOf, nextRelief, nextRoundsOverLine, noRelief, startLimit } from '#core/planner/line.ts';
import type { HostRecord } from '#core/store.ts';
import type { AgentFacts } from './agent-lines.ts';

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
  readonly samplesRejected: number;
}

export type Ingest = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** The cluster in memory: the newest accepted samples, smoothed, and which hosts are connected. */
export class ClusterView {
  readonly #policy: Policy;
  readonly #hosts = new Map<HostId, HostView>();
  /** Where VMs have been seen to run after a migration or a start, until the samples say the same. */
  readonly #placed = new Map<VmId, { readonly hostId: HostId; readonly atMs: number }>();

  constructor(policy: Policy) {
    this.#policy = policy;
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
        samplesRejected: 0,
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
    const verdict = acceptSample(host.load?.mark ?? null, sample, nowMs);
    if (!verdict.ok) {
      this.#hosts.set(host.hostId, { ...host, samplesRejected: host.samplesRejected + 1 });
      return { ok: false, reason: `${verdict.reason}: ${verdict.message}` };
    }
    const load = nextHostLoad(host.load, sample, this.#policy.smoothingHalfLifeMs, this.#carried(sample));
    this.#hosts.set(host.hostId, { ...host, load, samplesAccepted: host.samplesAccepted + 1 });
    return { ok: true };
  }

  /** It runs here since a migration or a start: known at once, though the next samples are seconds away. */
  place(vmId: VmId, hostId: HostId, atMs: number): void {
    this.#placed.set(vmId, { hostId, atMs });
  }

  /** One planning round: counts the rounds over the line and returns the planner's hosts and VMs. */
  nextRound(nowMs: number): { readonly hosts: readonly SnapshotHost[]; readonly vms: readonly SnapshotVm[] } {
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

  /** Each VM once: a running copy before one that waits for memory, and among equals the newest word. */
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
    const vms = [...best.values()].map(({ vm, sampledAtMs }) => this.#whereItIs(vm, sampledAtMs));
    return vms.toSorted((a, b) => compareText(a.name, b.name) || compareText(a.vmId, b.vmId));
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
      snapshotHostOf(host.load, { status: this.status(host, nowMs), roundsOverLine: host.roundsOverLine, relieving: host.relieving })
    );
  }

  /** The smoothed CPU of the sample's VMs that another host knows better. */
  #carried(sample: Sample): ReadonlyMap<VmId, Cores> {
    const here = this.#hosts.get(sample.hostId)?.load;
    const arrived = sample.vms.filter((vm) => vm.cpuUsedCores === null && !here?.vms.has(vm.vmId));
    const carried = new Map<VmId, Cores>();
    if (arrived.length === 0) return carried;
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

  #change(hostId: HostId, change: (host: HostView) => HostView): void {
    const host = this.#hosts.get(hostId);
    if (host) this.#hosts.set(hostId, change(host));
  }
}

function isBetterWord(vm: SnapshotVm, atMs: number, other: SnapshotVm, otherAtMs: number): boolean {
  const running = vm.state === 'running';
  return running === (other.state === 'running') ? atMs > otherAtMs : running;
}
