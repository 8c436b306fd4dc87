import { randomUUID } from 'node:crypto';

import type { DomainRef, TypedParam } from '#drivers/libvirt/values.ts';

/** A job of a fake domain, as `DOMAIN_GET_JOB_STATS` tells it. `in` is the destination's side of a migration. */
export type FakeJob =
  | { readonly side: 'out'; readonly params: readonly TypedParam[] }
  /** `orphaned`: its process never began, and the daemon was restarted since. */
  | { readonly side: 'in'; readonly orphaned?: boolean };

/** One row of the fake's domain table. */
export interface FakeDomain {
  readonly name: string;
  readonly uuid: string;
  readonly xml: string;
  readonly vcpus: number;
  readonly memoryKib: bigint;
  /** -1 when it does not run. */
  id: number;
  /** virDomainState and its reason. */
  state: number;
  reason: number;
  persistent: boolean;
  autostart: boolean;
  startedMs: number;
  job: FakeJob | null;
  /** A dirty rate that is being measured, or was: when it began and for how long. */
  dirtyLook: { readonly startedMs: number; readonly seconds: number } | null;
}

/** What the fake's guests write, whoever looks. */
export const fakeDirtyMebibytesPerSecond = 3n;

/** Reads what the fake needs of a definition; null when it is none. */
export function parseFakeDomain(xml: string): FakeDomain | null {
  const name = /<name>([^<]+)<\/name>/u.exec(xml)?.[1];
  if (!/^\s*<domain[\s>]/u.test(xml) || name === undefined) return null;
  const uuid = /<uuid>([^<]+)<\/uuid>/u.exec(xml)?.[1] ?? randomUUID();
  const memoryMib = BigInt(/<memory unit='MiB'>(\d+)<\/memory>/u.exec(xml)?.[1] ?? 64);
  return {
    name,
    uuid,
    // As libvirt shows it: the UUID that it chose is part of the definition.
    xml: xml.includes('<uuid>') ? xml : xml.replace('</name>', `</name><uuid>${uuid}</uuid>`),
    vcpus: Number(/<vcpu[^>]*>(\d+)<\/vcpu>/u.exec(xml)?.[1] ?? 1),
    memoryKib: memoryMib * 1024n,
    id: -1,
    state: 5,
    reason: 0,
    persistent: false,
    autostart: false,
    startedMs: 0,
    job: null,
    dirtyLook: null,
  };
}

export function refOf(domain: FakeDomain): DomainRef {
  return { name: domain.name, uuid: domain.uuid, id: domain.id };
}

/** The parameters that libvirt 9 gives for a QEMU domain, in its order and with its types. */
export function fakeStats(domain: FakeDomain, nowMs: number): readonly TypedParam[] {
  const always: readonly TypedParam[] = [
    { field: 'state.state', type: 'i32', value: domain.state },
    { field: 'state.reason', type: 'i32', value: domain.reason },
    { field: 'balloon.current', type: 'u64', value: domain.memoryKib },
    { field: 'balloon.maximum', type: 'u64', value: domain.memoryKib },
    { field: 'vcpu.current', type: 'u32', value: domain.vcpus },
    { field: 'vcpu.maximum', type: 'u32', value: domain.vcpus },
  ];
  if (domain.id < 0) return always;
  // A quarter of a core in use, a hundredth waited for.
  const aliveNs = BigInt(Math.round((nowMs - domain.startedMs) * 1_000_000));
  return [
    ...always,
    { field: 'cpu.time', type: 'u64', value: aliveNs / 4n },
    { field: 'balloon.rss', type: 'u64', value: domain.memoryKib / 2n },
    { field: 'balloon.unused', type: 'u64', value: domain.memoryKib / 4n },
    // All of what is in use but a tenth is the guest's own.
    { field: 'vcpu.0.time', type: 'u64', value: (aliveNs / 40n) * 9n },
    { field: 'vcpu.0.delay', type: 'u64', value: aliveNs / 100n },
    { field: 'net.count', type: 'u32', value: 1 },
    { field: 'net.0.rx.bytes', type: 'u64', value: aliveNs / 1_000_000n },
    { field: 'net.0.tx.bytes', type: 'u64', value: aliveNs / 2_000_000n },
    ...dirtyStats(domain, nowMs),
  ];
}

function dirtyStats({ dirtyLook }: FakeDomain, nowMs: number): readonly TypedParam[] {
  if (dirtyLook === null) return [];
  const isOver = nowMs - dirtyLook.startedMs >= dirtyLook.seconds * 1_000;
  const status: TypedParam = { field: 'dirtyrate.calc_status', type: 'i32', value: isOver ? 2 : 1 };
  return isOver ? [status, { field: 'dirtyrate.megabytes_per_second', type: 'i64', value: fakeDirtyMebibytesPerSecond }] : [status];
}

/** Job statistics of a migration that has sent `sentBytes` after `elapsedMs`. */
export function fakeJobParams(domain: FakeDomain, elapsedMs: number, sentBytes: bigint): readonly TypedParam[] {
  const totalBytes = domain.memoryKib * 1024n;
  const left = totalBytes > sentBytes ? totalBytes - sentBytes : 0n;
  return [
    { field: 'operation', type: 'i32', value: 5 },
    { field: 'time_elapsed', type: 'u64', value: BigInt(Math.round(elapsedMs)) },
    { field: 'downtime', type: 'u64', value: 35n },
    { field: 'memory_total', type: 'u64', value: totalBytes },
    { field: 'memory_processed', type: 'u64', value: sentBytes },
    { field: 'memory_remaining', type: 'u64', value: left },
    { field: 'memory_bps', type: 'u64', value: 100_000_000n },
    { field: 'memory_dirty_rate', type: 'u64', value: 12n },
    { field: 'memory_iteration', type: 'u64', value: 2n },
    { field: 'memory_page_size', type: 'u64', value: 4096n },
  ];
}
