/**
 * Room for packing. A target is filled to its stop line, now and with what its VMs wait for, and to its fill limit by what they are expected
 * to want: the whole way from there to the start line is between a host that was packed full and one that has to be relieved.
 */
import type { Snapshot, SnapshotVm } from '#core/model/snapshot.ts';
import { percentOf, cores } from '#core/model/units.ts';
import type { VmId } from '#core/model/vm.ts';
import { fits, type Search } from './candidate.ts';
import { type ClusterHost, type ClusterVm, deviationsOfHigh } from './cluster.ts';
import { fillLimit, stopLimit } from './line.ts';
import { outlookOf } from './shortage.ts';
import { Targets } from './targets.ts';

/** One without VMs need not run, so it gets none as long as another one has room. */
export function isInUse(host: ClusterHost): boolean {
  return host.vms.length > 0;
}

export function withoutEmptyTargets(search: Search): Search {
  return { ...search, targets: new Targets(search.targets.all.filter(isInUse)) };
}

/** Sums over VMs, in cores: what they are expected to want, taken as normally distributed and independent. */
interface Expected {
  readonly meanCores: number;
  readonly variance: number;
}

export interface PackRoom {
  /** Is there room for the VM, whatever it is expected to want? */
  readonly hasNow: (target: ClusterHost, vm: ClusterVm) => boolean;
  readonly hasMemory: (target: ClusterHost, vm: ClusterVm) => boolean;
  /** What the target would use with it in nine of ten cases, in percent. */
  readonly highPercent: (target: ClusterHost, vm: ClusterVm) => number;
  /** The most that may be. */
  readonly highPercentMax: number;
  /** VMs that have not been watched long enough may want all of their virtual CPUs. */
  readonly isUnwatched: (vmId: VmId) => boolean;
}

export function packRoomOf({ policy, vms }: Snapshot): PackRoom {
  const limit = stopLimit(policy);
  const unwatched = new Map<VmId, SnapshotVm>(vms.filter(({ forecast }) => forecast === null).map((vm) => [vm.vmId, vm]));
  const known = new WeakMap<ClusterHost, Expected>();
  const expectedOf = (vm: ClusterVm): Expected => {
    const { vcpus } = unwatched.get(vm.vmId) ?? { vcpus: null };
    if (vcpus !== null) return { meanCores: Math.max(vcpus, vm.cpuWantedCores), variance: 0 };
    return { meanCores: vm.meanCores, variance: vm.spreadCores ** 2 };
  };
  const expectedOn = (host: ClusterHost): Expected => {
    const expected = known.get(host) ?? summed(host, expectedOf);
    known.set(host, expected);
    return expected;
  };
  return {
    hasNow: (target, vm) => fits(target, vm, limit) && wantedPercent(target, vm) <= limit.cpuPercent,
    hasMemory: (target, vm) => fits(target, vm, { ...limit, cpuPercent: Infinity }),
    highPercent: (target, vm) => {
      const [there, more] = [expectedOn(target), expectedOf(vm)];
      const high = there.meanCores + more.meanCores + deviationsOfHigh * Math.sqrt(there.variance + more.variance);
      return percentOf(cores(high), target.capacity.cpuCores);
    },
    highPercentMax: fillLimit(policy).cpuPercent,
    isUnwatched: (vmId) => unwatched.has(vmId),
  };
}

function wantedPercent(target: ClusterHost, vm: ClusterVm): number {
  return percentOf(cores(outlookOf(target).wantedCores + vm.cpuWantedCores), target.capacity.cpuCores);
}

/** With what belongs to no VM: that goes on as it is. */
function summed(host: ClusterHost, expectedOf: (vm: ClusterVm) => Expected): Expected {
  let [used, meanCores, variance] = [0, 0, 0];
  for (const vm of host.vms) {
    const expected = expectedOf(vm);
    used += vm.cpuUsedCores;
    meanCores += expected.meanCores;
    variance += expected.variance;
  }
  return { meanCores: meanCores + Math.max(0, host.cpuUsedCores - used), variance };
}
