import type { JobOutcome, Progress, TransferStage } from '#core/model/migration.ts';

import { domainState, pausedReason } from './flags.ts';
import type { DomainState } from './procedures.ts';
import type { TypedParam } from './values.ts';
import { numbers } from './vm-stats.ts';

/** Fields are VIR_DOMAIN_JOB_*: times in ms, sizes in bytes, rates per second. */
export function readProgress(params: readonly TypedParam[], stage: TransferStage): Progress {
  const values = numbers(params);
  return {
    elapsedMs: values.get('time_elapsed') ?? 0,
    memoryTotalBytes: values.get('memory_total') ?? 0,
    memoryRemainingBytes: values.get('memory_remaining') ?? 0,
    memorySentBytes: values.get('memory_processed') ?? 0,
    bandwidthBytesPerSecond: values.get('memory_bps') ?? null,
    dirtyPagesPerSecond: values.get('memory_dirty_rate') ?? null,
    pageSizeBytes: values.get('memory_page_size') ?? null,
    iteration: values.get('memory_iteration') ?? null,
    expectedDowntimeMs: values.get('downtime') ?? null,
    stage,
    throttlePercent: values.get('auto_converge_throttle') ?? null,
  };
}

/**
 * Where the source's half of a migration stands. libvirt gives a VM that it, QEMU or an operator halts during a migration the reason
 * VIR_DOMAIN_PAUSED_MIGRATION; a VM that somebody had paused before is not halted for the last round, and keeps another reason.
 */
export function stageOf({ state, reason }: DomainState): TransferStage {
  if (state !== domainState.paused) return 'copying';
  if (reason === pausedReason.migration) return 'stopped';
  if (reason === pausedReason.postCopy) return 'post-copy';
  return reason === pausedReason.postCopyFailed ? 'post-copy-failed' : 'copying';
}

export function readOutcome(params: readonly TypedParam[]): JobOutcome {
  const values = numbers(params);
  return {
    totalMs: values.get('time_elapsed') ?? 0,
    downtimeMs: values.get('downtime') ?? null,
    memorySentBytes: values.get('memory_processed') ?? 0,
    iterations: values.get('memory_iteration') ?? null,
  };
}

/** The outcome when the daemon told no final figures: what was last seen, with no claim about the downtime. */
export function outcomeOfProgress(progress: Progress | null, elapsedMs: number): JobOutcome {
  return { totalMs: elapsedMs, downtimeMs: null, memorySentBytes: progress?.memorySentBytes ?? 0, iterations: progress?.iteration ?? null };
}
