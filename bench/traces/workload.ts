/** The cluster of one run: equal hosts, VMs of several sizes with a trace each, and where each VM is at the beginning. */
import type { Random } from '#core/ports.ts';
import { Streams } from '#sim/random.ts';
import { gibibyte } from './physics.ts';
import { meanOf, readingSeconds } from './trace.ts';
import type { Trace, TraceSet } from './trace.ts';

export interface WorkloadHost {
  readonly hostId: string;
  readonly cpuCores: number;
  readonly memoryBytes: number;
}

export interface WorkloadVm {
  readonly vmId: string;
  readonly vcpus: number;
  readonly memoryBytes: number;
  readonly trace: Trace;
  /** Its readings change this long before those of a VM with 0, so that not all VMs change at once. Whole minutes. */
  readonly phaseSeconds: number;
  readonly hostId: string;
}

export interface Workload {
  readonly hosts: readonly WorkloadHost[];
  readonly vms: readonly WorkloadVm[];
}

export interface WorkloadSize {
  readonly hosts: number;
  /** Null: as many as ask for `meanShare` of the cluster's cores, on average. */
  readonly vmsPerHost: number | null;
}

const hostCores = 16;
const hostGib = 256;
export const meanShare = 0.58;
/** Virtual CPUs of a VM, and how many VMs in ten have them. */
const sizes = [2, 2, 2, 2, 4, 4, 4, 4, 8, 8];
const gibPerVcpu = [1, 2, 2, 3];
/** Whoever placed the VMs looked at memory and left some free on each host. */
const placedShareMax = 0.9;
const phaseStepSeconds = 60;

/** The same seed gives the same cluster. Throws RangeError when the hosts' memory cannot hold the VMs. */
export function workloadOf(set: TraceSet, size: WorkloadSize, seed: number): Workload {
  const random = new Streams(seed).stream('workload');
  const traces = set.traces(seed);
  const hosts = Array.from({ length: size.hosts }, (_, index) => ({
    hostId: `host-${String(index + 1).padStart(4, '0')}`,
    cpuCores: hostCores,
    memoryBytes: hostGib * gibibyte,
  }));
  const takenBytes = hosts.map(() => 0);
  const vms: WorkloadVm[] = [];
  let wantedCores = 0;
  const isFull = () =>
    size.vmsPerHost === null ? wantedCores >= meanShare * hostCores * size.hosts : vms.length >= size.vmsPerHost * size.hosts;
  while (!isFull()) {
    const trace = traces.next().value;
    const vcpus = any(sizes, random);
    const memoryBytes = vcpus * any(gibPerVcpu, random) * gibibyte;
    const place = placeOf(memoryBytes, takenBytes, random);
    takenBytes[place] = (takenBytes[place] ?? 0) + memoryBytes;
    wantedCores += (meanOf(trace) / 100) * vcpus;
    const phaseSeconds = Math.floor((random.fraction() * readingSeconds) / phaseStepSeconds) * phaseStepSeconds;
    const vmId = `vm-${String(vms.length + 1).padStart(5, '0')}`;
    vms.push({ vmId, vcpus, memoryBytes, trace, phaseSeconds, hostId: hosts[place]?.hostId ?? '' });
  }
  return { hosts, vms };
}

/** The one of two random hosts with more free memory; any other when neither has room. */
function placeOf(memoryBytes: number, takenBytes: readonly number[], random: Random): number {
  const pick = () => Math.floor(random.fraction() * takenBytes.length);
  const taken = (place: number) => takenBytes[place] ?? 0;
  const [one, two] = [pick(), pick()];
  const best = taken(two) < taken(one) ? two : one;
  const hasRoom = (place: number) => taken(place) + memoryBytes <= placedShareMax * hostGib * gibibyte;
  if (hasRoom(best)) return best;
  const other = takenBytes.findIndex((_, place) => hasRoom(place));
  if (other === -1) throw new RangeError('the hosts have not enough memory for so many VMs');
  return other;
}

function any<Value>(values: readonly Value[], random: Random): Value {
  const value = values[Math.floor(random.fraction() * values.length)];
  if (value === undefined) throw new RangeError('nothing to choose from');
  return value;
}
