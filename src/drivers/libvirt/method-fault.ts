import type { TransferOptions } from '#core/model/method.ts';
import type { Refusal } from '#core/model/result.ts';

import { usesPostCopy } from './migrate-arguments.ts';

/** Versions as libvirt packs them: 1,000,000 * major + 1,000 * minor + release. */
export interface HypervisorVersions {
  /** As the daemon names it: `QEMU`, `Xen`, ... */
  readonly type: string;
  readonly libvirt: number;
  readonly hypervisor: number;
}

interface Rule {
  readonly applies: (options: TransferOptions, versions: HypervisorVersions) => boolean;
  readonly code: 'method-unsupported' | 'version-unsupported' | 'input-invalid';
  readonly sentence: (options: TransferOptions, versions: HypervisorVersions) => string;
}

const version = (major: number, minor: number): number => 1_000_000 * major + 1_000 * minor;

/** First release that can do it; for `mt` also the first one that no longer can. */
export const since = {
  /** VIR_MIGRATE_PARALLEL. */
  parallel: { libvirt: version(5, 2), qemu: version(4, 0) },
  /** VIR_MIGRATE_POSTCOPY_RESUME; before it a post-copy that lost its connection lost the VM. */
  postCopyRecovery: { libvirt: version(8, 5), qemu: version(3, 0) },
  /** VIR_MIGRATE_PARAM_COMPRESSION_ZLIB_LEVEL and _ZSTD_LEVEL of libvirt-domain.h; libvirt 9.0 refuses both methods (tried). */
  parallelCompression: { libvirt: version(9, 4), qemu: version(5, 0) },
  /** QEMU's capability `compress`: deprecated in 8.2 as unreliable, gone in 9.1. */
  mtGone: { qemu: version(9, 1) },
} as const;

const downtimeMsMax = 2_000_000;

/**
 * What must not be started, most general first. Ranges are those that QEMU 7.2 states when asked over QMP; which capabilities exclude
 * each other was asked there too, and compared with migrate_caps_check in migration/options.c of later releases.
 */
const rules: readonly Rule[] = [
  {
    applies: (options, { type }) => type !== 'QEMU' && !isPlain(options),
    code: 'method-unsupported',
    sentence: (_, { type }) => `${type} moves a VM by plain pre-copy only; ask for pre-copy without options`,
  },
  {
    applies: ({ method, autoConverge, streams, compression }) =>
      method === 'save-restore' && (autoConverge !== null || streams > 1 || compression !== 'none'),
    code: 'method-unsupported',
    sentence: () => 'a saved VM is sent as the file it is; ask for save-restore without auto-converge, streams and compression',
  },
  {
    applies: ({ method, autoConverge }) => autoConverge !== null && (method === 'stop-and-copy' || method === 'post-copy'),
    code: 'method-unsupported',
    sentence: ({ method }) =>
      `auto-converge slows a VM down on its source, where ${method} does not let it run; ask for pre-copy or hybrid`,
  },
  {
    applies: ({ method, compression }) => compression === 'xbzrle' && (method === 'stop-and-copy' || method === 'post-copy'),
    code: 'method-unsupported',
    sentence: ({ method }) => `xbzrle shortens pages that are sent again, and ${method} sends each page once; ask for pre-copy or hybrid`,
  },
  {
    applies: ({ streams }, { libvirt, hypervisor }) =>
      streams > 1 && (libvirt < since.parallel.libvirt || hypervisor < since.parallel.qemu),
    code: 'version-unsupported',
    sentence: (_, versions) => `several streams need libvirt 5.2 and QEMU 4.0, this host has ${named(versions)}; ask for one stream`,
  },
  {
    // QEMU 7.2 takes both and hands over to one stream; 8.0 to 10.0 refuse them ("Postcopy is not yet compatible with multifd").
    applies: (options) => options.streams > 1 && usesPostCopy(options),
    code: 'method-unsupported',
    sentence: ({ method }) => `QEMU's several streams are not made for ${method}; ask for one stream, or for pre-copy`,
  },
  {
    applies: ({ streams, compression }) => streams > 1 && (compression === 'mt' || compression === 'xbzrle'),
    code: 'method-unsupported',
    sentence: ({ compression }) =>
      // 7.2 takes xbzrle with several streams and does not use it, later ones refuse it; mt it refuses itself.
      `QEMU does not compress several streams with ${compression}; ask for one stream, or for zlib or zstd`,
  },
  {
    applies: ({ compression }, { libvirt, hypervisor }) =>
      isParallelCompression(compression) && (libvirt < since.parallelCompression.libvirt || hypervisor < since.parallelCompression.qemu),
    code: 'version-unsupported',
    sentence: ({ compression }, versions) =>
      `${compression} needs libvirt 9.4 and QEMU 5.0, this host has ${named(versions)}; ask for xbzrle or mt with one stream`,
  },
  {
    applies: ({ compression, streams }) => isParallelCompression(compression) && streams < 2,
    code: 'method-unsupported',
    sentence: ({ compression }) => `QEMU compresses with ${compression} only what it sends in several streams; ask for two streams or more`,
  },
  {
    applies: ({ compression }, { hypervisor }) => compression === 'mt' && hypervisor >= since.mtGone.qemu,
    code: 'version-unsupported',
    sentence: (_, versions) => `QEMU has no mt compression since 9.1, this host has ${named(versions)}; ask for zstd with several streams`,
  },
  {
    applies: (options, { libvirt, hypervisor }) =>
      usesPostCopy(options) && (libvirt < since.postCopyRecovery.libvirt || hypervisor < since.postCopyRecovery.qemu),
    code: 'version-unsupported',
    sentence: ({ method }, versions) =>
      `${method} could not be recovered from a lost connection: that needs libvirt 8.5 and QEMU 3.0, this host has ${named(versions)}`,
  },
  {
    applies: ({ autoConverge }) => autoConverge !== null && !Object.values(autoConverge).every((percent) => isWhole(percent, 1, 99)),
    code: 'input-invalid',
    sentence: () => 'auto-converge takes away 1 to 99 % of the CPU time, in whole percent, at first and with each step; give such figures',
  },
  {
    applies: ({ streams }) => !isWhole(streams, 1, 255),
    code: 'input-invalid',
    sentence: ({ streams }) => `${streams} streams are not possible; give a whole number from 1 to 255`,
  },
  {
    applies: (options) => !isWhole(options.downtimeMsMax, 0, downtimeMsMax),
    code: 'input-invalid',
    sentence: (options) =>
      `a downtime limit of ${options.downtimeMsMax} ms is not possible; give whole milliseconds, at most ${downtimeMsMax}`,
  },
  {
    applies: ({ bandwidthBytesPerSecond }) => !Number.isFinite(bandwidthBytesPerSecond) || bandwidthBytesPerSecond < 0,
    code: 'input-invalid',
    sentence: ({ bandwidthBytesPerSecond }) => `a bandwidth cap of ${bandwidthBytesPerSecond} bytes/s is not possible; 0 means no cap`,
  },
];

/** The first reason why this hypervisor cannot make a transfer with these options; null when it can. */
export function methodFaultOf(options: TransferOptions, versions: HypervisorVersions): Refusal | null {
  const rule = rules.find(({ applies }) => applies(options, versions));
  return rule === undefined ? null : { code: rule.code, message: rule.sentence(options, versions) };
}

/** `9.0.0` */
export function dotted(packed: number): string {
  return `${Math.floor(packed / 1_000_000)}.${Math.floor(packed / 1_000) % 1_000}.${packed % 1_000}`;
}

function named({ libvirt, type, hypervisor }: HypervisorVersions): string {
  return `libvirt ${dotted(libvirt)} and ${type} ${dotted(hypervisor)}`;
}

function isPlain({ method, autoConverge, streams, compression }: TransferOptions): boolean {
  return (method === 'pre-copy' || method === 'save-restore') && autoConverge === null && streams === 1 && compression === 'none';
}

function isParallelCompression(compression: TransferOptions['compression']): boolean {
  return compression === 'zlib' || compression === 'zstd';
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}
