import { bytes, cores } from '#core/model/units.ts';
import type { PostCopyState, VmSample, VmState, VmView } from '#core/model/vm.ts';

import { domainState, pausedReason, runningReason, statsGroup } from './flags.ts';
import type { DomainState, DomainStats } from './procedures.ts';
import type { TypedParam } from './values.ts';

/** What is read of one domain from a bulk statistics record; null where the daemon did not say. */
export interface VmFacts {
  readonly vmId: string;
  readonly name: string;
  readonly state: VmState;
  readonly postCopy: PostCopyState | null;
  readonly active: boolean;
  readonly vcpus: number;
  readonly memoryBytes: number;
  readonly memoryResidentBytes: number;
  readonly counters: VmCounters;
}

/** Totals since the VM's process started. */
export interface VmCounters {
  readonly cpuNs: number | null;
  readonly cpuDelayNs: number | null;
  readonly netReceivedBytes: number | null;
  readonly netSentBytes: number | null;
  readonly diskReadBytes: number | null;
  readonly diskWrittenBytes: number | null;
}

/** What `readVmFacts` needs for a view of a VM. */
export const viewGroups = statsGroup.state | statsGroup.balloon | statsGroup.vcpu;

const kib = 1024;
const nsPerMs = 1_000_000;

/** virDomainState as a VM state. A guest that is shutting down still runs; one asleep holds its memory like a paused one. */
const vmStates: ReadonlyMap<number, VmState> = new Map([
  [domainState.running, 'running'],
  [domainState.blocked, 'running'],
  [domainState.paused, 'paused'],
  [domainState.shutdown, 'running'],
  [domainState.shutoff, 'shut-off'],
  [domainState.crashed, 'crashed'],
  [domainState.pmSuspended, 'paused'],
]);

/** Reads one record (`state`, `cpu`, `balloon`, `vcpu`, `interface` and `block` groups; what is missing is null or 0). */
export function readVmFacts(record: DomainStats): VmFacts {
  const values = numbers(record.params);
  const memoryKib = values.get('balloon.maximum') ?? values.get('balloon.current') ?? 0;
  return {
    vmId: record.domain.uuid,
    name: record.domain.name,
    state: vmStates.get(values.get('state.state') ?? domainState.noState) ?? 'unknown',
    postCopy: postCopyOf({ state: values.get('state.state') ?? domainState.noState, reason: values.get('state.reason') ?? 0 }),
    active: record.domain.id >= 0,
    vcpus: values.get('vcpu.current') ?? values.get('vcpu.maximum') ?? 0,
    memoryBytes: memoryKib * kib,
    memoryResidentBytes: (values.get('balloon.rss') ?? 0) * kib,
    counters: {
      cpuNs: values.get('cpu.time') ?? null,
      cpuDelayNs: sum(values, /^vcpu\.\d+\.delay$/u),
      netReceivedBytes: sum(values, /^net\.\d+\.rx\.bytes$/u),
      netSentBytes: sum(values, /^net\.\d+\.tx\.bytes$/u),
      diskReadBytes: sum(values, /^block\.\d+\.rd\.bytes$/u),
      diskWrittenBytes: sum(values, /^block\.\d+\.wr\.bytes$/u),
    },
  };
}

export function toVmView(facts: VmFacts, more: { readonly persistent: boolean; readonly job: 'none' | 'active' | 'incoming' }): VmView {
  return {
    vmId: facts.vmId,
    name: facts.name,
    state: more.job === 'incoming' && facts.state === 'paused' ? 'incoming' : facts.state,
    vcpus: facts.vcpus,
    memoryBytes: bytes(facts.memoryBytes),
    persistent: more.persistent,
    jobActive: more.job !== 'none',
    postCopy: facts.postCopy,
  };
}

/**
 * Where a domain stands in a post-copy. Its source is paused with VIR_DOMAIN_PAUSED_POSTCOPY(_FAILED), its destination runs with
 * VIR_DOMAIN_RUNNING_POSTCOPY(_FAILED), or is paused when it failed while an older libvirt watched.
 */
export function postCopyOf({ state, reason }: DomainState): PostCopyState | null {
  if (state === domainState.running) {
    if (reason === runningReason.postCopy) return 'active';
    return reason === runningReason.postCopyFailed ? 'failed' : null;
  }
  if (state !== domainState.paused) return null;
  if (reason === pausedReason.postCopy) return 'active';
  return reason === pausedReason.postCopyFailed ? 'failed' : null;
}

/** Remembers the counters of the previous reading and turns the next one into rates. */
export class VmSampler {
  #previous: ReadonlyMap<string, { readonly atMs: number; readonly counters: VmCounters }> = new Map();

  /** `atMs`: monotonic time of the reading. A VM seen for the first time, or restarted in between, has null rates. */
  sample(all: readonly VmFacts[], atMs: number): VmSample[] {
    const samples = all.map((facts) => this.#sampleOne(facts, atMs));
    this.#previous = new Map(all.map((facts) => [facts.vmId, { atMs, counters: facts.counters }]));
    return samples;
  }

  #sampleOne(facts: VmFacts, atMs: number): VmSample {
    const previous = this.#previous.get(facts.vmId);
    const elapsedMs = previous === undefined ? 0 : atMs - previous.atMs;
    const perSecond = (name: keyof VmCounters, scale = 1): number | null => {
      const before = previous?.counters[name] ?? null;
      const now = facts.counters[name];
      if (before === null || now === null || now < before || elapsedMs <= 0) return null;
      return ((now - before) * scale * 1_000) / elapsedMs;
    };
    const coresUsed = (name: 'cpuNs' | 'cpuDelayNs'): VmSample['cpuUsedCores'] => {
      const rate = perSecond(name, 1 / (1_000 * nsPerMs));
      return rate === null ? null : cores(rate);
    };
    return {
      vmId: facts.vmId,
      name: facts.name,
      state: facts.state,
      vcpus: facts.vcpus,
      memoryBytes: bytes(facts.memoryBytes),
      memoryResidentBytes: bytes(facts.memoryResidentBytes),
      cpuUsedCores: coresUsed('cpuNs'),
      cpuDelayCores: coresUsed('cpuDelayNs'),
      netReceivedBytesPerSecond: perSecond('netReceivedBytes'),
      netSentBytesPerSecond: perSecond('netSentBytes'),
      diskReadBytesPerSecond: perSecond('diskReadBytes'),
      diskWrittenBytesPerSecond: perSecond('diskWrittenBytes'),
    };
  }
}

/** The numeric parameters by name. Counters beyond 2^53 (104 days of nanoseconds) lose low bits that no rate can show. */
export function numbers(params: readonly TypedParam[]): ReadonlyMap<string, number> {
  const values = new Map<string, number>();
  for (const param of params) if (param.type !== 'string') values.set(param.field, Number(param.value));
  return values;
}

function sum(values: ReadonlyMap<string, number>, pattern: RegExp): number | null {
  let total: number | null = null;
  for (const [field, value] of values) if (pattern.test(field)) total = (total ?? 0) + value;
  return total;
}

/**
 * CPU seconds of the process beyond its virtual CPUs: `cpu.time` minus every `vcpu.N.time`. libvirt reads both from /proc (or the
 * cgroup), so threads that have ended count and what the kernel does for the process in interrupts does not.
 */
export function overheadSeconds(params: readonly TypedParam[]): number | null {
  const values = numbers(params);
  const wholeNs = values.get('cpu.time');
  const vcpuNs = sum(values, /^vcpu\.\d+\.time$/u);
  if (wholeNs === undefined || vcpuNs === null) return null;
  return Math.max(0, wholeNs - vcpuNs) / (1_000 * nsPerMs);
}
