import type { TransferOptions } from '#core/model/method.ts';
import type { MigrateRequest } from '#core/ports.ts';

import { migrateFlag } from './flags.ts';
import type { MigratePerform } from './procedures.ts';
import type { DomainRef, TypedParam } from './values.ts';

/** What a migration parameter is called on the wire, and its type there (VIR_MIGRATE_PARAM_* of libvirt-domain.h). */
export const migrateParam = {
  uri: (value: string): TypedParam => ({ field: 'migrate_uri', type: 'string', value }),
  listenAddress: (value: string): TypedParam => ({ field: 'listen_address', type: 'string', value }),
  /** MiB/s. */
  bandwidth: (value: bigint): TypedParam => ({ field: 'bandwidth', type: 'u64', value }),
  /** MiB/s, of the post-copy phase (VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY). */
  bandwidthPostCopy: (value: bigint): TypedParam => ({ field: 'bandwidth.postcopy', type: 'u64', value }),
  /** `xbzrle`, `mt`, and from libvirt 9.4 on `zlib` and `zstd`. */
  compression: (value: string): TypedParam => ({ field: 'compression', type: 'string', value }),
  /** Bytes, a power of two. */
  xbzrleCache: (value: bigint): TypedParam => ({ field: 'compression.xbzrle.cache', type: 'u64', value }),
  autoConvergeInitial: (value: number): TypedParam => ({ field: 'auto_converge.initial', type: 'i32', value }),
  autoConvergeIncrement: (value: number): TypedParam => ({ field: 'auto_converge.increment', type: 'i32', value }),
  parallelConnections: (value: number): TypedParam => ({ field: 'parallel.connections', type: 'i32', value }),
} as const;

const mebibyte = 1024 * 1024;
const loopback = '127.0.0.1';
const xbzrleCacheBytesMin = 64 * mebibyte;
const xbzrleCacheBytesMax = 1024 * mebibyte;

export interface MigrateSetting {
  /** The VM has a definition on this host, which moves with it. */
  readonly persistent: boolean;
  readonly memoryBytes: number;
  readonly destinationUri: string;
  /** Of a forward through this host's loopback address. */
  readonly dataPort?: number;
  /** Goes on with a post-copy that failed. */
  readonly resume?: boolean;
}

/**
 * The arguments of a peer-to-peer migration (virDomainMigrateToURI3). VIR_MIGRATE_TUNNELLED is not offered: see `migrateFlag`.
 *
 * - every method but stop-and-copy: VIR_MIGRATE_LIVE. Without it libvirt suspends the VM, sends it once and resumes it there.
 * - post-copy and hybrid: VIR_MIGRATE_POSTCOPY too; the phase itself begins with virDomainMigrateStartPostCopy.
 * - auto-converge: VIR_MIGRATE_AUTO_CONVERGE; several streams: VIR_MIGRATE_PARALLEL; compression: VIR_MIGRATE_COMPRESSED.
 */
export function migrateArguments(
  domain: DomainRef,
  request: Pick<MigrateRequest, 'peerAddress' | 'streamSecurity' | 'options'>,
  setting: MigrateSetting,
): MigratePerform {
  const { dataPort } = setting;
  const address = dataPort === undefined ? request.peerAddress : loopback;
  // QEMU of both ends then uses the certificates that qemu.conf names (migrate_tls_x509_cert_dir); they are read anew each time.
  const tls = request.streamSecurity === 'qemu-tls' ? migrateFlag.tls : 0;
  const persistence = setting.persistent ? migrateFlag.persistDestination | migrateFlag.undefineSource : 0;
  const resume = setting.resume === true ? migrateFlag.postCopyResume : 0;
  return {
    domain,
    destinationUri: setting.destinationUri,
    params: [
      migrateParam.uri(`tcp://${bracketed(address)}${dataPort === undefined ? '' : `:${dataPort}`}`),
      migrateParam.listenAddress(address),
      ...optionParams(request.options, setting.memoryBytes),
    ],
    flags: migrateFlag.peerToPeer | migrateFlag.abortOnError | optionFlags(request.options) | persistence | tls | resume,
  };
}

/** Whether the memory may be on two hosts in the course of this method. */
export function usesPostCopy({ method }: Pick<TransferOptions, 'method'>): boolean {
  return method === 'post-copy' || method === 'hybrid';
}

/** An address as it stands in a URI: IPv6 in brackets. */
export function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

/** MiB/s, rounded up: rounding a small cap down to 0 would mean "no cap". */
export function toMebibytesPerSecond(bytesPerSecond: number): number {
  return Math.ceil(bytesPerSecond / mebibyte);
}

/**
 * A page that is in the cache is sent as its difference, so the cache should hold what is written again and again: half of the VM's
 * memory, as the power of two that QEMU wants, from QEMU's own default of 64 MiB to 1 GiB. The source's host pays for it.
 */
export function xbzrleCacheBytes(memoryBytes: number): number {
  const half = 2 ** Math.ceil(Math.log2(Math.max(1, memoryBytes / 2)));
  return Math.min(xbzrleCacheBytesMax, Math.max(xbzrleCacheBytesMin, half));
}

function optionFlags(options: TransferOptions): number {
  return (
    (options.method === 'stop-and-copy' ? 0 : migrateFlag.live) |
    (usesPostCopy(options) ? migrateFlag.postCopy : 0) |
    (options.autoConverge === null ? 0 : migrateFlag.autoConverge) |
    (options.streams > 1 ? migrateFlag.parallel : 0) |
    (options.compression === 'none' ? 0 : migrateFlag.compressed)
  );
}

function optionParams(options: TransferOptions, memoryBytes: number): TypedParam[] {
  const params: TypedParam[] = [];
  const mebibytes = BigInt(toMebibytesPerSecond(options.bandwidthBytesPerSecond));
  if (mebibytes > 0n) {
    params.push(migrateParam.bandwidth(mebibytes));
    if (usesPostCopy(options)) params.push(migrateParam.bandwidthPostCopy(mebibytes));
  }
  if (options.autoConverge !== null) {
    params.push(migrateParam.autoConvergeInitial(options.autoConverge.initialPercent));
    params.push(migrateParam.autoConvergeIncrement(options.autoConverge.incrementPercent));
  }
  if (options.streams > 1) params.push(migrateParam.parallelConnections(options.streams));
  if (options.compression !== 'none') params.push(migrateParam.compression(options.compression));
  if (options.compression === 'xbzrle') params.push(migrateParam.xbzrleCache(BigInt(xbzrleCacheBytes(memoryBytes))));
  return params;
}

/** QEMU's own default (`DEFAULT_MIGRATE_SET_DOWNTIME`). */
const standingLimitMs = 300;

/**
 * QEMU sends what fits the limit under its big lock (`migration_completion`): until that is over it tells no progress and obeys no cancel.
 * A VM that stands still from the beginning writes nothing, so its limit decides nothing else, and is kept small however long the stop
 * may be. Seen with 7.2: told 85 s, nothing was heard of a transfer of 16 s until its end.
 */
export function toldDowntimeMs({ method, downtimeMsMax }: TransferOptions): number {
  return method === 'stop-and-copy' ? Math.min(downtimeMsMax, standingLimitMs) : downtimeMsMax;
}
