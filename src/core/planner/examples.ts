/** Small clusters for tests and benches: an 8-core, 64 GiB host unless told otherwise, everything fresh and sustained. */
import type { HostId } from '#core/model/host.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import { defaultPolicy } from '#core/model/policy.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import type { Bytes, Cores } from '#core/model/units.ts';
import { isAbove, loadOf, noRelief, startLimit } from './line.ts';

export const gibibyte = 2 ** 30;
export const exampleNowMs = 1_800_000_000_000;

/** A VM by its cores in use and its memory in GiB. Figures are not checked, so that broken ones can be built. */
export interface ExampleVm extends Partial<Pick<SnapshotVm, 'state' | 'vcpus' | 'forecast'>> {
  readonly id: string;
  readonly cores: number;
  readonly gib?: number;
  readonly delayCores?: number;
  /** Mebibytes a second; null: not known. */
  readonly netMib?: number | null;
  readonly diskMib?: number | null;
}

export interface ExampleHost extends Partial<
  Pick<SnapshotHost, 'status' | 'pressure' | 'sampledAtMs' | 'roundsOverLine' | 'relieving' | 'quarantine' | 'cordoned' | 'unfit'>
> {
  readonly id: HostId;
  readonly cores?: number;
  readonly gib?: number;
  /** Load that belongs to no VM. */
  readonly otherCores?: number;
  readonly otherGib?: number;
  /** Mebibytes a second that go through its cards and disks, all its VMs included; null: not known. */
  readonly netMib?: number | null;
  readonly diskMib?: number | null;
  readonly vms?: readonly ExampleVm[];
}

export interface ExampleFacts {
  readonly policy?: Partial<Policy>;
  readonly inFlight?: Snapshot['inFlight'];
  readonly ledger?: Snapshot['ledger'];
  readonly rules?: Snapshot['rules'];
  readonly refusals?: Snapshot['refusals'];
  readonly vmFacts?: Snapshot['vmFacts'];
  readonly bandwidths?: Snapshot['bandwidths'];
  readonly automatic?: boolean;
}

export function exampleSnapshot(hosts: readonly ExampleHost[], facts: ExampleFacts = {}): Snapshot {
  // The strategy in which every figure of an example speaks for itself.
  const policy: Policy = { ...defaultPolicy, strategy: 'lines', ...facts.policy };
  return {
    takenAtMs: exampleNowMs,
    policy,
    hosts: hosts.map((host) => exampleHost(host, policy)),
    vms: hosts.flatMap((host) => (host.vms ?? []).map((vm) => exampleVm(host.id, vm))),
    inFlight: facts.inFlight ?? [],
    ledger: facts.ledger ?? [],
    rules: facts.rules ?? [],
    refusals: facts.refusals ?? [],
    vmFacts: facts.vmFacts ?? [],
    bandwidths: facts.bandwidths ?? [],
    automatic: facts.automatic ?? true,
  };
}

function exampleHost(host: ExampleHost, policy: Policy): SnapshotHost {
  const vms = host.vms ?? [];
  const figures = {
    capacity: { cpuCores: (host.cores ?? 8) as Cores, memoryBytes: ((host.gib ?? 64) * gibibyte) as Bytes },
    cpuUsedCores: vms.reduce((sum, vm) => sum + vm.cores, host.otherCores ?? 0) as Cores,
    memoryUsedBytes: (vms.reduce((sum, vm) => sum + (vm.gib ?? 4), host.otherGib ?? 0) * gibibyte) as Bytes,
  };
  return {
    hostId: host.id,
    status: host.status ?? 'up',
    ...figures,
    networkBytesPerSecond: bytesPerSecond(host.netMib),
    diskBytesPerSecond: bytesPerSecond(host.diskMib),
    pressure: host.pressure ?? null,
    sampledAtMs: host.sampledAtMs ?? exampleNowMs - 1_000,
    roundsOverLine: host.roundsOverLine ?? (isAbove(loadOf(figures), startLimit(policy)) ? policy.sustainedRounds : 0),
    relieving: host.relieving ?? noRelief,
    quarantine: host.quarantine ?? null,
    cordoned: host.cordoned ?? false,
    unfit: host.unfit ?? null,
  };
}

function exampleVm(hostId: HostId, vm: ExampleVm): SnapshotVm {
  return {
    vmId: vm.id,
    name: vm.id,
    hostId,
    state: vm.state ?? 'running',
    vcpus: vm.vcpus ?? 8,
    cpuUsedCores: vm.cores as Cores,
    cpuDelayCores: (vm.delayCores ?? 0) as Cores,
    memoryBytes: ((vm.gib ?? 4) * gibibyte) as Bytes,
    networkBytesPerSecond: bytesPerSecond(vm.netMib),
    diskBytesPerSecond: bytesPerSecond(vm.diskMib),
    forecast: vm.forecast ?? null,
  };
}

function bytesPerSecond(mebibytes: number | null = null): number | null {
  return mebibytes === null ? null : mebibytes * 2 ** 20;
}

/** A finished migration of `vmId` from `a` to `b` that ended `agoMs` before the snapshot and took 10 s. */
export function exampleEntry(vmId: string, agoMs: number, more: Partial<LedgerEntry> = {}): LedgerEntry {
  const endedAtMs = exampleNowMs - agoMs;
  return {
    migrationId: `migration-${vmId}-${agoMs}`,
    vmId,
    fromHostId: 'elsewhere-1',
    toHostId: 'elsewhere-2',
    cause: 'balance',
    startedAtMs: endedAtMs - 10_000,
    endedAtMs,
    outcome: 'moved',
    failureCode: null,
    sentBytes: null,
    ...more,
  };
}
