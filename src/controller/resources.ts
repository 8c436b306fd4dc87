/** The controller's state as REST resources. */
import { rejectedTotal } from '#core/load/host-trust.ts';
import { percentOf } from '#core/model/units.ts';
import type { Labels } from '#core/model/label.ts';
import type { SnapshotVm } from '#core/model/snapshot.ts';
import type { HostResource, VmResource } from '#wire/api.ts';
import type { ClusterView, HostView } from './cluster-view.ts';

/** What the controller knows of a host's protection, and what operators want of it. */
export type HostSecurity = Pick<HostResource, 'certificate' | 'clockSkewMs' | 'guardInstalled' | 'revokedAtMs' | 'cordon' | 'drain'>;

export function hostResource(
  view: ClusterView,
  host: HostView,
  security: HostSecurity,
  vms: readonly SnapshotVm[],
  nowMs: number,
): HostResource {
  const seen = view.snapshotHost(host, nowMs);
  const { load } = host;
  return {
    hostId: host.hostId,
    status: security.revokedAtMs === null ? view.status(host, nowMs) : 'revoked',
    addresses: host.addresses,
    hypervisor: host.facts?.hypervisor ?? null,
    ipsec: host.facts?.ipsec ?? null,
    capacity: load?.capacity ?? null,
    cpuUsedCores: seen?.cpuUsedCores ?? null,
    cpuPercent: seen && percentOf(seen.cpuUsedCores, seen.capacity.cpuCores),
    memoryUsedBytes: seen?.memoryUsedBytes ?? null,
    memoryPercent: seen && percentOf(seen.memoryUsedBytes, seen.capacity.memoryBytes),
    pressure: load?.pressure ?? null,
    rates: load?.rates ?? null,
    overLine: view.overLine(host, nowMs),
    roundsOverLine: host.roundsOverLine,
    vms: vms.filter((vm) => vm.hostId === host.hostId).length,
    samplesAccepted: host.samplesAccepted,
    samplesRejected: rejectedTotal(host.trust),
    samplesRejectedBy: host.trust.rejected,
    quarantine: host.trust.quarantine,
    lastSampleAtMs: load?.mark.takenAtMs ?? null,
    joinedAtMs: host.joinedAtMs,
    ...security,
  };
}

export function vmResource(vm: SnapshotVm, migrationId: string | null, labels: Labels): VmResource {
  const { vmId, name, hostId, state, vcpus, memoryBytes, cpuUsedCores, forecast } = vm;
  return { vmId, name, hostId, state, vcpus, memoryBytes, cpuUsedCores, forecast, migrationId, labels };
}
