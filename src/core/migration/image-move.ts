/**
 * Stop-and-copy of a VM as an encrypted file: save, seal, send, open, restore. Two ends, and the order of their steps.
 *
 *   source       running -> saved -> sent ---------> given away ---------------> gone
 *                   ^         |       |                  |  destination refused
 *                   +---------+-------+------------------+
 *   destination  nothing -> offered -> opened ------------------> running
 *
 * The saved image on the source is the VM until `giveAway`; from then on only the destination may start it, and the source takes
 * it back only when the destination has said that it did not and threw its copy away. If it cannot be asked, nobody acts.
 */
import type { JobOutcome, Progress } from '#core/model/migration.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import type { Clock } from '#core/ports.ts';
import { withDeadline } from '#core/time.ts';
import type { ImageDestination, ImageDigest, ImageOffer, ImageSource, RestoreVerdict } from '#core/transports.ts';

export interface ImageEnds {
  readonly source: ImageSource;
  readonly destination: ImageDestination;
  readonly clock: Clock;
}

/** Each step that must not be left half done has this long; the hypervisor reads and writes the whole memory in it. */
const stepMsMax = 10 * 60_000;
/** What the destination has of the image is litter by then, which its agent sweeps at its next start. */
const discardMsMax = 15_000;
const never = new AbortController().signal;

/** Rejects as `Transports.migrate` does. */
export async function moveImage(
  ends: ImageEnds,
  vmId: VmId,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<JobOutcome> {
  const { source, destination, clock } = ends;
  const startedMs = clock.monotonicMs();
  const offer = await limited(ends, signal, (limit) => destination.offer(vmId, limit));
  const stoppedMs = clock.monotonicMs();
  const sent = await bringOver(ends, vmId, { offer, onProgress }, signal);
  // Past the point of return: an abort would leave the VM nowhere.
  const verdict = await restored(ends, vmId);
  if (verdict.kind === 'refused') {
    await mend(ends, vmId);
    throw new PlimsollError(
      'hypervisor-failed',
      `the destination did not restore the VM, which runs here again: ${verdict.refusal.message}`,
    );
  }
  const endedMs = clock.monotonicMs();
  // It runs there: an image that stays here is litter, not a failure.
  await limited(ends, never, (limit) => source.forget(vmId, limit)).catch(() => undefined);
  return {
    totalMs: Math.round(endedMs - startedMs),
    downtimeMs: Math.round(endedMs - stoppedMs),
    memorySentBytes: sent.bytes,
    iterations: null,
  };
}

/** Everything up to the point of return; if any of it fails, the VM runs here again when this rejects. */
async function bringOver(
  ends: ImageEnds,
  vmId: VmId,
  { offer, onProgress }: { readonly offer: ImageOffer; readonly onProgress: (progress: Progress) => void },
  signal: AbortSignal,
): Promise<ImageDigest> {
  const { source, destination } = ends;
  const told = twoPasses(onProgress);
  try {
    await source.save(vmId, told.saving, signal);
    const sent = await source.send(vmId, offer, told.sending, signal);
    await limited(ends, signal, (limit) => destination.open(vmId, sent, limit));
    signal.throwIfAborted();
    await source.giveAway(vmId, signal);
    return sent;
  } catch (error) {
    // The destination starts nothing that it was not told to start: the VM need not wait for it.
    await mend(ends, vmId);
    await limited(ends, never, (limit) => destination.discard(vmId, limit), discardMsMax).catch(() => undefined);
    if (signal.aborted) throw new PlimsollError('aborted', 'moving the sealed image was given up; the VM runs here', { cause: error });
    throw error;
  }
}

/** The memory is gone through twice: what is saved still has to be sent. */
function twoPasses(onProgress: (progress: Progress) => void) {
  let last: Progress | null = null;
  return {
    saving: (progress: Progress): void => {
      last = progress;
      onProgress({ ...progress, memoryRemainingBytes: progress.memoryRemainingBytes + progress.memoryTotalBytes, memorySentBytes: 0 });
    },
    sending: (memorySentBytes: number): void => {
      if (last === null) return;
      onProgress({ ...last, memorySentBytes, memoryRemainingBytes: Math.max(0, last.memoryTotalBytes - memorySentBytes) });
    },
  };
}

async function restored(ends: ImageEnds, vmId: VmId): Promise<RestoreVerdict> {
  try {
    return await limited(ends, never, (limit) => ends.destination.restore(vmId, limit));
  } catch (cause) {
    const advice = 'its image is kept here and starts by itself nowhere: ask the destination, then take it back or forget it';
    throw new PlimsollError('truth-unknown', `the VM was given to the destination, which did not say that it runs; ${advice}`, { cause });
  }
}

async function mend(ends: ImageEnds, vmId: VmId): Promise<void> {
  try {
    await limited(ends, never, (limit) => ends.source.takeBack(vmId, limit));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PlimsollError('zero-copies', `the VM is saved on this host and could not be started again: ${why}; start it by hand`, {
      cause,
    });
  }
}

function limited<Value>(
  { clock }: ImageEnds,
  signal: AbortSignal,
  step: (limit: AbortSignal) => Promise<Value>,
  msMax = stepMsMax,
): Promise<Value> {
  return withDeadline(clock, msMax, signal, step);
}
