/** For laws of planning: a cluster in which a plan was carried out. */
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { PlanDraft } from '#core/model/plan.ts';
import type { Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import { bytes, cores } from '#core/model/units.ts';
import { exampleEntry } from './examples.ts';
import { nextRelief, nextRoundsOverLine } from './line.ts';

/** The snapshot some time later: the moves made, the ledger appended, all samples new. */
export function applied(snapshot: Snapshot, plan: PlanDraft, laterMs: number): Snapshot {
  const takenAtMs = snapshot.takenAtMs + laterMs;
  const moves = new Map(plan.moves.map((move) => [move.vmId, move]));
  const entries: LedgerEntry[] = plan.moves.map((move) =>
    exampleEntry(move.vmId, 0, {
      ...pickHosts(move),
      startedAtMs: snapshot.takenAtMs,
      endedAtMs: snapshot.takenAtMs + 1_000,
      sentBytes: move.cost?.bytes ?? null,
    }),
  );
  const hosts = snapshot.hosts.map((host) => {
    const moved = snapshot.vms.filter((vm) => moves.has(vm.vmId));
    const came = moved.filter((vm) => moves.get(vm.vmId)?.toHostId === host.hostId);
    const went = moved.filter((vm) => vm.hostId === host.hostId);
    const sum = (vms: typeof moved, key: 'cpuUsedCores' | 'memoryBytes') => vms.reduce((total, vm) => total + vm[key], 0);
    const after = {
      ...host,
      sampledAtMs: takenAtMs - (snapshot.takenAtMs - host.sampledAtMs),
      cpuUsedCores: cores(Math.max(0, host.cpuUsedCores + sum(came, 'cpuUsedCores') - sum(went, 'cpuUsedCores'))),
      memoryUsedBytes: bytes(Math.max(0, host.memoryUsedBytes + sum(came, 'memoryBytes') - sum(went, 'memoryBytes'))),
      networkBytesPerSecond: trafficAfter(snapshot, host, 'networkBytesPerSecond', { came, went }),
      diskBytesPerSecond: trafficAfter(snapshot, host, 'diskBytesPerSecond', { came, went }),
    };
    const roundsOverLine = nextRoundsOverLine(host.roundsOverLine, after, snapshot.policy);
    return { ...after, roundsOverLine, relieving: nextRelief(host.relieving, { ...after, roundsOverLine }, snapshot.policy) };
  });
  const vms = snapshot.vms.map((vm) => ({ ...vm, hostId: moves.get(vm.vmId)?.toHostId ?? vm.hostId }));
  return { ...snapshot, takenAtMs, hosts, vms, ledger: [...snapshot.ledger, ...entries] };
}

interface Exchange {
  readonly came: readonly SnapshotVm[];
  readonly went: readonly SnapshotVm[];
}

/** Of what its VMs do, as much as went through the cards or disks of their host before does so on the next one. */
function trafficAfter(
  { hosts, vms }: Snapshot,
  host: SnapshotHost,
  kind: 'networkBytesPerSecond' | 'diskBytesPerSecond',
  { came, went }: Exchange,
): number | null {
  const now = host[kind];
  if (now === null) return null;
  const takenBy = (vm: SnapshotVm): number => {
    const rate = vm[kind] ?? 0;
    const through = hosts.find(({ hostId }) => hostId === vm.hostId)?.[kind] ?? null;
    const ofAll = vms.reduce((sum, other) => (other.hostId === vm.hostId ? sum + (other[kind] ?? 0) : sum), 0);
    if (through === null) return 0;
    return ofAll <= through ? rate : (rate * through) / ofAll;
  };
  const sum = (moved: readonly SnapshotVm[]) => moved.reduce((total, vm) => total + takenBy(vm), 0);
  return Math.max(0, now + sum(came) - sum(went));
}

function pickHosts({ fromHostId, toHostId }: { readonly fromHostId: string; readonly toHostId: string }) {
  return { fromHostId, toHostId };
}
